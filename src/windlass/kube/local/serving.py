"""Serving an ASGI application over TLS inside a task group."""

from __future__ import annotations

import asyncio
import socket
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import anyio
import uvicorn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anyio.abc import TaskStatus

    from windlass.kube.local.certificates import Certificates

GRACE = 1
PAUSE = 0.05
KEEP_ALIVE = 75


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers, which belong to the process, and with a word when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = anyio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start and say so."""
        await super().startup(sockets)
        self.listening.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop; who is idle is not waited for."""
        hanging_up = asyncio.create_task(self._hang_up())
        await super().shutdown(sockets)
        hanging_up.cancel()

    async def _hang_up(self) -> None:
        """Close connections without a request: their clients need not agree to the end of TLS before they go."""
        while True:
            await asyncio.sleep(PAUSE)
            for connection in list(self.server_state.connections):
                cycle = getattr(connection, "cycle", None)
                if cycle is None or cycle.response_complete:
                    connection.transport.abort()


def listen(host: str, port: int) -> socket.socket:
    """Bind and listen; OSError when the address is taken. Port 0 takes any."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With protocol 0 asyncio would not switch Nagle's algorithm off, and each answer's body would come 40 ms late.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
        bound.listen(512)
        bound.setblocking(False)
    except OSError as error:
        bound.close()
        raise OSError(error.errno, error.strerror, f"{host}:{port}") from error
    return bound


async def serve_tls(
    app: Any,
    host: str,
    port: int,
    certificates: Certificates,
    *,
    task_status: TaskStatus[int] = anyio.TASK_STATUS_IGNORED,
) -> None:
    """Serve `app` until cancelled; `await tasks.start(serve_tls, app, host, port, certificates)` returns the port.

    Raises OSError when the address is taken. When cancelled it calls `app.stop()` if there is one, which ends long
    answers, and gives the other requests one second.
    """
    bound = listen(host, port)
    config = uvicorn.Config(
        app,
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=GRACE,
        ssl_certfile=certificates.certificate,
        ssl_keyfile=certificates.key,
    )
    server = _Server(config)
    task = asyncio.get_running_loop().create_task(server.serve([bound]))
    try:
        await server.listening.wait()
        task_status.started(bound.getsockname()[1])
        await asyncio.shield(task)
    finally:
        server.should_exit = True
        if stop := getattr(app, "stop", None):
            stop()
        with anyio.CancelScope(shield=True), suppress(asyncio.CancelledError):
            await task
