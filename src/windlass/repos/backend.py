"""Runs one CGI process between an ASGI request and its response, streaming both ways."""

from __future__ import annotations

import contextlib
import signal
from typing import TYPE_CHECKING, Any

import anyio
import structlog

from windlass.repos.cgi import RefusedError, parse_head
from windlass.repos.process import ERROR_LIMIT, read_limited, send_signal, start

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence

    from anyio.abc import Process

    Message = MutableMapping[str, Any]

log = structlog.get_logger()

IDLE = 300.0
"""Seconds without a byte of the body after which a request is given up."""
MAX_HEAD = 16 << 10
ENDING = 10.0
"""Seconds that git has to clean up when its input ends early."""
CHUNK = 256 << 10


class Backend:
    """One request. Holds at most one chunk in memory in each direction."""

    def __init__(
        self,
        argv: Sequence[str],
        env: Mapping[str, str],
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
        *,
        limit: int,
    ) -> None:
        self._argv = argv
        self._env = env
        self._receive = receive
        self._send = send
        self._limit = limit
        self._complete = False
        self._started = False
        self._refusal: RefusedError | None = None
        self._errors = b""

    async def run(self, *, keep: bool, left: Callable[[], None]) -> None:
        """Serve the request. `left` is called when the client leaves.

        With `keep` (a push) git is let finish after the body is complete, also when the client has left:
        refs may be moving. Without, and while the body is incomplete, git ends with the client.
        """
        async with await start(self._argv, self._env) as process:
            try:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._feed, process, keep, left)
                    tasks.start_soon(self._listen, process)
                    await self._respond(process)
                    tasks.cancel_scope.cancel()
            except BaseException:
                with anyio.CancelScope(shield=True):
                    await self._end(process)
                raise
            code = await process.wait()
        if not self._started:
            raise self._refusal or RefusedError(500, "git ended without an answer.")
        if self._errors:
            log.info("git http-backend", code=code, stderr=self._errors.decode(errors="replace").strip())

    async def _feed(self, process: Process, keep: bool, left: Callable[[], None]) -> None:
        """Pass the body on; then wait for the client to leave."""
        await self._pass_body(process)
        if not self._complete:
            left()
            await self._end(process)
            return
        while (await self._receive())["type"] != "http.disconnect":
            pass
        left()
        if not keep:
            send_signal(process, signal.SIGKILL)

    async def _pass_body(self, process: Process) -> None:
        assert process.stdin is not None  # noqa: S101 for the type checker: it is a pipe
        size = 0
        wanted = True
        while not self._complete:
            try:
                with anyio.fail_after(IDLE):
                    message = await self._receive()
            except TimeoutError:
                self._refusal = RefusedError(408, f"No data came for {IDLE:.0f} s.")
                return
            if message["type"] == "http.disconnect":
                return
            body = message.get("body", b"")
            size += len(body)
            if size > self._limit:
                self._refusal = RefusedError(413, f"A push may have at most {self._limit} bytes.")
                return
            if body and wanted:
                try:
                    await process.stdin.send(body)
                except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                    wanted = False  # git has answered already; the rest of the body is read and dropped
            self._complete = not message.get("more_body", False)
        await process.stdin.aclose()

    async def _listen(self, process: Process) -> None:
        self._errors = await read_limited(process.stderr, ERROR_LIMIT, strict=False)

    async def _respond(self, process: Process) -> None:
        assert process.stdout is not None  # noqa: S101 for the type checker: it is a pipe
        head = b""
        while b"\r\n\r\n" not in head and len(head) <= MAX_HEAD:
            try:
                head += await process.stdout.receive(CHUNK)
            except anyio.EndOfStream:
                return
        self._started = True
        head, _, body = head.partition(b"\r\n\r\n")
        status, headers = parse_head(head)
        await self._pass({"type": "http.response.start", "status": status, "headers": headers})
        while True:
            if body:
                await self._pass({"type": "http.response.body", "body": body, "more_body": True})
            try:
                body = await process.stdout.receive(CHUNK)
            except anyio.EndOfStream:
                break
        await self._pass({"type": "http.response.body", "body": b""})

    async def _pass(self, message: Message) -> None:
        """Send to a client that may have left; then git's output is read and dropped."""
        with contextlib.suppress(OSError):
            await self._send(message)

    async def _end(self, process: Process) -> None:
        """End git gently: the end of its input lets it remove what it has unpacked; then by force."""
        if process.stdin:
            await process.stdin.aclose()
        for number in (0, signal.SIGTERM, signal.SIGKILL):
            if number:
                send_signal(process, number)
            with anyio.move_on_after(ENDING):
                await process.wait()
                return
