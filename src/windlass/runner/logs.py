"""Step logs: each line with its time, secrets hidden, at the speed of the step."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from windlass.runner import commands
from windlass.runner.masks import LineMasker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from windlass.runner.commands import Command
    from windlass.runner.masks import Masker
    from windlass.runner.matchers import Findings

_BLOCK = 1 << 20


def stamp(nanoseconds: int) -> bytes:
    """Return a time since the epoch as GitHub's logs write it, with the space that follows."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{rest // 100:07d}Z ".encode()


class LogFile:
    """One `log/NNN.log`, appended to as lines come; `written` is called after each time."""

    def __init__(self, directory: Path, step: int, written: Callable[[], None]) -> None:
        flags = os.O_CREAT | os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        self._file = os.open(directory / f"{step:03d}.log", flags, 0o600)
        self._within = False
        self._ended = False
        self._written = written

    def write(self, block: bytes) -> None:
        """Append masked text; every line that begins in it gets the time of now."""
        if not block or self._ended:
            return
        now = stamp(time.time_ns())
        ended = block.endswith(b"\n")
        body = block[:-1] if ended else block
        text = body.replace(b"\n", b"\n" + now)
        head = b"" if self._within else now
        self._within = not ended
        _write_all(self._file, b"".join((head, text, b"\n" if ended else b"")))
        self._written()

    def blocks(self, *, last: int) -> Iterator[bytes]:
        """Yield the last bytes of what was written, without the times, in blocks of whole lines."""
        with open(os.dup(self._file), "rb") as stream:  # noqa: PTH123
            stream.seek(max(0, os.fstat(self._file).st_size - last))
            while lines := stream.readlines(_BLOCK):
                yield b"".join(line.partition(b" ")[2] for line in lines)

    def end(self) -> None:
        """End the last line. What comes later is dropped."""
        if self._within:
            os.write(self._file, b"\n")
        self._within, self._ended = False, True

    def close(self) -> None:
        """Make the file durable."""
        os.fsync(self._file)
        os.close(self._file)


class Listener(Protocol):
    """Who carries out the workflow commands that a step prints."""

    def command(self, command: Command) -> str | None:
        """Carry it out and return the line to log in its place; None for no line."""


class Output:
    """Everything that one step prints, on its way to the log: commands taken out, secrets hidden."""

    def __init__(self, log: LogFile, masker: Masker, listener: Listener, findings: Findings) -> None:
        self._log = log
        self._masker = masker
        self._lines = LineMasker(masker)
        self._listener = listener
        self._findings = findings
        self._stop_token = ""
        self._within = False
        self.heeds = True
        """Whether what is printed may hold commands. What tools of a built-in action print may not: a commit message
        or a file's name in it must not speak for the job."""

    def feed(self, chunk: bytes) -> None:
        """Take what the step just printed, in pieces of any size."""
        lines, piece = self._lines.feed(chunk)
        if lines:
            self._take(self._rest_of_line(lines))
        if piece:
            self._log.write(self._masker.mask(piece))
            self._within = True

    def _rest_of_line(self, block: bytes) -> bytes:
        """Log the end of a line that was let go in pieces, and return what follows: no command begins within a line."""
        if not self._within:
            return block
        self._within = False
        end = block.index(b"\n") + 1
        self._log.write(self._masker.mask(block[:end]))
        return block[end:]

    def line(self, text: str) -> None:
        """Log a line of the runner's own, or several, which hold no commands."""
        self._log.write(self._masker.mask(text.encode("utf-8", "surrogateescape") + b"\n"))

    def finish(self) -> None:
        """Log a last line without end."""
        if rest := self._lines.rest():
            self._take(self._rest_of_line(rest + b"\n"))

    def _take(self, block: bytes) -> None:
        if b"\r" in block:
            block = block.replace(b"\r\n", b"\n")
        at = 0
        for begin, end in commands.candidates(block) if self.heeds else ():
            command = commands.parse(block[begin:end].removesuffix(b"\n").decode("utf-8", "replace"))
            if command is not None and self._is_command(command):
                self._plain(block[at:begin])
                self._carry_out(command)
                at = end
        self._plain(block[at:] if at else block)

    def _plain(self, block: bytes) -> None:
        if block:
            self._findings.scan(block)
            self._log.write(self._masker.mask(block))

    def _is_command(self, command: Command) -> bool:
        if self._stop_token:
            return command.name == self._stop_token
        return command.name in commands.COMMANDS

    def _carry_out(self, command: Command) -> None:
        if self._stop_token:
            self._stop_token = ""
            return
        if command.name == "stop-commands":
            self._stop(command.data)
            return
        if (text := self._listener.command(command)) is not None:
            self.line(text)

    def _stop(self, token: str) -> None:
        if not token.strip() or token in commands.COMMANDS:
            self.line(
                f"##[warning]stop-commands wants a token that is not the name of a command, not {token!r}."
            )
            return
        self._stop_token = token


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
