"""Reading log files: from the end, from an offset, and as they grow."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

BLOCK = 1 << 16
MAX_LINE = 1 << 20
STAMP = len("2026-01-01T00:00:00.0000000Z ")


def tail_offset(path: Path, lines: int) -> int:
    """Where the last `lines` lines of the file begin. 0 when it is shorter or not there."""
    try:
        with path.open("rb") as file:
            end = position = file.seek(0, os.SEEK_END)
            found = 0
            while position > 0:
                size = min(BLOCK, position)
                position -= size
                file.seek(position)
                block = file.read(size)
                index = len(block)
                while (index := block.rfind(b"\n", 0, index)) != -1:
                    found += position + index + 1 != end  # the end of the last line begins none
                    if found == lines:
                        return position + index + 1
            return 0
    except FileNotFoundError:
        return 0


def read_block(path: Path, offset: int) -> bytes:
    """Whole lines from `offset`, about `BLOCK` bytes of them; empty when there is nothing (yet).

    A line longer than `MAX_LINE` comes in pieces.
    """
    try:
        with path.open("rb") as file:
            file.seek(offset)
            block = file.read(BLOCK)
            while len(block) >= BLOCK and b"\n" not in block and len(block) < MAX_LINE:
                more = file.read(BLOCK)
                if not more:
                    break
                block += more
    except FileNotFoundError:
        return b""
    if len(block) >= MAX_LINE and b"\n" not in block:
        return block
    return block[: block.rfind(b"\n") + 1]


def last_lines(path: Path, lines: int) -> list[str]:
    """Return the last lines of a log without their time stamps; at most about 64 KiB."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(tail_offset(path, lines), size - BLOCK))
            block = file.read(BLOCK)
    except FileNotFoundError:
        return []
    return [unstamped(line) for line in block.decode("utf-8", "replace").splitlines()[-lines:]]


def unstamped(line: str) -> str:
    """Return the line without its time stamp."""
    return line[STAMP:] if line[STAMP - 2 : STAMP] == "Z " else line
