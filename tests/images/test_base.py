from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING

import pytest

from windlass.engine.fake import Behaviour, FakeEngine, Script
from windlass.images import BaseUnavailableError, base, ensure_base
from windlass.images.base import reachable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@contextlib.asynccontextmanager
async def answering(reply: bytes | None) -> AsyncIterator[tuple[str, list[str]]]:
    """A registry of one sentence; None says nothing at all."""
    asked: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        asked.append(head.split(b"\r\n")[0].decode())
        if reply is None:
            await reader.read()  # until the client gives up
        else:
            writer.write(b"HTTP/1.1 " + reply + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}", asked
    finally:
        server.close()


@pytest.mark.parametrize(
    ("reply", "answer"), [(b"200 OK", True), (b"401 Unauthorized", True), (b"403 No", False)]
)
async def test_a_registry_answers_or_not(reply: bytes, answer: bool, tmp_path: Path) -> None:
    async with answering(reply) as (host, asked):
        assert await reachable(host, tmp_path) is answer
        assert asked == ["GET /v2/ HTTP/1.1"]


async def test_silence_is_given_up_soon_and_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "PATIENCE", 0.3)
    async with answering(None) as (host, asked):
        began = time.monotonic()
        assert not await reachable(host, tmp_path)
        assert time.monotonic() - began < 2
        assert not await reachable(host, tmp_path)
        assert len(asked) == 1
        monkeypatch.setattr(base, "MEMORY", 0.0)
        assert not await reachable(host, tmp_path)
        assert len(asked) == 2


async def test_our_own_registry_is_waited_for_while_it_restarts(monkeypatch: pytest.MonkeyPatch) -> None:
    async with answering(b"401 Unauthorized") as (host, _):
        assert await base.back(host)
        port = int(host.rpartition(":")[2])
    monkeypatch.setattr(base, "RESTART", 0.5)
    assert not await base.back(host)
    monkeypatch.setattr(base, "RESTART", 10)

    async def return_later() -> None:
        await asyncio.sleep(0.5)

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            await writer.drain()
            writer.close()

        async with await asyncio.start_server(serve, "127.0.0.1", port):
            await asyncio.sleep(1)

    later = asyncio.create_task(return_later())
    assert await base.back(host)
    await later


async def test_a_name_that_does_not_exist_costs_nothing(tmp_path: Path) -> None:
    began = time.monotonic()
    assert not await reachable("registry.invalid", tmp_path)
    assert time.monotonic() - began < 2.5


async def test_the_mirror_is_asked_first_then_the_registry_itself(tmp_path: Path) -> None:
    engine = FakeEngine(Script({"ghcr.io/tools/uv:*": (Behaviour(),), "127.0.0.1:1/acme/*": (Behaviour(),)}))
    mirrors = {"ghcr.io": "127.0.0.1:1"}
    lines: list[str] = []
    await ensure_base(engine, tmp_path, lines.append, "ghcr.io/acme/base:1", mirrors=mirrors)
    assert await engine.image("ghcr.io/acme/base:1") is not None
    await ensure_base(engine, tmp_path, lines.append, "ghcr.io/tools/uv:1", mirrors=mirrors)
    assert lines == [
        "Pulling ghcr.io/acme/base:1 from 127.0.0.1:1",
        "Pulling ghcr.io/tools/uv:1 from 127.0.0.1:1",
        "Pulling ghcr.io/tools/uv:1",
    ]
    with pytest.raises(BaseUnavailableError, match="check its name and tag"):
        await ensure_base(engine, tmp_path, lines.append, "ghcr.io/tools/nothing:1", mirrors=mirrors)
    count = len(lines)
    await ensure_base(engine, tmp_path, lines.append, "ghcr.io/acme/base:1", mirrors=mirrors)
    assert len(lines) == count
