"""Running an engine's command line: whole, or line by line, within limits, and never left behind."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import shutil
import signal
import sys
import tempfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import anyio

from windlass.engine.errors import EngineTimeoutError, EngineUnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping, Sequence

OUTPUT_LIMIT = 16 * 1024 * 1024
"""Bytes kept of each output of a command; what comes before is dropped."""

LINE_LIMIT = 1024 * 1024
"""Bytes of one line; a longer one is handed on in pieces."""

_COMPLAINTS = (b"Error: ", b"Error response from daemon: ")
"""How the engines' own complaints begin."""


class FailedError(Exception):
    """A followed command failed by itself; the text is its complaint, if it was seen."""


@dataclass(frozen=True, slots=True)
class Command:
    """An argument vector, and what is added to the environment of the process."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Completed:
    """How a process ended; the outputs are cut at the front beyond `OUTPUT_LIMIT`."""

    returncode: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        """Standard output, decoded."""
        return self.stdout.decode(errors="replace")

    @property
    def complaint(self) -> str:
        """Standard error, decoded."""
        return self.stderr.decode(errors="replace").strip()


async def call(
    command: Command,
    *,
    attempted: str,
    timeout: float | None,
    stdin: bytes | None = None,
    sink: Callable[[int, bytes], None] | None = None,
) -> Completed:
    """Run to the end. `sink` gets (1 or 2, chunk) as output arrives, and nothing is kept.

    Raises `EngineTimeoutError` after `timeout` seconds, `EngineUnavailableError` if the program is not there.
    """
    process = await _spawn(
        command, attempted=attempted, stdin=stdin is not None, stderr=asyncio.subprocess.PIPE
    )
    kept: dict[int, bytearray] = {1: bytearray(), 2: bytearray()}

    def keep(number: int, chunk: bytes) -> None:
        kept[number] += chunk
        if len(kept[number]) > 2 * OUTPUT_LIMIT:
            del kept[number][:-OUTPUT_LIMIT]

    try:
        with anyio.fail_after(timeout):
            await asyncio.gather(
                _feed(process, stdin),
                _drain(process.stdout, 1, sink or keep),
                _drain(process.stderr, 2, sink or keep),
            )
            await process.wait()
    except TimeoutError:
        raise EngineTimeoutError(
            attempted,
            stderr=bytes(kept[2][-2000:]).decode(errors="replace") or f"no answer within {timeout:g} s",
            remedy="see whether the engine itself hangs (podman ps, docker ps), or the machine is overloaded",
        ) from None
    finally:
        await end(process)
    return Completed(process.returncode or 0, bytes(kept[1][-OUTPUT_LIMIT:]), bytes(kept[2][-OUTPUT_LIMIT:]))


async def lines(
    command: Command, *, attempted: str, merged: bool = False, stream: int = 1
) -> AsyncGenerator[bytes, None]:
    """Yield output lines with their ends as they come, of one stream or of both `merged`.

    What is followed has no end of its own, so it must not outlive us, not even where we are killed: see `leash`.
    Ends with the process; if that failed and its last line is the tool's own complaint, `FailedError` holds it
    instead of the line being yielded.
    """
    out = asyncio.subprocess.PIPE if merged or stream == 1 else asyncio.subprocess.DEVNULL
    separate = asyncio.subprocess.PIPE if stream == 2 else asyncio.subprocess.DEVNULL
    process = await _spawn(
        Command((*leash(command.argv[0]), *command.argv), command.env),
        attempted=attempted,
        stdout=out,
        stderr=asyncio.subprocess.STDOUT if merged else separate,
    )
    reader = process.stderr if stream == 2 and not merged else process.stdout
    if reader is None:  # pragma: no cover - one of the two is always a pipe
        raise AssertionError
    held = b""
    try:
        while line := await read_line(reader):
            if held:
                yield held
                held = b""
            if line.startswith(_COMPLAINTS):
                held = line
            else:
                yield line
        if await process.wait() and (held or (stream == 1 and not merged)):
            raise FailedError(held.decode(errors="replace").strip())
        if held:
            yield held
    finally:
        await end(process)


@functools.cache
def leash(tool: str) -> tuple[str, ...]:
    """Return the words before a command that have the kernel end it with us, where there are such (Linux).

    Elsewhere it ends at the next line it writes, as pipes have it; but podman's `events` goes on even then.
    """
    found = shutil.which("setpriv") if sys.platform == "linux" and shutil.which(tool) else None
    return (found, "--pdeathsig", "TERM", "--") if found else ()


async def read_line(reader: asyncio.StreamReader) -> bytes:
    """Read up to and with the next line end; a line beyond the reader's limit comes in pieces, b"" at the end."""
    try:
        return await reader.readuntil(b"\n")
    except asyncio.IncompleteReadError as rest:
        return rest.partial
    except asyncio.LimitOverrunError as over:
        return await reader.readexactly(over.consumed)


async def end(process: asyncio.subprocess.Process) -> None:
    """See that the process and what it started are gone, and reap it; also when this task is being cancelled."""
    if process.returncode is not None:
        return
    with anyio.CancelScope(shield=True):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            with anyio.fail_after(2):
                await process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


async def _spawn(
    command: Command,
    *,
    attempted: str,
    stdin: bool = False,
    stdout: int = asyncio.subprocess.PIPE,
    stderr: int = asyncio.subprocess.PIPE,
) -> asyncio.subprocess.Process:
    try:
        return await asyncio.create_subprocess_exec(
            *command.argv,
            stdin=asyncio.subprocess.PIPE if stdin else asyncio.subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            env={**os.environ, **command.env},
            cwd=tempfile.gettempdir(),  # conmon notes an out-of-memory kill as a file in its working directory
            start_new_session=True,  # an interrupt at the terminal is ours to handle, not the engine's
            limit=LINE_LIMIT,
        )
    except FileNotFoundError:
        raise EngineUnavailableError(
            attempted,
            stderr=f"{command.argv[0]}: no such program on PATH",
            remedy=f"install it (apt-get install {command.argv[0]}), or choose another engine",
        ) from None
    except OSError as error:
        raise EngineUnavailableError(attempted, stderr=str(error)) from error


async def _feed(process: asyncio.subprocess.Process, data: bytes | None) -> None:
    if process.stdin is None:
        return
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        process.stdin.write(data or b"")
        await process.stdin.drain()
    process.stdin.close()


async def _drain(
    reader: asyncio.StreamReader | None, number: int, sink: Callable[[int, bytes], None]
) -> None:
    while reader is not None and (chunk := await reader.read(65536)):
        sink(number, chunk)


def program(argv: Sequence[str]) -> str:
    """Name the program of an argument vector, without its directory."""
    return argv[0].rsplit("/", 1)[-1]
