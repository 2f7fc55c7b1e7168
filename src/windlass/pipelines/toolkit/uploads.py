"""Uploads in blocks, as Azure's storage takes them, until an artifact or a cache entry is made of them."""

from __future__ import annotations

import re
import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import uuid4

import anyio
import anyio.to_thread

from windlass.pipelines.errors import ArtifactError, CacheError, NotFoundError, PipelinesError
from windlass.pipelines.spool import TooLargeError, spool

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from windlass.pipelines.settings import Settings
    from windlass.store import Row, Store

LIFETIME = 24 * 3600.0
MAX_OPEN = 32
"""Uploads that one job may have begun and not finished."""
MAX_BLOCKS = 10_000
MAX_BLOCK_ID = 100
_LISTED = re.compile(r"<(?:Latest|Uncommitted|Committed)>\s*([^<\s]*)\s*</")
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Upload:
    """One upload of a job: `kind` is artifact or cache, `name` the artifact's name or the cache's key."""

    id: str
    job: str
    kind: str
    name: str
    version: str
    retention: float | None
    size: int | None

    @property
    def number(self) -> int:
        """The upload's id as a number that JavaScript can hold."""
        return int(self.id, 16) >> 76

    @classmethod
    def of(cls, row: Row) -> Upload:
        """Return the upload of a row."""
        return cls(**{name: row[name] for name in cls.__slots__})


def block_ids(text: str) -> list[str]:
    """Return the blocks that a block list names, in its order. Raises `PipelinesError`."""
    found = _LISTED.findall(text)
    if len(found) > MAX_BLOCKS or len(set(found)) != len(found):
        raise PipelinesError(f"a block list names up to {MAX_BLOCKS} blocks, each once")
    return found


