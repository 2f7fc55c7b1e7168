"""The registry's state: blobs as files by digest, everything else in the store."""

from __future__ import annotations

import hashlib
import json
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread

from windlass.registry.blobs import Blobs
from windlass.registry.errors import (
    BlobUnknownError,
    DeniedError,
    DigestInvalidError,
    ImmutableTagError,
    ManifestBlobUnknownError,
    ManifestUnknownError,
)
from windlass.registry.manifests import read_manifest
from windlass.registry.reference import DIGEST

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from windlass.identity import Principal
    from windlass.registry.blobs import Upload
    from windlass.registry.manifests import Descriptors
    from windlass.store import Store, Transaction

IMMUTABLE = re.compile(r"sha-[0-9a-f]{7,64}|[0-9a-f]{40}")
"""Tags that hold a commit's id stand for one digest for ever."""
YOUNG = 3600.0
"""Seconds after which asking for an unneeded blob makes it young again, so that it is not collected."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest or index as it was pushed."""

    digest: str
    media_type: str
    body: bytes

    @property
    def size(self) -> int:
        """The length in bytes."""
        return len(self.body)


@dataclass(frozen=True, slots=True)
class Collected:
    """What garbage collection removed."""

    blobs: int
    bytes: int
    uploads: int


class Registry:
    """Images by repository, tag and digest. Blobs lie in `root/blobs/sha256/ab/…`, uploads in `root/uploads`.

    Ledger: `registry.pushed` (subject `image/OWNER/NAME`, data `{tag, digest, pusher}`) for each manifest
    that was pushed or tagged (`tag` is None for a push by digest), `registry.deleted`. `max_blob` and
    `min_free` (what must stay free on the disk for uploads to begin) are in bytes.
    """

    def __init__(
        self, store: Store, root: Path, *, max_blob: int = 32 << 30, min_free: int = 512 << 20
    ) -> None:
        self._store = store
        self.blobs = Blobs(root, max_blob=max_blob, min_free=min_free)

    async def repositories(self, *, last: str = "") -> list[str]:
        """Return the names of all repositories that hold a manifest, those after `last`."""
        return [row["repository"] for row in await self._store.read("registry.repositories", last=last)]

    async def known(self, repository: str) -> bool:
        """Tell whether anything was ever pushed to the repository."""
        return await self._store.one("registry.known", repository=repository) is not None

    async def tags(self, repository: str, *, last: str = "", limit: int = 1_000_000) -> dict[str, str]:
        """Return a repository's tags in order: name to digest; at most `limit` of those after `last`."""
        rows = await self._store.read("registry.tags", repository=repository, last=last, limit=limit)
        return {row["tag"]: row["digest"] for row in rows}

    async def resolve(self, repository: str, reference: str) -> str | None:
        """Return the digest of a tag or digest (`v1`, `sha256:…`), or None if it is not there."""
        if DIGEST.fullmatch(reference):
            row = await self._store.one("registry.manifest", repository=repository, digest=reference)
        else:
            row = await self._store.one("registry.tag", repository=repository, tag=reference)
        return str(row["digest"]) if row else None

    async def manifest(self, repository: str, digest: str) -> Manifest | None:
        """Return a manifest by digest, or None."""
        row = await self._store.one("registry.manifest", repository=repository, digest=digest)
        if row is None:
            return None
        body = await anyio.Path(self.blobs.path(digest)).read_bytes()
        return Manifest(digest, row["media_type"], body)

    async def config(self, repository: str, digest: str) -> dict[str, Any] | None:
        """Return the image configuration of the manifest `digest` (of an index: its first image), or None."""
        manifest = await self.manifest(repository, digest)
        if manifest is None:
            return None
        document = json.loads(manifest.body)
        if document.get("manifests"):
            return await self.config(repository, document["manifests"][0]["digest"])
        wanted = document.get("config", {}).get("digest", "")
        if await self.blob_size(repository, wanted) is None:
            return None
        found = json.loads(await anyio.Path(self.blobs.path(wanted)).read_bytes())
        return found if isinstance(found, dict) else None

    async def blob_size(self, repository: str, digest: str) -> int | None:
        """Return a blob's length in bytes, or None if the repository does not have it."""
        row = await self._store.one("registry.blob", repository=repository, digest=digest)
        if row is None:
            return None
        if row["at"] < time.time() - YOUNG and not await self._needed(repository, digest):
            await self._add_blob(repository, digest, row["size"])
        return int(row["size"])

    async def _needed(self, repository: str, digest: str) -> bool:
        return await self._store.one("registry.needed", repository=repository, digest=digest) is not None

    async def _add_blob(self, repository: str, digest: str, size: int) -> None:
        row = {"repository": repository, "digest": digest, "size": size, "at": time.time()}
        await self._store.transact(lambda tx: tx.run("registry.add_blob", **row))

    async def finish(self, upload: Upload, digest: str) -> None:
        """Turn an upload into a blob of its repository; `DigestInvalidError` if it is another content."""
        size = upload.size
        await self.blobs.verify(upload, digest)
        async with self.blobs.lock:
            await self.blobs.settle(upload, digest)
            await self._add_blob(upload.repository, digest, size)

    async def mount(self, repository: str, digest: str, source: str) -> bool:
        """Give a repository a blob that `source` has; False if it does not have it."""
        async with self.blobs.lock:
            row = await self._store.one("registry.blob", repository=source, digest=digest)
            if row is None:
                return False
            await self._add_blob(repository, digest, row["size"])
            return True

    async def delete_blob(self, repository: str, digest: str) -> None:
        """Take a blob from a repository; `DeniedError` while a manifest needs it."""
        if await self._needed(repository, digest):
            raise DeniedError(f"A manifest needs {digest}. Delete the manifest first.")
        row = {"repository": repository, "digest": digest}
        if not await self._store.transact(lambda tx: tx.run("registry.drop_blob", **row)):
            raise BlobUnknownError(f"{repository} has no blob {digest}.")

    async def push_manifest(
        self, repository: str, reference: str, body: bytes, content_type: str, pusher: Principal
    ) -> tuple[str, Descriptors]:
        """Store a manifest under a tag or its digest and return the digest, with what it says of itself."""
        descriptors = read_manifest(body, content_type)
        digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
        tag = None if ":" in reference else reference
        if tag is None and reference != digest:
            raise DigestInvalidError(f"The manifest's digest is {digest}, not {reference}.")
        manifest = Manifest(digest, descriptors.media_type, body)
        async with self.blobs.lock:
            await self._require(repository, descriptors)
            await anyio.to_thread.run_sync(self.blobs.put, digest, body)
            await self._store.transact(lambda tx: _add(tx, repository, tag, manifest, descriptors, pusher))
        return digest, descriptors

    async def _require(self, repository: str, descriptors: Descriptors) -> None:
        for query, digests in (("blob", descriptors.blobs), ("manifest", descriptors.manifests)):
            for digest in dict.fromkeys(digests):
                if not await self._store.one(f"registry.{query}", repository=repository, digest=digest):
                    raise ManifestBlobUnknownError(f"{repository} has no {query} {digest}. Push it first.")

    async def delete_manifest(self, repository: str, reference: str, pusher: Principal) -> None:
        """Delete a tag, or a manifest by digest with its tags. Immutable tags need `registry:admin`."""
        by_digest = ":" in reference
        tags = [reference]
        if by_digest:
            rows = await self._store.read("registry.tags_of", repository=repository, digest=reference)
            tags = [row["tag"] for row in rows]
        held = [tag for tag in tags if IMMUTABLE.fullmatch(tag)]
        if held and not pusher.may("registry:admin", repository):
            raise DeniedError(f"The tag {held[0]} holds a commit's id: only registry:admin may delete it.")
        work = _drop_manifest if by_digest else _drop_tag
        if not await self._store.transact(lambda tx: work(tx, repository, reference, pusher)):
            raise ManifestUnknownError(f"{repository} has no {reference}.")

    async def referrers(self, repository: str, subject: str) -> list[dict[str, Any]]:
        """Return the descriptors of the manifests that name `subject` as their subject."""
        rows = await self._store.read("registry.referrers", repository=repository, subject=subject)
        return [_descriptor(row) for row in rows]

    async def collect(self, *, grace: float = 86_400) -> Collected:
        """Delete blobs that no manifest needs, and uploads left alone, both older than `grace` seconds.

        Safe beside pushes: a blob that was uploaded, mounted or asked for within `grace` stays.
        """
        before = time.time() - grace
        uploads = await self.blobs.sweep_uploads(before)
        async with self.blobs.lock:
            await self._store.transact(lambda tx: tx.run("registry.drop_unneeded", before=before))
            known = {row["digest"] for row in await self._store.read("registry.digests")}
            count, size = await anyio.to_thread.run_sync(self.blobs.sweep, known, before)
        return Collected(count, size, uploads)


