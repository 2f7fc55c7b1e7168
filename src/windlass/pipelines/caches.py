"""Caches of `actions/cache`: scoped by repository and ref, never changed, the least used thrown away.

A job reads what its own ref, the base of its pull request and the default branch have written, and writes for
its own ref only: a branch cannot plant anything that another one reads (CVE-2026-34042), but the default branch
can, for all.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from windlass.pipelines.errors import CacheError, ConflictError, NotFoundError
from windlass.pipelines.records import Cache
from windlass.pipelines.spool import Spooled, TooLargeError, part_in, spool

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from windlass.pipelines.settings import Settings
    from windlass.store import Store, Transaction

MAX_KEY = 512
MAX_KEYS = 10


@dataclass(frozen=True, slots=True)
class CacheScope:
    """Whose caches a job sees: the first of `refs` is its own, to which it writes; it reads them all."""

    repository: str
    refs: tuple[str, ...]
    job: str


def cache_refs(ref: str, event: str, *, base: str, default: str) -> tuple[str, ...]:
    """Return the refs of a job's `CacheScope`: of a run of `ref` for this event. Pure.

    `base` is the branch that a pull request is for, "" without one; `default` the default branch. What
    `pull_request_target` runs bears the base's ref, yet works on what a stranger may have written: it has a
    scope of its own, which nobody else reads.
    """
    own = f"{ref}@{event}" if event == "pull_request_target" else ref
    bases = [f"refs/heads/{branch}" for branch in (base, default) if branch]
    return tuple(dict.fromkeys((own, *bases)))


def check_key(key: str) -> str:
    """Return the key if it may be one, else raise `CacheError`."""
    if not key or len(key) > MAX_KEY or "," in key or not key.isprintable():
        raise CacheError(f"{key[:80]!r} cannot be a cache key: 1 to {MAX_KEY} characters without commas")
    return key


def _taken(scope: CacheScope, key: str) -> ConflictError:
    return ConflictError(f"there is a cache {key!r} for {scope.refs[0]} already; caches never change")


class Caches:
    """Keeps and hands out cache entries, `caches/actions/ID`."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings

    def path(self, entry: int) -> Path:
        """Where an entry lies."""
        return self._settings.caches / "actions" / str(int(entry))

    async def find(self, scope: CacheScope, keys: Sequence[str], version: str) -> Cache | None:
        """Return the entry for the first of `keys` that has one, exactly or as a prefix; the own ref's go first."""
        if not keys or len(keys) > MAX_KEYS:
            raise CacheError(f"1 to {MAX_KEYS} keys, not {len(keys)}")
        for ref in scope.refs:
            for key in keys:
                where = {"repository": scope.repository, "scope": ref, "version": version}
                row = await self._store.one("caches.found", prefix=check_key(key), **where)
                if row is not None and self.path(row["id"]).exists():
                    return Cache.of(row)
        return None

    async def check_new(self, scope: CacheScope, key: str, version: str) -> None:
        """Raise `ConflictError` where the job's own ref has an entry of this key already."""
        where = {"repository": scope.repository, "scope": scope.refs[0], "version": version[:MAX_KEY]}
        if await self._store.one("caches.exact", key=check_key(key), **where):
            raise _taken(scope, key)

    async def put(self, scope: CacheScope, key: str, version: str, chunks: AsyncIterator[bytes]) -> Cache:
        """Keep a new entry of the job's own ref; then throw away what is least used, over the limit.

        `ConflictError`: there is one of this key already (sent again by the same job it is the same entry).
        """
        where = {"repository": scope.repository, "scope": scope.refs[0], "key": check_key(key)}
        where["version"] = version[:MAX_KEY]
        old = await self._store.one("caches.exact", **where)
        if old and old["job"] != scope.job:
            raise _taken(scope, key)
        temporary = part_in(self._settings.caches / "actions")
        limit = min(self._settings.cache_entry_limit, self._settings.cache_limit)
        try:
            spooled = await spool(chunks, temporary, limit)
            cache = await self._store.transact(lambda tx: self._keep(tx, scope, where, temporary, spooled))
        except TooLargeError:
            raise CacheError(f"cache {key!r} is larger than {limit >> 20} MiB") from None
        finally:
            temporary.unlink(missing_ok=True)
        await self._evict(scope.repository, cache.id)
        return cache

    def _keep(
        self, tx: Transaction, scope: CacheScope, where: dict[str, str], temporary: Path, spooled: Spooled
    ) -> Cache:
        facts: dict[str, Any] = {"size": spooled.size, "digest": spooled.digest, "job": scope.job}
        made = tx.one("caches.insert", now=time.time(), **where, **facts)
        if made is None:
            old = tx.one("caches.exact", **where)
            if old is None or (old["job"], old["digest"]) != (scope.job, spooled.digest):
                raise _taken(scope, where["key"])
            return Cache.of(old)
        temporary.replace(self.path(made["id"]))
        tx.record("cache.saved", f"repo/{scope.repository}", key=where["key"], scope=where["scope"], **facts)
        return Cache.of(made)

    async def get(self, scope: CacheScope, entry: int) -> tuple[Cache, Path]:
        """Return an entry that the scope may read, and where it lies. Raises `NotFoundError`."""
        row = await self._store.one("caches.entry", id=entry)
        readable = row and row["repository"] == scope.repository and row["scope"] in scope.refs
        if row is None or not readable or not self.path(entry).exists():
            raise NotFoundError(f"no cache {entry} that this job may read")
        await self._store.transact(lambda tx: tx.run("caches.used", id=entry, now=time.time()))
        return Cache.of(row), self.path(entry)

    async def by_id(self, entry: int) -> Path:
        """Return where an entry lies, for who was given its address. Raises `NotFoundError`."""
        if await self._store.one("caches.entry", id=entry) is None or not self.path(entry).exists():
            raise NotFoundError(f"there is no cache {entry}: it was thrown away")
        return self.path(entry)

    async def list(self, repository: str) -> list[Cache]:
        """Return a repository's entries, the last used first."""
        return [
            Cache.of(row) for row in await self._store.read("caches.of_repository", repository=repository)
        ]

    async def _evict(self, repository: str, keep: int) -> None:
        while True:
            total = await self._store.one("caches.total", repository=repository)
            if total is None or total["size"] <= self._settings.cache_limit:
                return
            oldest = await self._store.one("caches.oldest", repository=repository, keep=keep)
            if oldest is None:
                return
            await self._delete(oldest["id"])

    async def _delete(self, entry: int) -> None:
        def work(tx: Transaction) -> None:
            if gone := tx.one("caches.delete", id=entry):
                tx.record("cache.deleted", f"repo/{gone['repository']}", key=gone["key"])

        await self._store.transact(work)
        self.path(entry).unlink(missing_ok=True)
