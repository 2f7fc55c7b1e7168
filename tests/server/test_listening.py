from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING, Any

import anyio
import httpx2
import pytest

from windlass.kube.local.serving import listen
from windlass.server import listen as module
from windlass.server.listen import STOP_SECONDS, Streams, bind, listening

if TYPE_CHECKING:
    from collections.abc import Callable

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


async def two_writes(_scope: Any, _receive: Any, send: Any) -> None:
    headers = [(b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"ok"})


def fastest(port: int) -> float:
    """The fastest of ten answers on one connection, in seconds."""
    taken = []
    with socket.create_connection(("127.0.0.1", port)) as client:
        for _ in range(10):
            begun = time.perf_counter()
            client.sendall(REQUEST)
            received = b""
            while not received.endswith(b"\r\n\r\nok"):
                received += client.recv(4096)
            taken.append(time.perf_counter() - begun)
    return min(taken[1:])


async def test_the_body_of_an_answer_does_not_wait_for_an_acknowledgement() -> None:
    makers: list[Callable[[str, int], socket.socket]] = [bind, listen]
    for make in makers:
        listener = make("127.0.0.1", 0)
        async with listening(two_writes, listener):
            port = listener.getsockname()[1]
            # A delayed acknowledgement takes 40 ms at the least.
            assert await anyio.to_thread.run_sync(fastest, port) < 0.03, make


def lasting(kind: bytes, *, length: bool = False) -> Any:
    """An application whose answer does not end."""

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        headers = [(b"content-type", kind), *([(b"content-length", b"9")] if length else [])]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"first\n", "more_body": True})
        await anyio.sleep_forever()

    return app


async def read_while_it_stops(app: Any, stop: Callable[[], None]) -> tuple[float, bool]:
    """Read an answer while the server stops; returns how long that took, and whether it was whole."""
    listener = bind("127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    began = 0.0

    async def serve(*, task_status: anyio.abc.TaskStatus[None]) -> None:
        nonlocal began
        with anyio.CancelScope() as scope:  # as the server is stopped: by a cancellation
            async with listening(app, listener, stop):
                task_status.started()
                await first.wait()
                began = time.monotonic()
                scope.cancel()
                await anyio.sleep_forever()

    first, whole = anyio.Event(), True
    async with anyio.create_task_group() as tasks, httpx2.AsyncClient(trust_env=False) as client:
        await tasks.start(serve)
        try:
            async with client.stream("GET", url) as answer:
                async for _ in answer.aiter_bytes():
                    first.set()
        except httpx2.RemoteProtocolError:
            whole = False
    return time.monotonic() - began, whole


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> float:
    """A server that would wait a minute for whoever is not told to end, in seconds."""
    monkeypatch.setattr(module, "STOP_SECONDS", 60)
    return 60


async def test_event_streams_end_in_good_order_when_the_server_stops(patient: float) -> None:
    app = Streams(lasting(b"text/event-stream; charset=utf-8"))
    seconds, whole = await read_while_it_stops(app, app.stop)
    assert whole
    assert seconds < patient / 2


async def test_followed_logs_are_broken_off_when_the_server_stops(patient: float) -> None:
    app = Streams(lasting(b"text/plain"))
    seconds, whole = await read_while_it_stops(app, app.stop)
    assert not whole
    assert seconds < patient / 2


async def test_a_request_in_hand_is_answered() -> None:
    async def slow(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"o", "more_body": True})
        await anyio.sleep(STOP_SECONDS / 2)
        await send({"type": "http.response.body", "body": b"k"})

    app = Streams(slow)
    seconds, whole = await read_while_it_stops(app, app.stop)
    assert whole
    assert seconds >= STOP_SECONDS / 2


async def test_one_that_takes_too_long_is_not() -> None:
    app = Streams(lasting(b"text/plain", length=True))
    seconds, whole = await read_while_it_stops(app, app.stop)
    assert not whole
    assert seconds >= STOP_SECONDS / 2