def _add(  # noqa: PLR0917 the columns of one row
    tx: Transaction,
    repository: str,
    tag: str | None,
    manifest: Manifest,
    descriptors: Descriptors,
    pusher: Principal,
) -> None:
    where = {"repository": repository, "digest": manifest.digest}
    now = time.time()
    if tag is not None and IMMUTABLE.fullmatch(tag):
        held = tx.one("registry.tag", repository=repository, tag=tag)
        if held and held["digest"] != manifest.digest:
            raise ImmutableTagError(
                f"The tag {tag} holds a commit's id and stands for {held['digest']} already. Such a tag never "
                "changes: push under another tag, or build so that the same commit gives the same image."
            )
    tx.run(
        "registry.add_manifest",
        **where,
        media_type=manifest.media_type,
        size=manifest.size,
        subject=descriptors.subject,
        artifact_type=descriptors.artifact_type,
        annotations=json.dumps(descriptors.annotations),
        at=now,
    )
    for digest in (*descriptors.blobs, *descriptors.manifests):
        tx.run("registry.need", repository=repository, manifest=manifest.digest, digest=digest)
    if tag is not None:
        tx.run("registry.set_tag", **where, tag=tag, at=now)
    data = {"tag": tag, "digest": manifest.digest, "pusher": pusher.name}
    tx.record("registry.pushed", f"image/{repository}", actor=f"{pusher.kind}/{pusher.name}", **data)


