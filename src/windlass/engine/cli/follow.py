"""What goes on for long: events, logs, and output handed on as it comes."""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections import deque
from typing import TYPE_CHECKING, Protocol

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
STAMP = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}(?:Z|[+-]\d\d:\d\d) ")
"""How podman writes the time of an entry."""

FRESH = 600.0
"""Seconds after which the event stream is opened anew, so that one that has gone deaf does no lasting harm."""


class LogReader(Protocol):
    """Runs the engine's `logs` and gives its lines."""

    def __call__(self, *, follow: bool, tail: int | None) -> AsyncGenerator[bytes, None]:
        """Read from the beginning, or the end; go on or not."""


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


async def whole_lines(
    read: LogReader, *, follow: bool, tail: int | None, timestamps: bool
) -> AsyncGenerator[bytes, None]:
    """Read podman's log with its lines put together.

    A line that a program wrote in pieces (Python with PYTHONUNBUFFERED does) is several entries of the log. podman
    puts them together when it reads from the beginning; with `--tail` it mixes them up, and each brings its own time.
    """
    known: deque[bytes] = deque(maxlen=tail)
    skipped = 0
    if tail is not None:
        async with contextlib.aclosing(read(follow=False, tail=None)) as feed:
            async for line in feed:
                skipped += len(known) == tail
                known.append(line)
        if not follow:
            for line in known:
                yield one_stamp(line) if timestamps else line
            return
    async with contextlib.aclosing(read(follow=follow, tail=None)) as feed:
        async for line in feed:
            if skipped:
                skipped -= 1
            else:
                yield one_stamp(line) if timestamps else line


def one_stamp(line: bytes) -> bytes:
    """Leave of a line's times only the first: a later one in it is that of a piece, an earlier one the program's."""
    first = STAMP.match(line)
    if first is None:
        return line
    begun = first.end()
    return line[:begun] + STAMP.sub(lambda one: b"" if one[0] >= first[0] else one[0], line[begun:])


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
