from __future__ import annotations

import asyncio
import gc
import socket
import warnings
from typing import TYPE_CHECKING, Any

import anyio
import httpx2
import pytest

from windlass.kube.connecting import open_socket, owning

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[socket.socket]:
    """Every socket of a client that is made while the test runs."""
    seen: list[socket.socket] = []

    class Seen(socket.socket):
        def __init__(self, *words: Any, **named: Any) -> None:
            super().__init__(*words, **named)
            if self.proto == socket.IPPROTO_TCP:  # the clients' own
                seen.append(self)

    monkeypatch.setattr(socket, "socket", Seen)
    return seen


@pytest.fixture
def silent() -> Iterator[int]:
    """A server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


async def turns(call: Callable[[], Awaitable[Any]], made: list[socket.socket], *, limit: int) -> int:
    """Cancel a call after 0, 1, 2... turns of the event loop, and see that nothing stays open each time."""
    for turn in range(limit):
        task = asyncio.ensure_future(call())
        for _ in range(turn):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        for _ in range(5):  # transports close in the next turn
            await asyncio.sleep(0)
        assert [each for each in made if each.fileno() != -1] == [], turn
    return len(made)


async def test_who_is_cancelled_while_connecting_leaves_no_socket(
    made: list[socket.socket], silent: int
) -> None:
    async def connect() -> None:
        (await open_socket("127.0.0.1", silent)).close()

    assert await turns(connect, made, limit=20) > 10


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_who_is_cancelled_in_a_request_leaves_no_socket(
    made: list[socket.socket], silent: int, scheme: str
) -> None:
    async with owning(httpx2.AsyncClient(trust_env=False)) as client:
        assert await turns(lambda: client.get(f"{scheme}://127.0.0.1:{silent}/"), made, limit=60) > 20


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_time_limit_closes_as_well(made: list[socket.socket], silent: int, scheme: str) -> None:
    async with owning(httpx2.AsyncClient(trust_env=False)) as client:
        with pytest.raises(httpx2.TimeoutException):
            await client.get(f"{scheme}://127.0.0.1:{silent}/", timeout=0.05)
    await anyio.sleep(0)
    assert [each.fileno() for each in made] == [-1]


async def test_errors_are_those_of_the_client() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    async with owning(httpx2.AsyncClient(trust_env=False)) as client:
        with pytest.raises(httpx2.ConnectError, match=r"refused|failed"):
            await client.get(f"http://127.0.0.1:{port}/")
        with pytest.raises(httpx2.ConnectError):
            await client.get("http://name.invalid/")


async def test_a_name_has_several_addresses() -> None:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server, owning(httpx2.AsyncClient(trust_env=False)) as client:
        found = await client.get(f"http://localhost:{server.sockets[0].getsockname()[1]}/")
    assert found.status_code == 204
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gc.collect()
