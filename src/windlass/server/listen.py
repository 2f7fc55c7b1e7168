"""Listening: uvicorn servers as tasks of this event loop, ready when their sockets are."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING, Any

import anyio
import uvicorn

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]
STOP_SECONDS = 1
"""How long requests in hand have to end when the server stops: long enough to answer, too short to be waited for."""


class PortTakenError(Exception):
    """Somebody else listens there."""


class _Quiet(uvicorn.Server):
    """A uvicorn server that leaves signals to the program it is part of, and says when it is ready."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = anyio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def refusal(host: str, port: int, error: OSError, option: str = "--port") -> PortTakenError:
    """Say where nobody can listen, why, and what helps; `option` is what chose the port."""
    if error.errno == errno.EADDRINUSE:
        helps = f"Stop what listens there, or choose another {option}"
    elif error.errno == errno.EACCES:
        helps = f"Choose a {option} from 1024 on, which needs no rights of root"
    else:
        helps = "Choose a --host that is an address of this machine, such as 127.0.0.1"
    return PortTakenError(f"cannot listen on {host}:{port}: {error.strerror}. {helps}")


def bind(host: str, port: int) -> socket.socket:
    """Open a listening socket; port 0 takes a free one.

    Raises PortTakenError saying where and what helps.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With protocol 0 asyncio would not switch Nagle's algorithm off, and each answer's body would come 40 ms late.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise refusal(host, port, error) from None
    listener.listen(1024)
    return listener


class Streams:
    """ASGI middleware: event streams go on until their clients leave, or until `stop` ends them in good order.

    Other answers that last, logs for example, are broken off by `stop`: their clients must see that more would come.
    """

    def __init__(self, app: App) -> None:
        self._app = app
        self._open: set[anyio.CancelScope] = set()

    def stop(self) -> None:
        """End all answers whose length nobody knows."""
        for scope in self._open:
            scope.cancel()

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Serve one request."""
        kind: bytes | None = None

        async def told(message: Message) -> None:
            nonlocal kind
            if message["type"] == "http.response.start":
                headers = dict(message["headers"])
                if b"content-length" not in headers:
                    kind = headers.get(b"content-type", b"")
                    self._open.add(cancel)
            await send(message)

        with anyio.CancelScope() as cancel:
            try:
                await self._app(scope, receive, told)
            finally:
                self._open.discard(cancel)
        if cancel.cancelled_caught and kind is not None and kind.startswith(b"text/event-stream"):
            await send({"type": "http.response.body", "body": b""})


@asynccontextmanager
async def listening(
    app: Any, listener: socket.socket, stop: Callable[[], None] = lambda: None, **options: Any
) -> AsyncIterator[None]:
    """Serve the ASGI application on the socket for as long as the block lasts.

    `options` go to `uvicorn.Config`. At the end `stop` is called, and requests in hand get STOP_SECONDS to end.
    """
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        timeout_graceful_shutdown=STOP_SECONDS,
        timeout_keep_alive=75,
        **options,
    )
    server = _Quiet(config)
    # A task of asyncio's own, since the end of the block is mostly a cancellation, which must not be its end.
    serving = asyncio.create_task(server.serve([listener]))
    async with anyio.create_task_group() as group:
        group.start_soon(_watch, serving)
        await server.ready.wait()
        try:
            yield
        finally:
            server.should_exit = True
            stop()
            with anyio.CancelScope(shield=True), suppress(asyncio.CancelledError):
                await asyncio.wait_for(serving, STOP_SECONDS + 2)
            group.cancel_scope.cancel()


async def _watch(serving: asyncio.Task[None]) -> None:
    """Fail with the server, should it fail."""
    await asyncio.shield(serving)
