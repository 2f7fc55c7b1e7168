"""Tells forges how their commits stand: the status of each run and delivery, until the forge has taken it.

Level-triggered: what is to be said is asked of the port, what was said last stands in `told_statuses`; the
difference is said. So nothing is lost by a crash, and what changed meanwhile is said once, as it is now.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import anyio
import httpx2
import structlog

from windlass.repos.forges.api import already_said, speaks, status_request

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from windlass.repos.forges.api import Standing
    from windlass.repos.forges.records import Remote
    from windlass.repos.forges.remotes import Credential, Remotes
    from windlass.store import Row, Store

IDLE = 60.0
PACE = 0.5
"""Seconds in which news travel together."""
TIMEOUT = 15.0
FIRST_RETRY, LAST_RETRY = 2.0, 1800.0
REMEMBERED = 30 * 86400.0
PARALLEL = 4

log = structlog.get_logger()


class Standings(Protocol):
    """Says how commits stand."""

    async def of_repository(self, repository: str) -> Sequence[Standing]:
        """Return how its recent commits stand: of each commit and context one, the newest last."""
        ...


@dataclass(frozen=True, slots=True)
class Told:
    """What was said last of a commit and context, or tried to be."""

    state: str
    description: str
    url: str
    told_at: float | None
    attempts: int
    next_at: float

    def same(self, standing: Standing) -> bool:
        """Whether it is what is to be said now."""
        return (self.state, self.description, self.url) == (
            standing.state,
            standing.description,
            standing.url,
        )


Key = tuple[str, str]


def to_tell(wanted: Iterable[Standing], told: Mapping[Key, Told], now: float) -> tuple[list[Standing], float]:
    """Return what to say now, and when to try again what the forge did not take. Pure."""
    latest = {(standing.sha, standing.context): standing for standing in wanted}
    due, next_at = [], now + IDLE
    for key, standing in latest.items():
        last = told.get(key)
        if last is None or not last.same(standing):
            due.append(standing)
        elif last.told_at is None:
            if last.next_at <= now:
                due.append(standing)
            else:
                next_at = min(next_at, last.next_at)
    return due, next_at


def retry_after(attempts: int, headers: Mapping[str, str]) -> float:
    """Return the seconds to wait after a refusal: twice as long each time, or what the forge asks for."""
    asked = headers.get("retry-after", "")
    own = min(FIRST_RETRY * 2.0 ** min(attempts, 12), LAST_RETRY)
    return max(own, min(float(asked), LAST_RETRY)) if asked.isascii() and asked.isdigit() else own


class Telling:
    """`run()` tells until cancelled. What a credential may not do is written into `told_statuses.error`."""

    def __init__(self, store: Store, remotes: Remotes, standings: Standings) -> None:
        self._store = store
        self._remotes = remotes
        self._standings = standings
        self._limiter = anyio.CapacityLimiter(PARALLEL)

    async def run(self) -> None:
        """Say what is to be said whenever something changed."""
        expire_at = 0.0
        kinds = ("run.*", "job.*", "delivery.*", "hold.*", "repository.remote")
        async with httpx2.AsyncClient(timeout=TIMEOUT, follow_redirects=False) as client:
            with self._store.subscribe(*kinds) as feed:
                while True:
                    next_at = time.time() + IDLE
                    try:
                        next_at = await self.tell(client)
                        if time.time() >= expire_at:
                            expire_at = time.time() + 3600.0
                            await self._expire()
                    except Exception:
                        log.exception("statuses could not be told; trying again")
                    if await feed.wait(max(0.05, next_at - time.time())):
                        await anyio.sleep(PACE)
                        await feed.wait(0)

    async def tell(self, client: httpx2.AsyncClient) -> float:
        """Say everything that is due, and return when to try again."""
        found: list[float] = []

        async def one(remote: Remote) -> None:
            async with self._limiter:
                found.append(await self._tell_one(remote, client))

        async with anyio.create_task_group() as tasks:
            for remote in await self._remotes.list():
                if speaks(remote):
                    tasks.start_soon(one, remote)
        return min(found, default=time.time() + IDLE)

    async def _tell_one(self, remote: Remote, client: httpx2.AsyncClient) -> float:
        repo = remote.repository
        wanted = await self._standings.of_repository(repo)
        rows = await self._store.read("remotes.told", repository=repo)
        told = {(row["sha"], row["context"]): _told(row) for row in rows}
        due, next_at = to_tell(wanted, told, time.time())
        credential = await self._remotes.credential(remote)
        for standing in due if credential else ():
            assert credential is not None  # noqa: S101 for the type checker
            last = told.get((standing.sha, standing.context))
            attempts = last.attempts if last and last.told_at is None and last.same(standing) else 0
            head = await self._head_of(repo, standing)
            next_at = min(next_at, await self._post(remote, standing, head, credential, attempts, client))
        return next_at

    async def _head_of(self, repo: str, standing: Standing) -> str:
        """Return the commit that the forge knows: runs of pull requests are on merges that it may not know."""
        row = await self._store.one("pulls.head_of", repository=repo, merge_sha=standing.sha)
        return str(row["head_sha"]) if row else standing.sha

    async def _post(  # noqa: PLR0917 all of one statement
        self,
        remote: Remote,
        standing: Standing,
        head: str,
        credential: Credential,
        attempts: int,
        client: httpx2.AsyncClient,
    ) -> float:
        """Say one thing and write down how that went; returns when to say it again, if it was not taken."""
        request = status_request(remote, replace(standing, sha=head), credential)
        headers: Mapping[str, str] = {}
        try:
            answer = await client.request(
                request.method, request.url, json=request.json, headers=request.headers
            )
            good = answer.is_success or already_said(remote.forge, answer.status_code, answer.text[:1000])
            error = "" if good else f"{answer.status_code} {' '.join(answer.text[:300].split())}"
            headers = answer.headers
        except httpx2.HTTPError as failure:
            error = f"{type(failure).__name__}: {failure}"[:300]
        now = time.time()
        next_at = now if not error else now + retry_after(attempts, headers)
        if error:
            log.warning(
                "a status was not taken", repo=remote.repository, context=standing.context, error=error
            )
        row = {
            "repository": remote.repository,
            "sha": standing.sha,
            "context": standing.context,
            "state": standing.state,
            "description": standing.description,
            "url": standing.url,
            "told_at": None if error else now,
            "attempts": attempts + 1 if error else 0,
            "next_at": next_at,
            "error": error,
        }

        await self._store.transact(lambda tx: tx.run("remotes.tell", **row))
        return next_at if error else now + IDLE

    async def _expire(self) -> None:
        before = time.time() - REMEMBERED
        await self._store.transact(lambda tx: tx.run("remotes.expire_told", before=before))


def _told(row: Row) -> Told:
    names = ("state", "description", "url", "told_at", "attempts", "next_at")
    return Told(**{name: row[name] for name in names})
