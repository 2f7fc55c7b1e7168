"""Takes in what other rooms recorded, as occurrences: images, runs, and what happened to repositories.

The ledger and `repo_events` are read from where the reading stopped; the position moves in the same transaction
as what was taken, so that each entry becomes its occurrences once.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from windlass.pipelines.occurrences import Occurrence, record
from windlass.pipelines.payloads import package_payload, run_payload
from windlass.pipelines.records import Run

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from windlass.pipelines.settings import Settings
    from windlass.pipelines.timetable import Timetable
    from windlass.repos import Repositories
    from windlass.repos.events import RepoEvent
    from windlass.store import Row, Store, Transaction

BATCH = 200
FROM_REFS = frozenset({"push", "create", "delete"})
"""What the record of pushes tells: it is not taken from anywhere else."""
ACTIONS = {
    "run.planned": "requested",
    "run.rerun": "requested",
    "job.assigned": "in_progress",
    "run.finished": "completed",
}


class Intake:
    """Turns records of other rooms into occurrences."""

    def __init__(
        self, store: Store, repositories: Repositories, timetable: Timetable, settings: Settings
    ) -> None:
        self._store = store
        self._repositories = repositories
        self._timetable = timetable
        self._settings = settings

    async def take(self) -> None:
        """Take in everything that is new."""
        await self._take_events()
        while True:
            position = await self._position("ledger")
            news = await self._store.read("occurrences.news", after=position, limit=BATCH)
            if not news:
                return
            # Read after the news, so that a listener pushed before a run was planned is known.
            await self._timetable.refresh()
            known: dict[int, Row | None] = {}
            found = [item for entry in news for item in await self._of(entry, known)]
            await self._store.transact(lambda tx: _take(tx, "ledger", news[-1]["id"], found))  # noqa: B023 awaited here

    async def _take_events(self) -> None:
        while True:
            position = await self._position("repo_events")
            events = await self._repositories.events(after=position, limit=BATCH)
            if not events:
                return
            found = [item for event in events for item in of_event(event)]
            last = events[-1].id
            await self._store.transact(lambda tx: _take(tx, "repo_events", last, found))  # noqa: B023 awaited here

    async def _position(self, source: str) -> int:
        row = await self._store.one("occurrences.position", source=source)
        return int(row["position"]) if row else 0

    async def _of(self, entry: Row, runs: dict[int, Row | None]) -> Iterable[Occurrence]:
        data = json.loads(entry["data"])
        if entry["kind"] == "registry.pushed":
            return await self._of_image(entry, data)
        number = int(entry["subject"].removeprefix("run/"))
        if number not in runs:
            runs[number] = await self._heard(number)
        row = runs[number]
        return () if row is None else (await self._of_run(entry, data, row),)

    async def _of_image(self, entry: Row, data: Mapping[str, Any]) -> Iterable[Occurrence]:
        """Take the push of an image: the first tag of a digest publishes it, later ones update it."""
        image = entry["subject"].removeprefix("image/")
        repository = "/".join(image.split("/")[:2])
        hosted = await self._store.one("repos.get", name=repository)
        if hosted is None or data["tag"] is None:
            return ()
        kind, _, actor = entry["actor"].partition("/")
        tag, digest = data["tag"], data["digest"]
        where = {"subject": entry["subject"], "id": entry["id"], "digest": f'%"digest": "{digest}"%'}
        known = await self._store.one("occurrences.tagged_before", **where)
        action = "updated" if known else "published"
        item = Occurrence(
            key=f"image/{entry['id']}",
            repository=repository,
            event="registry_package",
            action=action,
            actor=actor,
            actor_kind=kind,
            payload=package_payload(action, (image, tag, digest), entry["at"], self._settings.server_url),
            created_at=entry["at"],
        )
        return (item,)

    async def _heard(self, run: int) -> Row | None:
        """Return a run where a workflow of its repository's default branch listens to `workflow_run`."""
        row = await self._store.one("pipelines.run", run=run)
        listens = row is not None and await self._timetable.listens(row["repository"], "workflow_run")
        return row if listens else None

    async def _of_run(self, entry: Row, data: Mapping[str, Any], row: Row) -> Occurrence:
        source = await self._store.one("pipelines.source", run=row["id"])
        cause = json.loads(source["payload"]) if source else {}
        return of_run(Run.of(row), entry, data, cause, self._settings.server_url)


def of_run(
    run: Run, entry: Mapping[str, Any], data: Mapping[str, Any], cause: Mapping[str, Any], url: str
) -> Occurrence:
    """Return the `workflow_run` event of a ledger entry about a run. Pure."""
    action = ACTIONS[entry["kind"]]
    conclusion = data.get("conclusion") if action == "completed" else None
    key = f"run/{run.id}/{entry['id']}/{action}"
    if action == "in_progress":  # told by the first of its jobs
        key = f"run/{run.id}/{str(data['job']).rpartition('.')[2]}/{action}"
    return Occurrence(
        key=key,
        repository=run.repository,
        event="workflow_run",
        action=action,
        actor=run.actor,
        actor_kind="windlass",
        depth=run.depth + 1,
        payload=run_payload(run, action, conclusion, cause, url),
        created_at=entry["at"],
    )


def of_event(event: RepoEvent) -> Iterable[Occurrence]:
    """Return what an event of a repository may start. Pure.

    A pull request is two: `pull_request` runs on its merge, `pull_request_target` on the default branch.
    """
    if event.name in FROM_REFS:
        return
    pull = event.payload.get("pull_request") or {}
    release = event.payload.get("release") or {}
    item = Occurrence(
        key=f"event/{event.id}",
        repository=event.repository,
        event=event.name,
        action=event.action,
        actor=event.actor,
        actor_kind=event.actor_kind,
        ref=event.ref,
        sha=event.sha,
        title=str(pull.get("title") or release.get("name") or release.get("tag_name") or _told(event)),
        payload={**({"action": event.action} if event.action else {}), **event.payload},
        paths=event.paths,
    )
    yield item
    if event.name == "pull_request":
        # Since December 2025 GitHub takes file, ref and commit from the default branch, whatever the base: an old
        # file on another branch must not meet strangers with secrets in its hands.
        yield replace(item, key=f"{item.key}/target", event="pull_request_target", ref="", sha="")


def _told(event: RepoEvent) -> str:
    return event.action if event.name == "repository_dispatch" else ""


def _take(tx: Transaction, source: str, position: int, found: Iterable[Occurrence]) -> None:
    for item in found:
        record(tx, item)
    tx.run("occurrences.move", source=source, position=position)
