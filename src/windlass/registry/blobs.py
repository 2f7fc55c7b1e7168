"""Blobs as files by digest, and uploads on the way to become one. The disk's side of the registry."""

from __future__ import annotations

import hashlib
import os
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING
from uuid import uuid4

import anyio
import anyio.to_thread

from windlass.registry.errors import (
    DigestInvalidError,
    RefusedError,
    SizeInvalidError,
    UploadUnknownError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

CHUNK = 1 << 20
MAX_OPEN = 1000
HEX = frozenset("0123456789abcdef")


class DiskFullError(RefusedError):
    """Too little space is left on the registry's disk."""

    status, code = 507, "TOOMANYREQUESTS"


class Upload:
    """A blob on its way in. What has arrived is on disk and outlives the server; one request writes at a time."""

    def __init__(self, folder: Path, repository: str, size: int = 0) -> None:
        self.id = folder.name
        self.repository = repository
        self.lock = anyio.Lock()
        self.path = folder / "data"
        self.size = size
        self._hash = hashlib.sha256()
        self._hashed = 0

    def append(self, data: bytes) -> None:
        """Write to the end, all of it or nothing. Blocks."""
        try:
            with self.path.open("ab") as file:
                file.write(data)
        except OSError:
            # What a full disk took of it would stand between this and what the client sends next.
            os.truncate(self.path, self.size)
            raise
        if self._hashed == self.size:
            self._hash.update(data)
            self._hashed += len(data)
        self.size += len(data)

    def digest(self) -> str:
        """Return the digest of all that has arrived; what came before a restart is read again. Blocks."""
        if self._hashed != self.size:
            with self.path.open("rb") as file:
                self._hash = hashlib.file_digest(file, "sha256")
            self._hashed = self.size
        return f"sha256:{self._hash.hexdigest()}"


class Blobs:
    """`root/blobs/sha256/ab/HEX` and `root/uploads/ID/{data,repository}`.

    `settle` and `sweep` exclude each other through `lock`, which their callers hold: so no file goes
    between the moment it is found to be there and the moment the store says who needs it.
    """

    def __init__(self, root: Path, *, max_blob: int, min_free: int) -> None:
        self._root = root
        self._uploads = root / "uploads"
        self._max_blob = max_blob
        self._min_free = min_free
        self._open: dict[str, Upload] = {}
        self.lock = anyio.Lock()

    def path(self, digest: str) -> Path:
        """Return where a blob lies; the digest must be well formed."""
        digits = digest.removeprefix("sha256:")
        if len(digits) != 64 or not HEX.issuperset(digits):
            raise DigestInvalidError(
                f"{digest[:140]!r} is not a digest that is kept here (sha256:<64 hex digits>)."
            )
        return self._root / "blobs" / "sha256" / digits[:2] / digits

    async def begin(self, repository: str) -> Upload:
        """Start an upload."""
        upload = Upload(self._uploads / uuid4().hex, repository)
        self._remember(upload)
        async with upload.lock:  # a sweep must not take it for one that was left alone
            try:
                await anyio.to_thread.run_sync(self._make_room, upload)
            except BaseException:
                self._open.pop(upload.id, None)
                raise
        return upload

    def _make_room(self, upload: Upload) -> None:
        self._uploads.mkdir(parents=True, exist_ok=True)
        if shutil.disk_usage(self._uploads).free < self._min_free:
            raise DiskFullError(
                f"Less than {self._min_free >> 20} MiB are free on the registry's disk. Delete images, collect garbage."
            )
        folder = upload.path.parent
        folder.mkdir()
        (folder / "repository").write_text(upload.repository, encoding="utf-8")
        upload.path.touch()

    def _remember(self, upload: Upload) -> None:
        """Keep an upload's hash in memory; of too many the oldest idle one is read from disk when it goes on."""
        idle = (known for known, other in self._open.items() if not other.lock.locked())
        if len(self._open) >= MAX_OPEN and (oldest := next(idle, None)):
            del self._open[oldest]
        self._open[upload.id] = upload

    def find(self, repository: str, upload_id: str) -> Upload:
        """Return an upload under way in this repository, also one from before a restart."""
        upload = self._known(upload_id)
        if upload is None or upload.repository != repository:
            raise UploadUnknownError("No such upload is under way. Begin again with POST …/blobs/uploads/.")
        return upload

    def _known(self, upload_id: str) -> Upload | None:
        upload = self._open.get(upload_id)
        if upload is None and len(upload_id) == 32 and HEX.issuperset(upload_id):
            folder = self._uploads / upload_id
            with suppress(FileNotFoundError):
                size = (folder / "data").stat().st_size
                upload = Upload(folder, (folder / "repository").read_text(encoding="utf-8"), size)
                self._remember(upload)
        return upload

    async def extend(self, upload: Upload, chunks: AsyncIterator[bytes]) -> None:
        """Write all chunks to the end of the upload, about a megabyte at a time."""
        buffered: list[bytes] = []
        size = 0
        try:
            async for chunk in chunks:
                buffered.append(chunk)
                size += len(chunk)
                if upload.size + size > self._max_blob:
                    raise SizeInvalidError(f"A blob may have at most {self._max_blob} bytes.", status=413)
                if size >= CHUNK:
                    piece, buffered, size = b"".join(buffered), [], 0
                    await anyio.to_thread.run_sync(upload.append, piece)
        finally:
            if buffered:
                with anyio.CancelScope(shield=True):
                    await anyio.to_thread.run_sync(upload.append, b"".join(buffered))

    async def verify(self, upload: Upload, digest: str) -> None:
        """Check the upload against `digest` and make it durable; `DigestInvalidError` drops it."""
        target = self.path(digest)
        found = await anyio.to_thread.run_sync(upload.digest)
        if found != digest:
            await self.drop(upload)
            raise DigestInvalidError(f"The content's digest is {found}, not {digest}. Upload it again.")
        await anyio.to_thread.run_sync(_sync, upload.path, target)

    async def settle(self, upload: Upload, digest: str) -> None:
        """Put a verified upload in its place. The caller holds `lock`."""
        await anyio.to_thread.run_sync(_settle, upload.path, self.path(digest))
        await self.drop(upload)

    async def drop(self, upload: Upload) -> None:
        """Forget an upload."""
        self._open.pop(upload.id, None)
        await anyio.to_thread.run_sync(lambda: shutil.rmtree(upload.path.parent, ignore_errors=True))

    def put(self, digest: str, content: bytes) -> None:
        """Write a small blob whose digest was computed from it. Blocks. The caller holds `lock`."""
        target = self.path(digest)
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh = target.with_name(f".{target.name}.{uuid4().hex}")
        fresh.write_bytes(content)
        _sync(fresh, target)
        _settle(fresh, target)

    def sweep(self, known: set[str], before: float) -> tuple[int, int]:
        """Delete files that are not `known` and older than `before`: number, bytes. The caller holds `lock`."""
        count = size = 0
        for path in self._files():
            stat = path.stat()
            if f"sha256:{path.name}" not in known and stat.st_mtime < before:
                path.unlink()
                count, size = count + 1, size + stat.st_size
        return count, size

    def _files(self) -> Iterator[Path]:
        yield from (self._root / "blobs" / "sha256").glob("*/*")

    async def sweep_uploads(self, before: float) -> int:
        """Delete uploads to which nothing came since `before`, and say how many. One that goes on just now stays."""
        count = 0
        for upload_id in await anyio.to_thread.run_sync(self._left_alone, before):
            upload = self._known(upload_id)
            if upload is None or upload.lock.locked():
                continue
            async with upload.lock:
                if _young(upload.path, before):
                    continue
                await self.drop(upload)
            count += 1
        return count

    def _left_alone(self, before: float) -> list[str]:
        return [data.parent.name for data in self._uploads.glob("*/data") if not _young(data, before)]


def _young(path: Path, before: float) -> bool:
    """Whether something came since `before`; what has gone meanwhile became a blob, or was cancelled."""
    try:
        return path.stat().st_mtime >= before
    except FileNotFoundError:
        return True


def _sync(source: Path, target: Path) -> None:
    """Make a file durable, unless its content lies there already."""
    if not target.exists():
        with source.open("rb") as file:
            os.fsync(file.fileno())


def _settle(source: Path, target: Path) -> None:
    """Move a durable file to its place in one step; if it is there already it becomes young again."""
    if target.exists():
        os.utime(target)
        source.unlink()
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    source.rename(target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
