"""Bytes from a request on their way to a file: limited, hashed, never whole in memory."""

from __future__ import annotations

import hashlib
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import uuid4

import anyio
import anyio.to_thread

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

FLUSH = 1 << 20
PART = ".part"
LEFT = 86_400.0
"""Seconds after which a part to which nothing came is of an upload that a killed server left."""


class TooLargeError(Exception):
    """More bytes than the limit."""


@dataclass(frozen=True, slots=True)
class Spooled:
    """What was written: size in bytes and `sha256:…`."""

    size: int
    digest: str


def part_in(directory: Path) -> Path:
    """Return a new name for what is on its way into the directory."""
    return directory / f".{uuid4().hex}{PART}"


def sweep_parts(*roots: Path) -> int:
    """Delete the parts below these directories that nobody will finish; returns how many. Blocks."""
    count, before = 0, time.time() - LEFT
    for root in roots:
        for part in root.rglob(f".*{PART}"):
            with suppress(FileNotFoundError):
                if part.stat().st_mtime < before:
                    part.unlink()
                    count += 1
    return count


async def spool(chunks: AsyncIterator[bytes], path: Path, limit: int) -> Spooled:
    """Write the chunks to `path` (its directory is made), durably. Over `limit` bytes: `TooLargeError`.

    On any error the file is removed.
    """
    await anyio.to_thread.run_sync(lambda: path.parent.mkdir(parents=True, exist_ok=True))
    digest, size, pending = hashlib.sha256(), 0, bytearray()

    try:
        async with await anyio.open_file(path, "wb") as file:
            async for chunk in chunks:
                size = _within(limit, size + len(chunk))
                pending += chunk
                if len(pending) >= FLUSH:
                    block = bytes(pending)
                    pending.clear()
                    await anyio.to_thread.run_sync(digest.update, block)
                    await file.write(block)
            digest.update(pending)
            await file.write(bytes(pending))
            await file.flush()
            await anyio.to_thread.run_sync(os.fsync, file.wrapped.fileno())
    except BaseException:
        await anyio.to_thread.run_sync(path.unlink, True)
        raise
    return Spooled(size, f"sha256:{digest.hexdigest()}")


def _within(limit: int, size: int) -> int:
    if size > limit:
        raise TooLargeError(limit)
    return size
