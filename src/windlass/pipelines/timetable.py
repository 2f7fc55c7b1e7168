"""What the default branches' workflows listen to, and their schedules: kept in step with git, fired in time."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import anyio
import structlog

from windlass.pipelines.occurrences import Occurrence, record
from windlass.pipelines.plan import read
from windlass.pipelines.schedule import Due, due, next_time

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from windlass.pipelines.files import WorkflowFiles
    from windlass.store import Row, Store, Transaction

LONGEST = 60.0
"""Seconds after which the clock is looked at again: it may have been set, or the machine was asleep."""
LATE = 60.0
"""Seconds after which a firing is called late."""

log = structlog.get_logger()
Key = tuple[str, str, str]


class Timetable:
    """Keeps `listeners` and `schedules` as the newest commits of the default branches have them.

    What was last fired, and what comes next, stands in `schedules`; a firing and its occurrence are one
    transaction, so that each due time is fired once, whatever happens. `clock` gives seconds since the epoch.
    """

    def __init__(self, store: Store, files: WorkflowFiles, clock: Callable[[], float]) -> None:
        self._store = store
        self._files = files
        self._clock = clock
        self._refreshing = anyio.Lock()

    async def refresh(self) -> None:
        """Read the workflows of each default branch that has moved since they were read."""
        async with self._refreshing:
            for row in await self._store.read("schedules.gone"):
                name = row["repository"]
                await self._store.transact(lambda tx: _forget(tx, name))  # noqa: B023 awaited here
            for row in await self._store.read("schedules.stale"):
                await self._read(row)

    async def _read(self, row: Row) -> None:
        repository, ref, sha = row["repository"], row["ref"], row["sha"]
        try:
            files = await self._files.at(repository, sha) if sha else {}
        except Exception as error:  # noqa: BLE001 one repository must not stop the others
            log.warning("workflows cannot be read", repository=repository, sha=sha, error=str(error))
            files = {}
        events, wanted = listened(files)
        now = self._clock()

        def work(tx: Transaction) -> None:
            tx.run("schedules.listen", repository=repository, ref=ref, sha=sha, events=json.dumps(events))
            known = {_key(found): found for found in tx.run("schedules.of_repository", repository=repository)}
            for key in known.keys() - wanted.keys():
                tx.run("schedules.remove", repository=repository, **_columns(key))
            for key, name in wanted.items():
                if key in known:
                    tx.run("schedules.rename", repository=repository, **_columns(key), workflow=name)
                else:
                    _add(tx, repository, key, name, now)

        await self._store.transact(work)

    async def fire(self) -> int:
        """Fire each schedule whose time has come, once; returns how many there were."""
        await self.refresh()
        fired = 0
        for row in await self._store.read("schedules.due", now=self._clock()):
            found = due(row["cron"], row["timezone"], row["next_at"], self._clock())
            if found is not None:
                fired += await self._fire(row, found)
        return fired

    async def _fire(self, row: Row, found: Due) -> bool:
        late = max(0.0, self._clock() - found.at)
        pusher = await self._pusher(row["repository"])
        key = _key(row)
        item = Occurrence(
            key="/".join(("schedule", row["repository"], *key, f"{found.at:.0f}")),
            repository=row["repository"],
            event="schedule",
            actor=pusher,
            actor_kind="windlass",
            path=row["path"],
            payload={"schedule": row["cron"], "timezone": row["timezone"], "workflow": row["path"]},
        )

        def work(tx: Transaction) -> bool:
            moved: dict[str, Any] = {
                "fired_at": found.at,
                "next_at": found.next_at,
                "late": late,
                "missed": found.missed,
            }
            where = {"repository": row["repository"], "expected": row["next_at"], **_columns(key)}
            if not tx.run("schedules.fired", **where, **moved):
                return False
            tx.record("schedule.fired", f"repo/{row['repository']}", **_columns(key), **moved)
            return record(tx, item) is not None

        if late > LATE:
            told = {"repository": row["repository"], "path": row["path"], "cron": row["cron"]}
            log.warning("a schedule fires late", **told, seconds=round(late), left_out=found.missed)
        return await self._store.transact(work)

    async def _pusher(self, repository: str) -> str:
        """Who last pushed to the default branch: scheduled runs are theirs. Never what a commit says."""
        heard = await self._store.one("schedules.listeners", repository=repository)
        row = heard and await self._store.one("schedules.pusher", repository=repository, ref=heard["ref"])
        return str(row["pusher"]) if row else "windlass"

    async def pause(self) -> float:
        """Return how many seconds it is until the next firing, at most `LONGEST`."""
        row = await self._store.one("schedules.first")
        if row is None or row["next_at"] is None:
            return LONGEST
        return float(min(LONGEST, max(0.0, row["next_at"] - self._clock())))

    async def listens(self, repository: str, event: str) -> bool:
        """Whether a workflow of the default branch names the event, as of the last `refresh`."""
        row = await self._store.one("schedules.listeners", repository=repository)
        return row is not None and event in json.loads(row["events"])


def listened(files: Mapping[str, str]) -> tuple[list[str], dict[Key, str]]:
    """Return the events that the files name, and their schedules with the workflows' names. Pure."""
    workflows = [found for path, text in files.items() if (found := read(text, path).workflow)]
    events = {event for workflow in workflows for event in workflow.triggers}
    schedules = {
        (workflow.path, schedule.cron, schedule.timezone): workflow.name
        for workflow in workflows
        if "schedule" in workflow.triggers
        for schedule in workflow.triggers["schedule"].schedules
    }
    return sorted(events), schedules


def _key(row: Row) -> Key:
    return row["path"], row["cron"], row["timezone"]


def _columns(key: Key) -> dict[str, str]:
    return dict(zip(("path", "cron", "timezone"), key, strict=True))


def _add(tx: Transaction, repository: str, key: Key, name: str, now: float) -> None:
    _, cron, zone = key
    next_at = next_time(cron, zone, now)
    told: dict[str, Any] = {**_columns(key), "next_at": next_at}
    tx.run("schedules.add", repository=repository, workflow=name, since=now, **told)
    tx.record("schedule.added", f"repo/{repository}", **told)


def _forget(tx: Transaction, repository: str) -> None:
    tx.run("schedules.forget", repository=repository)
    tx.run("schedules.forget_schedules", repository=repository)
