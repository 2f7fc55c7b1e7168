"""Artifacts: zip files of a run, kept as `artifacts/RUN/NAME.zip`, checked before anybody can have them."""

from __future__ import annotations

import re
import stat
import struct
import time
import zipfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import anyio.to_thread

from windlass.pipelines.apply import run_of, subject
from windlass.pipelines.errors import ArtifactError, ConflictError, NotFoundError
from windlass.pipelines.records import Artifact
from windlass.pipelines.spool import Spooled, TooLargeError, part_in, spool

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from windlass.pipelines.settings import Settings
    from windlass.store import Store, Transaction

FORBIDDEN = re.compile(r'["<>|*?:\r\n\\/\x00-\x1f]')
MAX_NAME = 200
_HEADER = struct.Struct("<4s2xH18xHH")
"""Of a file in a zip: signature, flags, length of its name, length of the extra field."""
_SIGNATURE = b"PK\x03\x04"
_UTF8 = 0x800
_DESCRIPTOR = 24
"""Bytes that may follow a file's content: its sizes, when they were not known before."""
DRIVE = re.compile(r"^[A-Za-z]:")


def check_name(name: str) -> str:
    """Return the name if GitHub would take it, else raise `ArtifactError`."""
    if not name or len(name.encode()) > MAX_NAME or FORBIDDEN.search(name) or name in {".", ".."}:
        raise ArtifactError(
            f'{name[:80]!r} cannot name an artifact: 1 to {MAX_NAME} bytes, none of " : < > | * ? / \\ '
            "nor line breaks"
        )
    return name


def check_member(name: str) -> str | None:
    """Return what is wrong with a path in an archive; None if it stays inside wherever it is unpacked."""
    parts = PurePosixPath(name).parts
    if name.startswith("/") or "\\" in name or DRIVE.match(name) or "\0" in name:
        return "is absolute or not written with forward slashes"
    if ".." in parts:
        return "leads out of the archive"
    return None