def _drop_tag(tx: Transaction, repository: str, tag: str, pusher: Principal) -> bool:
    dropped = tx.one("registry.drop_tag", repository=repository, tag=tag)
    if dropped:
        who = f"{pusher.kind}/{pusher.name}"
        tx.record("registry.deleted", f"image/{repository}", actor=who, tag=tag, digest=dropped["digest"])
    return dropped is not None


def _drop_manifest(tx: Transaction, repository: str, digest: str, pusher: Principal) -> bool:
    where = {"repository": repository, "digest": digest}
    if tx.one("registry.needed", **where):
        raise DeniedError(f"An index needs {digest}. Delete the index first.")
    tx.run("registry.drop_tags_of", **where)
    tx.run("registry.drop_needs", repository=repository, manifest=digest)
    dropped = tx.one("registry.drop_manifest", **where)
    if dropped:
        who = f"{pusher.kind}/{pusher.name}"
        tx.record("registry.deleted", f"image/{repository}", actor=who, tag=None, digest=digest)
    return dropped is not None


def _descriptor(row: Mapping[str, Any]) -> dict[str, Any]:
    annotations = json.loads(row["annotations"])
    return {
        "mediaType": row["media_type"],
        "digest": row["digest"],
        "size": row["size"],
        **({"artifactType": row["artifact_type"]} if row["artifact_type"] else {}),
        **({"annotations": annotations} if annotations else {}),
    }
