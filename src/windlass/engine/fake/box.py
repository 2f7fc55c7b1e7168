"""One scripted container: its life as a task, its log, its ports that answer HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Literal

from windlass.engine.errors import StartError
from windlass.engine.port import Container

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from windlass.engine.fake.script import Behaviour, Output
    from windlass.engine.port import ContainerSpec, Port, State, Stream

_REASONS = {200: "OK", 201: "Created", 400: "Bad Request", 404: "Not Found", 500: "Internal Server Error"}


@dataclass(slots=True)
class Box:
    """A container of the fake engine; `changed` is told of each change of state."""

    id: str
    spec: ContainerSpec
    behaviour: Behaviour
    digest: str
    changed: Callable[[Box, Literal["created", "started", "exited"]], None]
    state: State = "created"
    exit_code: int | None = None
    created_at: float = field(default_factory=time.time)
    started_at: float = 0.0
    finished_at: float = 0.0
    ports: dict[int, int] = field(default_factory=dict)
    log: list[tuple[float, Stream, bytes]] = field(default_factory=list)
    news: asyncio.Condition = field(default_factory=asyncio.Condition)
    _ending: asyncio.Event = field(default_factory=asyncio.Event)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    _servers: list[asyncio.Server] = field(default_factory=list)
    _clients: set[asyncio.StreamWriter] = field(default_factory=set)
    _exit_with: int = 0

    def record(self) -> Container:
        """Show the container as the port does."""
        return Container(
            id=self.id,
            name=self.spec.name,
            state=self.state,
            image=self.spec.image,
            image_digest=self.digest,
            exit_code=self.exit_code,
            started_at=self.started_at,
            finished_at=self.finished_at,
            created_at=self.created_at,
            labels=dict(self.spec.labels),
            ports=dict(self.ports) if self.state == "running" else {},
            addresses={},
        )

    @property
    def ended(self) -> bool:
        """Whether it has ended."""
        return self.state == "exited"

    async def more_than(self, lines: int) -> None:
        """Wait until more lines than these are written, or the end."""
        async with self.news:
            await self.news.wait_for(lambda: len(self.log) > lines or self.ended)

    async def start(self) -> None:
        """Open the ports and begin the script."""
        if self.state == "running":
            return
        attempted = f"start container {self.spec.name}"
        if self.behaviour.start_error:
            raise StartError(attempted, stderr=self.behaviour.start_error, remedy="this is scripted")
        for port in self.spec.ports:
            try:
                await self._open(port)
            except OSError as error:
                await self._close()
                raise StartError(
                    attempted, stderr=str(error), remedy="free the port or publish another"
                ) from error
            except BaseException:  # cancelled: what was opened is not left behind
                for server in self._servers:
                    server.close()
                raise
        self.state, self.exit_code, self.started_at, self.finished_at = "running", None, time.time(), 0.0
        self._ending = asyncio.Event()
        self._tasks = [
            asyncio.ensure_future(self._live()),
            *(asyncio.ensure_future(self._write(o)) for o in self.behaviour.outputs),
        ]
        self.changed(self, "started")

    async def _open(self, port: Port) -> None:
        listener = socket.create_server((port.address, port.host))
        server = await asyncio.start_server(self._serve, sock=listener, start_serving=False)
        self._servers.append(server)
        await server.start_serving()
        self.ports[port.container] = listener.getsockname()[1]

    async def stop(self, grace: float) -> None:
        """Ask to end, then end."""
        if self.state != "running":
            return
        obeys = self.behaviour.stop_after <= grace
        await asyncio.sleep(min(self.behaviour.stop_after, grace))
        await self.end(self.behaviour.stop_code if obeys else 137)

    async def end(self, code: int) -> None:
        """End at once and wait for it."""
        self._exit_with = code
        self._ending.set()
        async with self.news:
            await self.news.wait_for(lambda: self.state != "running")

    async def _live(self) -> None:
        self._exit_with = self.behaviour.exit_code
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ending.wait(), self.behaviour.exit_after)
        for task in self._tasks[1:]:
            task.cancel()
        await asyncio.gather(*self._tasks[1:], return_exceptions=True)
        await self._close()
        self.state, self.exit_code, self.finished_at = "exited", self._exit_with, time.time()
        self.changed(self, "exited")
        async with self.news:
            self.news.notify_all()

    async def _write(self, output: Output) -> None:
        await asyncio.sleep(output.after)
        while True:
            self.log.append((time.time(), output.stream, output.text.encode() + b"\n"))
            async with self.news:
                self.news.notify_all()
            if not output.every:
                return
            await asyncio.sleep(output.every)

    async def _close(self) -> None:
        for server in self._servers:
            server.close()
        for client in tuple(self._clients):
            client.close()
        for server in self._servers:
            await server.wait_closed()
        self._servers.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients.add(writer)
        try:
            with contextlib.suppress(
                ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError
            ):
                while True:
                    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                    request, *lines = head.split("\r\n")
                    headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
                    await reader.readexactly(min(int(headers.get("content-length", "0")), 1 << 20))
                    writer.write(self._answer(request.split(" ")[1].partition("?")[0], headers))
                    await writer.drain()
        finally:
            self._clients.discard(writer)
            writer.close()

    def _answer(self, path: str, headers: Mapping[str, str]) -> bytes:
        age = time.time() - self.started_at
        found = next((a for a in self.behaviour.answers if fnmatchcase(path, a.path)), None)
        status, body = (404, "no such path\n") if found is None else (found.status, found.body)
        if found is not None and age < found.after:
            status, body = 503, "not ready yet\n"
        payload = body.encode()
        head = f"HTTP/1.1 {status} {_REASONS.get(status, 'Status')}\r\nContent-Length: {len(payload)}\r\n"
        closing = "Connection: close\r\n" if headers.get("connection", "").lower() == "close" else ""
        return (head + closing + "Content-Type: text/plain\r\n\r\n").encode() + payload
