from __future__ import annotations

import re
import shutil
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from windlass.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


# Started in the background of a script, a process ignores what a terminal sends, and so do all that it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "windlass.db")
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def modern_kubectl() -> None:
    """Skip where the kubectl on the PATH is older than the tests' questions (Debian 12 has 1.20)."""
    told = b""
    if shutil.which("kubectl"):
        told = subprocess.run(
            ["kubectl", "version", "--client", "-o", "json"], capture_output=True, check=False
        ).stdout
    found = re.search(rb'"minor":\s*"(\d+)', told)
    if int(found[1] if found else 0) < 27:
        pytest.skip(
            "no kubectl here, or one older than 1.27, which lacks the flags and the kustomize asked about"
        )
