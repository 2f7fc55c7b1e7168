"""What goes on for long: events, logs, and output handed on as it comes."""

from __future__ import annotations

import contextlib
import json
import re
import time
from typing import TYPE_CHECKING

import anyio
import structlog

from windlass.engine.cli import argv as vectors
from windlass.engine.cli import parse
from windlass.engine.cli.failures import failure
from windlass.engine.cli.process import FailedError, lines
from windlass.engine.port import ContainerEvent

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence

    from windlass.engine.cli.argv import Tool
    from windlass.engine.cli.process import Command
    from windlass.engine.port import Stream

log = structlog.get_logger()

_COLOUR = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")

FRESH = 600.0
"""Seconds after which the event stream is opened anew, so that one that has gone deaf does no lasting harm."""


async def events(
    tool: Tool, labels: Mapping[str, str], answers: Callable[[], Awaitable[bool]]
) -> AsyncGenerator[ContainerEvent, None]:
    """Follow the engine's events; after each interruption `resync`."""
    pause = 0.1
    while True:
        if await answers():
            # Events from this moment on are told again by the engine, so none falls between `resync` and the stream.
            command = vectors.events(tool, labels, since=parse.rfc3339(time.time() - 0.05))
            yield ContainerEvent("resync", at=time.time())
            opened = time.monotonic()
            async with contextlib.aclosing(_stream(tool, command)) as stream:
                async for event in stream:
                    yield event
            if time.monotonic() - opened > 5:
                pause = 0.1
        log.debug("engine.events_interrupted", engine=tool.dialect, again_in=pause)
        await anyio.sleep(pause)
        pause = min(pause * 2, 5.0)


async def _stream(tool: Tool, command: Command) -> AsyncGenerator[ContainerEvent, None]:
    read = parse.podman_event if tool.dialect == "podman" else parse.docker_event
    until = time.monotonic() + FRESH
    async with contextlib.aclosing(lines(command, attempted="follow the engine's events")) as feed:
        while True:
            line = b""
            with (
                anyio.move_on_after(until - time.monotonic()),
                contextlib.suppress(StopAsyncIteration, FailedError),
            ):
                line = await anext(feed)
            if not line:
                return
            with contextlib.suppress(ValueError, KeyError):
                if event := read(json.loads(line)):
                    yield event


async def log_lines(
    command: Command, attempted: str, streams: Sequence[Stream]
) -> AsyncGenerator[bytes, None]:
    """Read the output of the engine's `logs`: both streams in the order written, or one."""
    merged = set(streams) >= {"stdout", "stderr"}
    number = 2 if tuple(streams) == ("stderr",) else 1
    feed = lines(command, attempted=attempted, merged=merged, stream=number)
    async with contextlib.aclosing(feed):
        try:
            async for line in feed:
                yield line
        except FailedError as error:
            raise failure(attempted, str(error) or "no such container") from None


def stream_sink(on_output: Callable[[Stream, bytes], None]) -> Callable[[int, bytes], None]:
    """Name the streams for a caller."""

    def sink(number: int, chunk: bytes) -> None:
        on_output("stdout" if number == 1 else "stderr", chunk)

    return sink


def refused(complaint: str) -> bool:
    """Tell the engine's own refusal of an `exec` from a command that failed by itself."""
    last = complaint.rpartition("\n")[2].lower()
    return last.startswith(("error: ", "error response from daemon")) and any(
        words in last
        for words in ("no such container", "no container with", "is not running", "state improper")
    )


class LineSink:
    """Cuts output into lines for `on_line`, and keeps the last of them, without colours, for an error message."""

    def __init__(self, on_line: Callable[[str], None] | None) -> None:
        self._on_line = on_line
        self._rest: dict[int, bytes] = {1: b"", 2: b""}
        self._kept: list[str] = []

    def __call__(self, number: int, chunk: bytes) -> None:
        """Take a chunk of standard output (1) or error (2)."""
        *whole, self._rest[number] = (self._rest[number] + chunk).replace(b"\r", b"\n").split(b"\n")
        for line in whole:
            self._emit(line)

    def close(self) -> None:
        """Hand on what stands without a line end."""
        for number, rest in self._rest.items():
            if rest:
                self._emit(rest)
                self._rest[number] = b""

    @property
    def text(self) -> str:
        """The last lines."""
        return "\n".join(self._kept)

    def _emit(self, line: bytes) -> None:
        text = line.decode(errors="replace").rstrip()
        if not text:
            return
        if plain := _COLOUR.sub("", text).rstrip():
            self._kept = [*self._kept[-199:], plain]
        if self._on_line:
            self._on_line(text)
