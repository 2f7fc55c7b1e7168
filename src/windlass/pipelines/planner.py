"""From what happened (recorded pushes, and other occurrences) to rows of runs: each once."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import structlog

from windlass.pipelines.context import (
    MAX_COMMITS,
    asks_to_skip,
    push_payload,
    repository_payload,
    sender_payload,
)
from windlass.pipelines.inserting import Cause, insert_run
from windlass.pipelines.occurrences import Occurrence, record, refusal
from windlass.pipelines.payloads import ref_payload
from windlass.pipelines.plan import FOLDER, Planned, filters_paths, plan_runs, read
from windlass.pipelines.records import ZERO
from windlass.repos import RepositoryNotFoundError
from windlass.workflow import Event, triggered_by

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from windlass.pipelines.files import WorkflowFiles
    from windlass.pipelines.settings import Settings
    from windlass.repos import Commit, Git, Push, Repositories, Repository
    from windlass.store import Store, Transaction

__all__ = ["Cause", "Planner"]
BATCH = 100
MAX_REFUSALS = 5

log = structlog.get_logger()


class Planner:
    """Plans each push once (what stands in `push_plans` is done), and each occurrence once (`planned_at`)."""

    def __init__(
        self, store: Store, repositories: Repositories, git: Git, files: WorkflowFiles, settings: Settings
    ) -> None:
        self._store = store
        self._repositories = repositories
        self._git = git
        self._files = files
        self._settings = settings

    # -- pushes

    async def plan_new(self) -> int:
        """Plan all pushes that are not, oldest first; returns how many there were."""
        count = 0
        while True:
            row = await self._store.one("pipelines.last_planned")
            pushes = await self._repositories.pushes(after=row["push"] if row else 0, limit=BATCH)
            for push in pushes:
                await self._plan_push(push)
            count += len(pushes)
            if not pushes:
                return count

    async def _plan_push(self, push: Push) -> None:
        why, cause = "", None
        planned: list[Planned] = []
        beside: Occurrence | None = None
        try:
            repository = await self._repositories.get(push.repo)
            beside = _beside(push, repository)
            if not (why := _ignored(push)):
                why, cause, planned = await self._look(push, repository)
        except RepositoryNotFoundError:
            why = "the repository was deleted"
        except Exception as error:
            log.exception("a push cannot be planned", push=push.id, repository=push.repo)
            why = f"it could not be planned: {error}"

        def work(tx: Transaction) -> None:
            tx.run("pipelines.insert_plan", push=push.id, at=time.time(), runs=len(planned), reason=why)
            runs = [insert_run(tx, cause, item, self._settings) for item in planned] if cause else []
            if beside is not None:
                record(tx, beside)
            tx.record("push.planned", f"repo/{push.repo}", push=push.id, runs=runs, reason=why)

        await self._store.transact(work)

    async def _look(self, push: Push, repository: Repository) -> tuple[str, Cause | None, list[Planned]]:
        """Return the reason for no runs, what causes runs, and which."""
        files = await self._files.at(push.repo, push.after)
        if not files:
            return f"no workflow files in {FOLDER}", None, []
        commits = await self._commits(push)
        if asks_to_skip(commits[0]):
            return "the commit's message asks to skip it", None, []
        known = push.before != ZERO
        forced = known and not await self._contains(push)
        payload = push_payload(push, repository, commits, forced=forced, server_url=self._settings.server_url)
        paths = None
        if known and filters_paths(files):
            paths = tuple(await self._git.changed_paths(push.repo, push.before, push.after))
        event = Event("push", push.ref, payload, paths)
        cause = Cause(push.repo, event, commits[0].sha, push.pusher, commits[0].subject, push.id)
        planned = plan_runs(files, event)
        return "" if planned else why_none(files, event), cause, planned

    async def _contains(self, push: Push) -> bool:
        """Whether the push moved its ref forward. A commit that is gone was not contained."""
        try:
            return await self._git.is_ancestor(push.repo, push.before, push.after)
        except Exception as error:  # noqa: BLE001 the old commit may be pruned; that must not stop the run
            log.info("ancestry unknown", push=push.id, error=str(error))
            return False

    async def _commits(self, push: Push) -> Sequence[Commit]:
        """Return the commits of the push, newest first."""
        if push.before == ZERO:
            return [await self._git.commit_info(push.repo, push.after)]
        commits = await self._git.log(push.repo, push.after, limit=MAX_COMMITS)
        shas = [commit.sha for commit in commits]
        return commits[: shas.index(push.before)] or commits[:1] if push.before in shas else commits

    # -- everything else

    async def plan_occurrences(self) -> int:
        """Plan all occurrences that are not, oldest first; returns how many runs they started."""
        started = 0
        while rows := await self._store.read("occurrences.open", limit=BATCH):
            for row in rows:
                started += len(await self.plan(Occurrence.of(row)))
        return started

    async def plan(self, item: Occurrence) -> list[int]:
        """Plan one occurrence, unless it is planned; returns the runs it started."""
        why, cause = refusal(item), None
        planned: list[Planned] = []
        try:
            if not why:
                why, cause, planned = await self._look_at(item)
        except RepositoryNotFoundError:
            why = "the repository was deleted"
        except Exception as error:
            log.exception("an occurrence cannot be planned", occurrence=item.id, repository=item.repository)
            why = f"it could not be planned: {error}"

        def work(tx: Transaction) -> list[int]:
            row = {"id": item.id, "at": time.time(), "runs": len(planned), "reason": why}
            if not tx.run("occurrences.planned", **row):
                return []
            runs = [insert_run(tx, cause, one, self._settings) for one in planned] if cause else []
            told: dict[str, Any] = {"occurrence": item.id, "event": item.event, "runs": runs, "reason": why}
            tx.record("occurrence.planned", f"repo/{item.repository}", **told)
            return runs

        return await self._store.transact(work)

    async def _look_at(self, item: Occurrence) -> tuple[str, Cause | None, list[Planned]]:
        repository = await self._repositories.get(item.repository)
        ref = item.ref or f"refs/heads/{repository.default_branch}"
        sha = await self._git.resolve(item.repository, item.sha or ref)
        if sha is None:
            return f"there is no commit at {item.sha or ref}", None, []
        files = await self._files.at(item.repository, sha)
        if item.path is not None:
            files = {path: text for path, text in files.items() if path == item.path}
        if not files:
            return f"no workflow files in {FOLDER} at {ref}", None, []
        if item.event == "pull_request" and await self._head_skips(item):
            return "the head commit's message asks to skip it", None, []
        payload = {
            "repository": repository_payload(repository, self._settings.server_url),
            "sender": sender_payload(item.actor, item.actor_kind),
            **item.payload,
        }
        event = Event(item.event, ref, payload, item.paths)
        cause = Cause(
            item.repository, event, sha, item.actor, item.title, occurrence=item.id, depth=item.depth
        )
        planned = [found for found in plan_runs(files, event) if found.workflow is not None]
        return "" if planned else why_none(files, event), cause, planned

    async def _head_skips(self, item: Occurrence) -> bool:
        head = (item.payload.get("pull_request") or {}).get("head") or {}
        sha = await self._git.resolve(item.repository, str(head.get("sha") or item.sha))
        return sha is not None and asks_to_skip(await self._git.commit_info(item.repository, sha))

    async def start(
        self, cause: Cause, planned: Sequence[Planned], also: Callable[[Transaction, int], None] | None = None
    ) -> list[int]:
        """Make a run of each file, whatever its `on:` says, and return their ids.

        `also` is called for each new run in the same transaction, so before anything of it can start.
        """

        def work(tx: Transaction) -> list[int]:
            runs = [insert_run(tx, cause, item, self._settings) for item in planned]
            for run in runs if also else ():
                also(tx, run)  # type: ignore[misc]
            return runs

        return await self._store.transact(work)


def _is_named(push: Push) -> bool:
    return push.ref.startswith(("refs/heads/", "refs/tags/"))


def _ignored(push: Push) -> str:
    """Why a push starts nothing whatever the files say; empty when it may."""
    if push.deleted:
        return "the ref was deleted"
    if push.pusher_kind == "job":
        return "it was pushed with a job's token, which starts no runs (as on GitHub)"
    if not _is_named(push):
        return "it is neither a branch nor a tag"
    return ""


def _beside(push: Push, repository: Repository) -> Occurrence | None:
    """Return what else a push is: a branch or tag was created, or deleted. Pure."""
    if not _is_named(push) or (push.before != ZERO and not push.deleted):
        return None
    event = "delete" if push.deleted else "create"
    return Occurrence(
        key=f"push/{push.id}/{event}",
        repository=push.repo,
        event=event,
        actor=push.pusher,
        actor_kind=push.pusher_kind,
        ref="" if push.deleted else push.ref,
        sha="" if push.deleted else push.after,
        payload=ref_payload(push, repository.default_branch),
    )


def why_none(files: Mapping[str, str], event: Event) -> str:
    """Why the event starts none of the files: what refused it, where a file listens to it at all."""
    found = []
    for path, source in sorted(files.items()):
        workflow = read(source, path).workflow
        if workflow is not None and event.name in workflow.triggers:
            found.append(f"{path.rpartition('/')[2]}: {triggered_by(workflow, event).reason}")
    more = [f"and {len(found) - MAX_REFUSALS} more"] if len(found) > MAX_REFUSALS else []
    return "; ".join(["no workflow is triggered by it", *found[:MAX_REFUSALS], *more])
