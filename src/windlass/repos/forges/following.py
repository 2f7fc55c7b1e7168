"""Follows forges: looks when a webhook asks for it, or every so many seconds; then does what webhooks told.

Level-triggered: what a webhook told stands in `hook_deliveries` until it is done, and when to look next in
`repo_remotes`. A crash in between leaves both.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import anyio
import httpx2
import structlog

from windlass.repos.errors import ReposError
from windlass.repos.events import NewEvent, write_event
from windlass.repos.forges.api import refs_request
from windlass.repos.forges.arrivals import Arrivals
from windlass.repos.forges.mirror import ApartError, Mirror
from windlass.repos.webhooks import RemotePush

if TYPE_CHECKING:
    from collections.abc import Mapping

    from windlass.repos.forges.records import Remote
    from windlass.repos.forges.remotes import Credential, Remotes
    from windlass.repos.repositories import Repositories
    from windlass.store import Row, Store, Transaction

PARALLEL = 4
IDLE = 30.0
FIRST_RETRY, LAST_RETRY = 5.0, 900.0
ATTEMPTS = 8
RETENTION = 7 * 86400.0
"""Seconds that a delivery is remembered after it is done; GitHub offers redeliveries for three days."""
API_SECONDS = 15.0

log = structlog.get_logger()


def backoff(failures: int) -> float:
    """Return the seconds to wait after that many failures in a row."""
    return min(FIRST_RETRY * 2.0 ** min(failures, 10), LAST_RETRY)


class Following:
    """`run()` keeps all repositories with a remote up to it, until cancelled."""

    def __init__(self, store: Store, repositories: Repositories, remotes: Remotes) -> None:
        self._store = store
        self._remotes = remotes
        self._mirror = Mirror(repositories)
        self._arrivals = Arrivals(store, repositories, self._mirror)
        self._busy: set[str] = set()
        self._limiter = anyio.CapacityLimiter(PARALLEL)

    async def run(self) -> None:
        """Look whenever a repository is due."""
        expire_at = 0.0
        with self._store.subscribe("forge.hook", "repository.remote") as feed:
            async with anyio.create_task_group() as tasks, httpx2.AsyncClient(timeout=API_SECONDS) as client:
                while True:
                    pause = IDLE
                    try:
                        pause = await self._start_due(tasks, client)
                        if time.time() >= expire_at:
                            expire_at = time.time() + 3600.0
                            await self._expire()
                    except Exception:
                        log.exception("forges could not be followed; trying again")
                    await feed.wait(pause)

    async def _start_due(self, tasks: anyio.abc.TaskGroup, client: httpx2.AsyncClient) -> float:
        """Begin to look where it is time, and return the seconds until the next."""
        now = time.time()
        pause = IDLE
        for remote in await self._remotes.due():
            if remote.repository in self._busy:
                pause = min(pause, 0.2)
            elif (remote.next_at or 0.0) <= now:
                self._busy.add(remote.repository)
                tasks.start_soon(self._look_once, remote, client)
                pause = min(pause, 0.2)
            else:
                pause = min(pause, (remote.next_at or 0.0) - now)
        return max(pause, 0.02)

    async def _look_once(self, remote: Remote, client: httpx2.AsyncClient) -> None:
        try:
            async with self._limiter:
                await self.look(remote, client)
        finally:
            self._busy.discard(remote.repository)

    async def look(self, remote: Remote, client: httpx2.AsyncClient) -> None:
        """Look at one remote now; what goes wrong is written down, and tried again later."""
        begun, repo = time.time(), remote.repository
        try:
            error, changed, etags = await self._bring(remote, client)
        except Exception as failure:  # noqa: BLE001 it is told where people look, and tried again
            known = isinstance(failure, ReposError)
            (log.info if known else log.exception)(
                "a forge could not be followed", repo=repo, error=str(failure)
            )
            text = str(failure)[:1000] if known else f"{type(failure).__name__}: the server's log says more."
            now = time.time()
            wait = max(backoff(remote.failures), remote.poll or 0.0)
            row = {"repository": repo, "at": now, "error": text, "next_at": now + wait}
            await self._store.transact(lambda tx: tx.run("remotes.look_failed", **row))
            return
        now = time.time()
        row = {"repository": repo, "at": now, "begun": begun, "error": error, "etags": json.dumps(etags)}
        changed_at = now if changed else None
        await self._store.transact(lambda tx: tx.run("remotes.looked", **row, changed_at=changed_at))

    async def _bring(self, remote: Remote, client: httpx2.AsyncClient) -> tuple[str, bool, dict[str, str]]:
        """Bring one repository up to its remote; returns what is wrong, whether anything moved, and the ETags."""
        credential = await self._remotes.credential(remote)
        rows = await self._store.read("remotes.open_deliveries", repository=remote.repository)
        same, etags = await self._unchanged(remote, credential, client)
        if same and not rows and not remote.error:
            return "", False, etags
        told = [_push(item) for row in rows for item in json.loads(row["work"]) if item["kind"] == "push"]
        error, pushes = "", []
        try:
            pushes = await self._mirror.follow(remote, credential, told)
        except ApartError as apart:
            error = str(apart)
        for row in rows:
            await self._arrive(remote, credential, row)
        return error, bool(pushes), etags

    async def _arrive(self, remote: Remote, credential: Credential | None, row: Row) -> None:
        """Do what one delivery told, and write down that it is done, in one transaction."""
        try:
            events: list[NewEvent] = []
            merges: list[tuple[int, str, str]] = []
            for number, item in enumerate(json.loads(row["work"])):
                made = await self._arrivals.event_of(remote, credential, item, f"hook/{row['id']}/{number}")
                if made is not None:
                    events.append(made.event)
                    merges += [made.merge] if made.merge else []
        except ReposError as error:
            await self._put_off(remote, row, str(error))
            return

        def work(tx: Transaction) -> None:
            for number, head, merge in merges:
                key = {"repository": remote.repository, "number": number, "at": time.time()}
                tx.run("pulls.add_merge", head_sha=head, merge_sha=merge, **key)
            for event in events:
                write_event(tx, remote.repository, event)
            tx.run("remotes.delivery_done", id=row["id"], at=time.time(), error="")

        await self._store.transact(work)

    async def _put_off(self, remote: Remote, row: Row, error: str) -> None:
        """Try a delivery again with the next look, a few times."""
        log.warning("a webhook could not be acted upon", repo=remote.repository, error=error)
        over = row["attempts"] + 1 >= ATTEMPTS

        def work(tx: Transaction) -> None:
            tx.run("remotes.delivery_failed", id=row["id"], error=error[:1000])
            if over:
                tx.run("remotes.delivery_done", id=row["id"], at=time.time(), error=error[:1000])

        await self._store.transact(work)
        if not over:
            raise ReposError(error)

    async def _unchanged(
        self, remote: Remote, credential: Credential | None, client: httpx2.AsyncClient
    ) -> tuple[bool, dict[str, str]]:
        """Ask GitHub with conditional requests whether anything moved; whatever else it says means: look with git."""
        if remote.forge != "github" or credential is None or not remote.api:
            return False, {}
        etags: dict[str, str] = {}
        same = True
        for folder in ("heads", "tags"):
            request = refs_request(remote, folder, credential, remote.etags.get(folder, ""))
            try:
                answer = await client.request(request.method, request.url, headers=request.headers)
            except httpx2.HTTPError as error:
                log.info("a forge's API does not answer", repo=remote.repository, error=type(error).__name__)
                return False, {}
            if answer.status_code not in {200, 304}:
                return False, {}
            same = same and answer.status_code == 304
            etags[folder] = answer.headers.get("etag", "") or remote.etags.get(folder, "")
        return same, etags

    async def _expire(self) -> None:
        before = time.time() - RETENTION
        await self._store.transact(lambda tx: tx.run("remotes.expire_deliveries", before=before))


def _push(item: Mapping[str, Any]) -> RemotePush:
    return RemotePush(**{name: value for name, value in item.items() if name != "kind"})
