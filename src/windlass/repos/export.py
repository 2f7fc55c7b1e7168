"""Writes the files of a tree into a directory, from which nothing leads out. Blocks: run it on a thread."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import IO, TYPE_CHECKING

from windlass.repos.errors import GitError, UnsafeTreeError
from windlass.repos.process import environment

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from windlass.repos.records import TreeEntry

MAX_FILES = 100_000
CHUNK = 1 << 20


def write_tree_to(batch: Sequence[str], entries: Sequence[TreeEntry], into: Path) -> None:
    """Write `entries` below `into`, with their contents from `batch` (the argument vector of cat-file).

    Regular files are written before any symbolic link exists, so that no write follows one (also where the
    file system ignores case); then each link is made, and all are checked to end inside.
    """
    into.mkdir(parents=True, exist_ok=True)
    if next(into.iterdir(), None) is not None:
        raise UnsafeTreeError(f"{into} is not empty: export into a fresh directory.")
    if len(entries) > MAX_FILES:
        raise UnsafeTreeError(f"The tree has {len(entries)} files, more than {MAX_FILES}.")
    ordered = sorted(entries, key=lambda entry: entry.is_symlink)
    try:
        links = [entry.path for entry in ordered if entry.is_symlink]
        with subprocess.Popen(
            list(batch), stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment()
        ) as process:
            assert process.stdin is not None  # noqa: S101 for the type checker: it is a pipe
            assert process.stdout is not None  # noqa: S101 as above
            for entry in ordered:
                process.stdin.write(f"{entry.sha}\n".encode())
                process.stdin.flush()
                _write(entry, into, process.stdout)
        _check_links(into, links)
    except BaseException:
        shutil.rmtree(into, ignore_errors=True)
        raise


def _target(entry: TreeEntry, into: Path) -> Path:
    parts = entry.path.split("/")
    if any(part in {"", ".", ".."} or part.lower() == ".git" for part in parts):
        raise UnsafeTreeError(f"The tree holds {entry.path!r}, which may not be written.")
    target = into.joinpath(*parts)
    target.parent.mkdir(parents=True, exist_ok=True)
    return target


def _content(entry: TreeEntry, stream: IO[bytes]) -> Iterator[bytes]:
    header = stream.readline().split()
    if len(header) != 3 or header[1] != b"blob":
        raise GitError(f"git has no content for {entry.path!r} ({entry.sha}).")
    left = int(header[2])
    while left:
        chunk = stream.read(min(left, CHUNK))
        if not chunk:
            raise GitError(f"git ended before the end of {entry.path!r}.")
        left -= len(chunk)
        yield chunk
    stream.read(1)


def _write(entry: TreeEntry, into: Path, stream: IO[bytes]) -> None:
    target = _target(entry, into)
    if entry.is_symlink:
        link = b"".join(_content(entry, stream)).decode(errors="surrogateescape")
        if link.startswith("/") or "\0" in link:
            raise UnsafeTreeError(f"The symbolic link {entry.path!r} leads out of the tree, to {link!r}.")
        target.symlink_to(link)
        return
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    mode = 0o755 if entry.mode == "100755" else 0o644
    with os.fdopen(os.open(target, flags, mode), "wb") as file:
        for chunk in _content(entry, stream):
            file.write(chunk)


def _check_links(into: Path, links: Sequence[str]) -> None:
    root = os.path.realpath(into)
    for link in links:
        end = os.path.realpath(into / link)
        if not (end == root or end.startswith(root + os.sep)):
            raise UnsafeTreeError(f"The symbolic link {link!r} leads out of the tree.")
