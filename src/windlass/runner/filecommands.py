"""The files through which a step speaks to the runner: GITHUB_OUTPUT, ENV, PATH, STATE, STEP_SUMMARY."""

from __future__ import annotations

import itertools
import os
import secrets as random
import stat
from typing import TYPE_CHECKING

from windlass.runner.errors import FileCommandError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

LIMIT = 16 * 1024 * 1024
SUMMARY_LIMIT = 1024 * 1024
FILES = ("output", "env", "path", "state", "step_summary")
"""Names of the files; the variable is GITHUB_ and the name in upper case."""
_MODE = 0o644


def parse_pairs(text: str, *, file: str) -> dict[str, str]:
    """Read `name=value` and `name<<DELIMITER` … `DELIMITER`. A later name wins.

    Raises `FileCommandError` on a line that is neither, an empty name, or a delimiter that never comes.
    """
    pairs: dict[str, str] = {}
    lines = text.replace("\r\n", "\n").split("\n")
    at = 0
    while at < len(lines):
        line = lines[at]
        at += 1
        if not line:
            continue
        equals, heredoc = line.find("="), line.find("<<")
        if equals >= 0 and (heredoc < 0 or equals < heredoc):
            name, value = line[:equals], line[equals + 1 :]
        elif heredoc >= 0:
            name, delimiter = line[:heredoc], line[heredoc + 2 :]
            end = _end(lines, at, delimiter, file=file)
            value = "\n".join(lines[at:end])
            at = end + 1
        else:
            raise FileCommandError(
                f"{file}: line {at} has neither `name=value` nor `name<<DELIMITER`: {line[:80]!r}"
            )
        if not name:
            raise FileCommandError(f"{file}: line {at} has no name before the sign")
        pairs[name] = value
    return pairs


def _end(lines: list[str], start: int, delimiter: str, *, file: str) -> int:
    if not delimiter:
        raise FileCommandError(f"{file}: line {start} has no delimiter after `<<`")
    try:
        return lines.index(delimiter, start)
    except ValueError:
        raise FileCommandError(
            f"{file}: no line holds the delimiter {delimiter!r} that line {start} announced"
        ) from None


class FileSets:
    """Hands out sets of files, each under names of its own. May be used from several threads.

    Most files are never written to. Those get another name and serve again: to make a file costs a disk more than
    all the rest of a short step.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._serials = itertools.count(1)
        self._untouched: list[str] = []

    def take(self) -> FileCommands:
        """Return a set of empty files for one step."""
        suffix = f"{next(self._serials)}_{random.token_hex(8)}"
        names = {file: f"{file}_{suffix}" for file in FILES}
        for name in names.values():
            if not self._rename(name):
                flags = os.O_CREAT | os.O_WRONLY | os.O_EXCL | os.O_NOFOLLOW
                os.close(os.open(self._directory / name, flags, _MODE))
        return FileCommands(self._directory, names)

    def _rename(self, name: str) -> bool:
        try:
            (self._directory / self._untouched.pop()).rename(self._directory / name)
        except (IndexError, OSError):
            return False
        return True

    def give_back(self, files: FileCommands) -> None:
        """Take back a set whose step has ended."""
        self._untouched += [name for name in files.names.values() if _untouched(self._directory / name)]


def _untouched(path: Path) -> bool:
    """Return whether it is the empty file that it was made as."""
    try:
        found = path.lstat()
    except OSError:
        return False
    ordinary = stat.S_ISREG(found.st_mode) and found.st_nlink == 1
    return ordinary and found.st_size == 0 and found.st_mode & stat.S_IRWXU == _MODE & stat.S_IRWXU


class FileCommands:
    """One set of files for one step, in a directory that the step can write to.

    A step may replace a file by anything: links are not followed, only ordinary files are read, and at most
    `LIMIT` bytes of them.
    """

    def __init__(self, directory: Path, names: Mapping[str, str]) -> None:
        self._directory = directory
        self.names = names

    def environment(self, inside: str) -> dict[str, str]:
        """Return the variables that name the files; `inside` is the directory as the step sees it."""
        return {f"GITHUB_{file.upper()}": f"{inside}/{name}" for file, name in self.names.items()}

    def pairs(self, file: str) -> dict[str, str]:
        """Return what the step wrote to an output, env or state file."""
        return parse_pairs(self.text(file), file=f"GITHUB_{file.upper()}")

    def paths(self) -> list[str]:
        """Return the directories for PATH, first the one written last."""
        return [line for line in reversed(self.text("path").splitlines()) if line.strip()]

    def text(self, file: str, limit: int = LIMIT) -> str:
        """Return what stands in the file, "" if it is gone. Raises `FileCommandError` over the limit."""
        try:
            descriptor = os.open(
                self._directory / self.names[file],
                os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC,
            )
        except OSError:
            return ""
        with os.fdopen(descriptor, "rb") as stream:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                return ""
            if found.st_size > limit:
                raise FileCommandError(f"GITHUB_{file.upper()}: {found.st_size} bytes, more than {limit}")
            return stream.read(limit + 1).decode("utf-8-sig", "replace")
