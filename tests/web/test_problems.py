"""How failures of the server itself are told."""

from __future__ import annotations

import errno

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from windlass.web.problems import add_handlers


@pytest.mark.parametrize("path", ["/api/v1/x", "/x"])
def test_a_full_disk_is_told_with_what_helps(path: str) -> None:
    app = FastAPI()
    add_handlers(app, {})

    @app.get(path)
    def fail() -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    answer = TestClient(app, raise_server_exceptions=False).get(path)
    assert answer.status_code == 507
    assert "disk of the server" in answer.text