class Uploads:
    """Begun by a job, filled through a signed address, finished by the job; what is left over is deleted."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings

    def directory(self, upload: str) -> Path:
        """Where an upload's blocks lie."""
        return self._settings.directory / "uploads" / upload

    def blob(self, upload: str) -> Path:
        """Where an upload lies when its blocks are put together."""
        return self.directory(upload) / "blob"

    async def begin(
        self, job: str, kind: str, name: str, *, version: str = "", retention: float | None = None
    ) -> Upload:
        """Make room for an upload. Raises `PipelinesError` where the job has begun too many."""
        counted = await self._store.one("uploads.count", job=job)
        if counted and (
            counted["uploads"] >= MAX_OPEN or counted["size"] > self._settings.job_artifacts_limit
        ):
            raise PipelinesError(
                f"this job has {counted['uploads']} unfinished uploads of {counted['size'] >> 20} MiB: up to "
                f"{MAX_OPEN} and {self._settings.job_artifacts_limit >> 20} MiB are allowed"
            )
        upload = Upload(uuid4().hex, job, kind, name, version, retention, None)
        row = {field: getattr(upload, field) for field in Upload.__slots__ if field != "size"}
        now = time.time()
        times = {"created_at": now, "expires_at": now + LIFETIME}
        await self._store.transact(lambda tx: tx.run("uploads.insert", **row, **times))
        return upload

    async def get(self, upload: str) -> Upload:
        """Return an upload that was begun. Raises `NotFoundError`."""
        row = await self._store.one("uploads.upload", id=upload, now=time.time())
        if row is None:
            raise NotFoundError(f"there is no upload {upload[:40]}: it was finished, or its time is over")
        return Upload.of(row)

    async def finished(self, job: str, kind: str, name: str, version: str = "") -> Upload:
        """Return the job's last upload of this name whose blocks are put together. Raises `NotFoundError`."""
        row = await self._store.one("uploads.latest", job=job, kind=kind, name=name, version=version)
        if row is None:
            raise NotFoundError(f"nothing was uploaded for the {kind} {name[:80]!r}")
        return Upload.of(row)

    async def put_block(self, upload: Upload, block: str, chunks: AsyncIterator[bytes]) -> None:
        """Keep one block; the same one may come again."""
        if not block or len(block) > MAX_BLOCK_ID or not block.isascii():
            raise PipelinesError(f"a block has an id of 1 to {MAX_BLOCK_ID} characters")
        directory = self.directory(upload.id)
        there = await anyio.to_thread.run_sync(_sizes, directory)
        if len(there) >= MAX_BLOCKS:
            raise PipelinesError(f"an upload has up to {MAX_BLOCKS} blocks")
        await self._spool(upload, chunks, directory / _file_name(block), sum(there.values()))

    async def put(self, upload: Upload, chunks: AsyncIterator[bytes]) -> None:
        """Keep it all at once."""
        await self._spool(upload, chunks, self.blob(upload.id), 0)
        await self._complete(upload.id)

    async def commit(self, upload: Upload, blocks: list[str]) -> None:
        """Put the blocks together, in this order."""
        await anyio.to_thread.run_sync(self._join, upload.id, blocks)
        await self._complete(upload.id)

    async def commit_in_order(self, upload: Upload, size: str) -> None:
        """Put the blocks together in the order of their ids, if they are as large as is said. May be done again."""
        there = await anyio.to_thread.run_sync(_sizes, self.directory(upload.id))
        if not there and upload.size is not None:
            return
        if size not in {"", str(sum(there.values()))}:
            raise _refusal(upload, f"was to come to {size[:20]} bytes, and came to {sum(there.values())}")
        await self.commit(upload, await anyio.to_thread.run_sync(_block_ids, self.directory(upload.id)))

    async def of_job(self, job: str) -> list[Upload]:
        """Return what a job has begun and not finished."""
        return [Upload.of(row) for row in await self._store.read("uploads.of_job", job=job)]

    async def chunks(self, upload: Upload) -> AsyncIterator[bytes]:
        """Return what was uploaded, piece by piece."""
        async with await anyio.open_file(self.blob(upload.id), "rb") as stream:
            while chunk := await stream.read(_CHUNK):
                yield chunk

    async def end(self, upload: str) -> None:
        """Forget an upload and delete what is left of it."""
        await anyio.to_thread.run_sync(lambda: shutil.rmtree(self.directory(upload), ignore_errors=True))
        await self._store.transact(lambda tx: tx.run("uploads.delete", id=upload))

    async def expire(self) -> int:
        """Delete uploads whose time or job is over; returns how many."""
        rows = await self._store.read("uploads.stale", now=time.time())
        for row in rows:
            await self.end(row["id"])
        return len(rows)

    async def _spool(self, upload: Upload, chunks: AsyncIterator[bytes], target: Path, there: int) -> None:
        limit = self._limit(upload)
        temporary = target.with_name(f".{uuid4().hex}.part")
        try:
            await spool(chunks, temporary, max(0, limit - there))
            await anyio.to_thread.run_sync(temporary.replace, target)
        except TooLargeError:
            raise _refusal(upload, f"is larger than {limit >> 20} MiB") from None
        finally:
            await anyio.to_thread.run_sync(temporary.unlink, True)

    def _limit(self, upload: Upload) -> int:
        settings = self._settings
        return settings.artifact_limit if upload.kind == "artifact" else settings.cache_entry_limit

    def _join(self, upload: str, blocks: list[str]) -> None:
        directory = self.directory(upload)
        directory.mkdir(parents=True, exist_ok=True)
        temporary = directory / f".{uuid4().hex}.part"
        try:
            with temporary.open("wb") as writing:
                for block in blocks:
                    with (directory / _file_name(block)).open("rb") as reading:
                        shutil.copyfileobj(reading, writing, _CHUNK)
        except FileNotFoundError:
            temporary.unlink(missing_ok=True)
            raise PipelinesError("the block list names a block that was not uploaded") from None
        temporary.replace(directory / "blob")
        for path in directory.glob("block-*"):
            path.unlink(missing_ok=True)

    async def _complete(self, upload: str) -> None:
        size = (await anyio.to_thread.run_sync(self.blob(upload).stat)).st_size
        await self._store.transact(lambda tx: tx.run("uploads.committed", id=upload, size=size))


def _refusal(upload: Upload, what: str) -> PipelinesError:
    kind = ArtifactError if upload.kind == "artifact" else CacheError
    return kind(f"{upload.kind} {upload.name[:80]!r} {what}")


def _file_name(block: str) -> str:
    return f"block-{block.encode().hex()}"


def _block_ids(directory: Path) -> list[str]:
    """Return the ids of the blocks that lie there, in their order."""
    return sorted(
        bytes.fromhex(path.name.removeprefix("block-")).decode() for path in directory.glob("block-*")
    )


def _sizes(directory: Path) -> dict[str, int]:
    if not directory.is_dir():
        return {}
    return {path.name: path.stat().st_size for path in directory.glob("block-*")}