def check_archive(path: Path, *, files: int, unpacked: int) -> int:
    """Check a zip and return how many files it has. Raises `ArtifactError` naming the first bad entry."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            hidden = _hidden(path, entries)
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise ArtifactError(f"the artifact is not a zip file: {error}") from error
    if len(entries) > files:
        raise ArtifactError(f"the artifact has {len(entries)} files; {files} are allowed: pack them first")
    if hidden:
        raise ArtifactError(hidden)
    seen: set[str] = set()
    for entry in entries:
        wrong = check_member(entry.orig_filename) or check_member(entry.filename)
        if stat.S_ISLNK(entry.external_attr >> 16):
            wrong = "is a symbolic link"
        if entry.filename in seen:
            wrong = "is there twice"
        if wrong:
            raise ArtifactError(f"{entry.orig_filename[:200]!r} in the artifact {wrong}")
        seen.add(entry.filename)
    if sum(entry.file_size for entry in entries) > unpacked:
        raise ArtifactError(f"the artifact unpacks to more than {unpacked >> 20} MiB")
    return sum(not entry.is_dir() for entry in entries)


def _hidden(path: Path, entries: list[zipfile.ZipInfo]) -> str | None:
    """Return what a reader would find that goes through the file instead of its table of contents; None: the same.

    Streaming readers, the toolkit's among them, take names from the headers in front of the files.
    """
    end = 0
    with path.open("rb") as stream:
        for entry in sorted(entries, key=lambda entry: entry.header_offset):
            stream.seek(entry.header_offset)
            header = stream.read(_HEADER.size)
            if len(header) < _HEADER.size:
                return f"{entry.orig_filename[:200]!r} in the artifact has no header"
            signature, flags, name_length, extra_length = _HEADER.unpack(header)
            name = stream.read(name_length).decode("utf-8" if flags & _UTF8 else "cp437", "replace")
            if signature != _SIGNATURE or name != entry.orig_filename:
                return (
                    f"{entry.orig_filename[:200]!r} in the artifact has another name in front of its content"
                )
            if not 0 <= entry.header_offset - end <= _DESCRIPTOR:
                return f"the artifact has something hidden in front of {entry.orig_filename[:200]!r}"
            end = stream.tell() + extra_length + entry.compress_size
    return None


def _taken(run: int, name: str) -> ConflictError:
    return ConflictError(
        f"run {run} has an artifact {name!r} already: choose another name, or `overwrite: true`"
    )


class Artifacts:
    """Keeps and hands out artifacts."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings

    def path(self, run: int, name: str) -> Path:
        """Where an artifact lies."""
        return self._settings.artifacts / str(run) / f"{check_name(name)}.zip"

    async def check_new(self, job: str, name: str) -> str:
        """Return the name if the job may upload an artifact of it. Raises `ArtifactError`, `ConflictError`."""
        if await self._store.one("artifacts.artifact", run=run_of(job), name=check_name(name)):
            raise _taken(run_of(job), name)
        return name

    async def put(
        self,
        job: str,
        name: str,
        chunks: AsyncIterator[bytes],
        *,
        overwrite: bool = False,
        retention: float | None = None,
        digest: str = "",
    ) -> Artifact:
        """Keep what a job uploads. `ArtifactError` refuses it, `ConflictError`: the run has one of this name.

        `retention` in seconds, at most the server's own. `digest` (`sha256:…`) is what it must come to.
        """
        path = self.path(run_of(job), name)
        if not overwrite:
            await self._refuse_second(job, name)
        total = await self._store.one("artifacts.total", job=job)
        left = self._settings.job_artifacts_limit - int(total["size"] if total else 0)
        limit = max(0, min(left, self._settings.artifact_limit))
        temporary = part_in(path.parent)
        try:
            spooled = await spool(chunks, temporary, limit)
            if digest and digest != spooled.digest:
                raise ArtifactError(
                    f"artifact {name!r} came to {spooled.digest}, not {digest[:80]}: upload it again"
                )
            files = await anyio.to_thread.run_sync(self._check, temporary)
            return await self._keep(
                job, name, temporary, spooled, files, overwrite=overwrite, retention=retention
            )
        except TooLargeError:
            raise ArtifactError(
                f"artifact {name!r} is larger than {limit >> 20} MiB, which is what this job has left"
            ) from None
        finally:
            temporary.unlink(missing_ok=True)

    def _check(self, path: Path) -> int:
        limits = self._settings
        return check_archive(path, files=limits.artifact_files, unpacked=limits.artifact_unpacked)

    async def _refuse_second(self, job: str, name: str) -> None:
        old = await self._store.one("artifacts.artifact", run=run_of(job), name=name)
        if old and old["job"] != job:
            raise _taken(run_of(job), name)

    async def _keep(
        self,
        job: str,
        name: str,
        temporary: Path,
        spooled: Spooled,
        files: int,
        *,
        overwrite: bool,
        retention: float | None,
    ) -> Artifact:
        now, most = time.time(), self._settings.artifact_retention
        artifact = Artifact(
            run_of(job),
            name,
            job,
            spooled.size,
            files,
            spooled.digest,
            now,
            now + min(retention or most, most),
        )

        def work(tx: Transaction) -> Artifact:
            old = tx.one("artifacts.artifact", run=artifact.run, name=name)
            if old and (old["job"], old["digest"]) == (job, artifact.digest):
                return Artifact.of(old)  # sent again, because the answer was lost
            if old and not overwrite:
                raise _taken(artifact.run, name)
            temporary.replace(self.path(artifact.run, name))
            row = {field: getattr(artifact, field) for field in Artifact.__slots__ if field != "id"}
            tx.run("artifacts.next_id")
            (made,) = tx.run("artifacts.insert", **row)
            facts: dict[str, Any] = {"size": artifact.size, "files": files, "digest": artifact.digest}
            tx.record("artifact.uploaded", subject(artifact.run), job=job, name=name, **facts)
            return Artifact.of(made)

        return await self._store.transact(work)

    async def list(self, run: int) -> list[Artifact]:
        """Return a run's artifacts by name."""
        return [Artifact.of(row) for row in await self._store.read("artifacts.of_run", run=run)]

    async def get(self, run: int, name: str) -> tuple[Artifact, Path]:
        """Return an artifact and where its zip lies. Raises `NotFoundError`."""
        row = await self._store.one("artifacts.artifact", run=run, name=check_name(name))
        path = self.path(run, name)
        if row is None or not path.exists():
            raise NotFoundError(f"run {run} has no artifact {name!r}")
        return Artifact.of(row), path

    async def by_id(self, number: int) -> tuple[Artifact, Path]:
        """Return an artifact by its number, and where its zip lies. Raises `NotFoundError`."""
        row = await self._store.one("artifacts.by_id", id=number)
        if row is None:
            raise NotFoundError(f"there is no artifact {number}: it was deleted, or replaced by a newer one")
        return await self.get(row["run"], row["name"])

    async def delete(self, job: str, name: str) -> Artifact:
        """Delete an artifact of a job's run, in the job's name. Raises `NotFoundError`."""
        artifact, path = await self.get(run_of(job), name)

        def work(tx: Transaction) -> None:
            path.unlink(missing_ok=True)  # on the writer's thread, so that it cannot be a successor's
            if tx.run("artifacts.delete", run=artifact.run, name=name):
                tx.record("artifact.deleted", subject(artifact.run), job=job, name=name)

        await self._store.transact(work)
        return artifact

    async def expire(self) -> int:
        """Delete artifacts whose time is over; returns how many."""
        rows = await self._store.read("artifacts.expired", now=time.time())
        for row in rows:
            self.path(row["run"], row["name"]).unlink(missing_ok=True)

            def work(tx: Transaction, run: int = row["run"], name: str = row["name"]) -> None:
                tx.run("artifacts.delete", run=run, name=name)
                tx.record("artifact.expired", subject(run), name=name)

            await self._store.transact(work)
        return len(rows)
