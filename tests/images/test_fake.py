"""The scripted engine builds and publishes, so that a line without containers can be walked to its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from windlass.engine import EngineError
from windlass.engine.fake import FakeEngine
from windlass.images import BuildRequest, build, pull, push
from windlass.registry import RegistryClient

if TYPE_CHECKING:
    from pathlib import Path

    from images.conftest import Serving


async def test_what_the_fake_builds_is_in_the_registry(tmp_path: Path, registry: Serving) -> None:
    context = tmp_path / "context"
    context.mkdir()
    (context / "Dockerfile").write_text("FROM python:3.11-slim\n")
    engine = FakeEngine()
    mirrors = {"ghcr.io": registry.host}
    digests = []
    for content in ("one", "one", "two"):
        (context / "main.py").write_text(content)
        request = BuildRequest(context, ("ghcr.io/acme/x:main", "ghcr.io/acme/x:sha-1"))
        built = await build(engine, request, lambda _: None, cache_dir=tmp_path)
        for tag in request.tags:
            assert await push(engine, tag, mirrors=mirrors, auth_file=registry.auth_file) == built.digest
            break
        digests.append(built.digest)
        credentials = {registry.host: ("job", "push-token")}
        async with RegistryClient(mirrors=mirrors, credentials=credentials) as client:
            assert await client.resolve("ghcr.io/acme/x:main") == built.digest
    assert digests[0] == digests[1] != digests[2]
    fetched = await pull(FakeEngine(), f"ghcr.io/acme/x@{digests[2]}", mirrors=mirrors)
    assert fetched.digest == digests[2]


async def test_a_registry_that_refuses_is_an_error(tmp_path: Path, registry: Serving) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    engine = FakeEngine()
    await build(
        engine, BuildRequest(tmp_path, ("ghcr.io/acme/x:1",)), lambda _: None, cache_dir=tmp_path / "c"
    )
    with pytest.raises(EngineError, match="answered 401"):
        await push(engine, "ghcr.io/acme/x:1", mirrors={"ghcr.io": registry.host})
    with pytest.raises(EngineError, match="does not answer"):
        await push(engine, "ghcr.io/acme/x:1", mirrors={"ghcr.io": "127.0.0.1:1"})
