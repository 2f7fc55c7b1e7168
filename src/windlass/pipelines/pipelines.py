"""Pipelines: everything about runs behind one door."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import structlog

from windlass.pipelines.artifacts import Artifacts
from windlass.pipelines.caches import Caches, CacheScope, cache_refs
from windlass.pipelines.called import CalledFiles
from windlass.pipelines.cleanup import Cleaner
from windlass.pipelines.control import Control
from windlass.pipelines.dispatching import ByHand, Dispatcher
from windlass.pipelines.engine import Engine
from windlass.pipelines.environments import Environments
from windlass.pipelines.errors import NotFoundError
from windlass.pipelines.files import WorkflowFiles
from windlass.pipelines.intake import Intake
from windlass.pipelines.launch import Starter
from windlass.pipelines.logs import Followers, Logs
from windlass.pipelines.news import News
from windlass.pipelines.nudges import listen
from windlass.pipelines.occurrences import Actor
from windlass.pipelines.planner import Planner
from windlass.pipelines.process import Processes, SystemProcesses
from windlass.pipelines.queries import Queries
from windlass.pipelines.spool import sweep_parts
from windlass.pipelines.timetable import Timetable
from windlass.pipelines.toolkit.uploads import Uploads

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from windlass.identity import Identity, Secrets
    from windlass.pipelines.launcher import Launcher
    from windlass.pipelines.logs import LogFile
    from windlass.pipelines.plan import Planned
    from windlass.pipelines.planner import Cause
    from windlass.pipelines.records import Run
    from windlass.pipelines.settings import Settings
    from windlass.repos import Git, Repositories
    from windlass.store import Entry, Store, Transaction

HOUSEKEEPING = 3600.0
HAPPENS = (
    "occurrence",
    "forge.event",
    "registry.pushed",
    "run.planned",
    "run.rerun",
    "run.finished",
    "job.assigned",
)
"""Ledger entries that may become occurrences."""
ABOUT_RUNS = frozenset({"run.planned", "run.rerun", "run.finished", "job.assigned"})
LULL = 0.05
"""Seconds that what happens to runs waits before workflows hear of it: starting the runs' own jobs comes first."""

log = structlog.get_logger()


class Pipelines(Queries):
    """Runs of workflows: planned from pushes, scheduled, launched, recorded, told about.

    `run()` keeps them in motion until cancelled; everything else may be called with or without it. Two
    `run()` over one store at the same time are not allowed.
    """

    def __init__(  # noqa: PLR0917 one for each room that it stands on
        self,
        store: Store,
        repositories: Repositories,
        git: Git,
        identity: Identity,
        secrets: Secrets,
        launcher: Launcher,
        settings: Settings,
        *,
        processes: Processes | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(store, settings)
        processes = processes or SystemProcesses()
        self.artifacts = Artifacts(store, settings)
        self.caches = Caches(store, settings)
        self.uploads = Uploads(store, settings)
        self._repositories = self.hosting = repositories
        self.git = git
        self._followers = Followers()
        self._logs = Logs(store, settings, self._followers)
        self._news = News(store, self, settings)
        sources = WorkflowFiles(git)
        self._planner = Planner(store, repositories, git, sources, settings)
        self._dispatcher = Dispatcher(store, repositories, git, sources, settings)
        self._timetable = Timetable(store, sources, clock)
        self._intake = Intake(store, repositories, self._timetable, settings)
        self._cleaner = Cleaner(store, identity, processes, settings)
        starter = Starter(
            store=store,
            identity=identity,
            secrets=secrets,
            launcher=launcher,
            processes=processes,
            settings=settings,
        )
        files = CalledFiles(store, git, settings)
        self._engine = Engine(store, settings, processes, starter, self._cleaner, files)
        self.environments = Environments(store, self._engine.wake)
        self._control = Control(store, processes, files, self._engine.wake)

    async def run(self, *, planning: bool = True) -> None:
        """Keep runs in motion. On start it takes up whatever an earlier server left.

        Without `planning` no push, event or schedule starts anything: there are only the runs of `start`.
        """
        with listen(self._settings.socket, self._nudged):
            async with anyio.create_task_group() as tasks:
                if planning:
                    tasks.start_soon(self._plan_pushes)
                    tasks.start_soon(self._plan_occurrences)
                    tasks.start_soon(self._keep_time)
                tasks.start_soon(self._wake_followers)
                tasks.start_soon(self._keep_house)
                tasks.start_soon(self._engine.run)

    def _nudged(self, job: str) -> None:
        self._followers.wake(job)
        self._engine.heard(job)

    async def _plan_pushes(self) -> None:
        with self._store.subscribe("push") as feed:
            while True:
                try:
                    if await self._planner.plan_new():
                        self._engine.wake()
                except Exception:
                    log.exception("pushes could not be planned; trying again")
                    await anyio.sleep(1)
                await feed.wait(self._settings.resync)

    async def _plan_occurrences(self) -> None:
        with self._store.subscribe(*HAPPENS) as feed:
            while True:
                try:
                    await self._intake.take()
                    if await self._planner.plan_occurrences():
                        self._engine.wake()
                except Exception:
                    log.exception("occurrences could not be planned; trying again")
                    await anyio.sleep(1)
                news = await feed.wait(self._settings.resync)
                if all(map(_can_wait, news)):
                    await anyio.sleep(LULL)

    async def _keep_time(self) -> None:
        """Fire schedules when they are due: sleeps until the next one, or until a push may have changed them."""
        with self._store.subscribe("push", "repository.*") as feed:
            while True:
                try:
                    await self._timetable.fire()
                    pause = await self._timetable.pause()
                except Exception:
                    log.exception("schedules could not be fired; trying again")
                    pause = 1.0
                await feed.wait(pause)

    async def _wake_followers(self) -> None:
        with self._store.subscribe("job.finished", "step.*") as feed:
            async for entry in feed:
                self._followers.wake(str(entry.data.get("job", "")))

    async def _keep_house(self) -> None:
        while True:
            try:
                await self._cleaner.expire()
                await self._forget_occurrences()
                await self.artifacts.expire()
                await self.uploads.expire()
                parts = (self._settings.artifacts, self._settings.caches / "actions")
                await anyio.to_thread.run_sync(sweep_parts, *parts)
            except Exception:
                log.exception("housekeeping failed; trying again later")
            await anyio.sleep(HOUSEKEEPING)

    async def _forget_occurrences(self) -> None:
        before = time.time() - self._settings.retention
        await self._store.transact(lambda tx: tx.run("occurrences.expire", before=before))

    async def dispatch(
        self,
        repository: str,
        workflow: str,
        ref: str = "",
        inputs: Mapping[str, Any] | None = None,
        *,
        actor: str,
        kind: str = "user",
    ) -> int:
        """Start a run by hand (`workflow_dispatch`) and return its id.

        `workflow` is the file's name or path, or the workflow's name; `ref` a branch or tag (empty: the default
        branch). `actor` and `kind` are the principal's. Raises `NotFoundError`, `StateError`, `DispatchError`.
        """
        run = await self._dispatcher.workflow(repository, workflow, ref, inputs or {}, Actor(actor, kind))
        self._engine.wake()
        return run

    async def startable(self, repository: str, ref: str = "") -> ByHand:
        """Return the workflows that can be started by hand at a branch or tag, with their inputs."""
        return await self._dispatcher.startable(repository, ref)

    async def dispatch_event(
        self, repository: str, event_type: str, payload: Mapping[str, Any], *, actor: str, kind: str = "user"
    ) -> int:
        """Record a `repository_dispatch` and return the occurrence's id; it is planned at once.

        Raises `DispatchError` where type or payload break GitHub's limits.
        """
        return await self._dispatcher.event(repository, event_type, payload, Actor(actor, kind))

    async def start(
        self, cause: Cause, planned: Sequence[Planned], also: Callable[[Transaction, int], None] | None = None
    ) -> list[int]:
        """Make a run of each of these files for an event that no push records; see `Planner.start`."""
        runs = await self._planner.start(cause, planned, also)
        self._engine.wake()
        return runs

    async def cancel(self, run: int, *, actor: str, force: bool = False) -> None:
        """Cancel a run; see `Control.cancel`."""
        await self._control.cancel(run, actor=actor, force=force)

    async def rerun(
        self, run: int, *, actor: str, failed: bool = False, job: str = "", debug: bool = False
    ) -> int:
        """Run a run again, all of it, what failed, or one job; returns the attempt. See `Control.rerun`."""
        return await self._control.rerun(run, actor=actor, failed=failed, job=job, debug=debug)

    async def replay(self, run: int, *, actor: str) -> int:
        """Repeat a run with the same files, event, actions and images; returns the new run. See `Control.replay`."""
        return await self._control.replay(run, actor=actor)

    async def delete_run(self, run: int) -> None:
        """Delete a completed run with its logs and artifacts."""
        await self._cleaner.delete(run)

    def logs(
        self, run: int, job: str, step: int | None = None, *, follow: bool = False, tail: int | None = None
    ) -> AsyncIterator[bytes]:
        """Return a job's log in blocks of whole lines; see `Logs.read`."""
        return self._logs.read(run, job, step, follow=follow, tail=tail)

    async def log_index(self, run: int, job: str) -> list[LogFile]:
        """Return the logs of a job by step, with their sizes."""
        return await self._logs.index((await self._logs.find(run, job)).id)

    def news(self, push: int, *, follow: bool = True) -> AsyncIterator[str]:
        """Lines about the runs of a push, for the terminal of who pushed."""
        return self._news.of_push(push, follow=follow)

    async def is_living(self, job: str) -> bool:
        """Whether the job was started and is not over: only then its token is worth anything here."""
        row = await self._store.one("jobs.job", id=job)
        return row is not None and row["status"] != "completed" and row["assigned_at"] is not None

    async def scope_of(self, job: str) -> CacheScope:
        """Whose caches and artifacts a job may see."""
        row = await self._store.one("jobs.job", id=job)
        run = await self.run_record(row["run"]) if row else None
        if run is None:
            raise NotFoundError(f"there is no job {job}")
        repository = await self._repositories.get(run.repository)
        payload, _ = await self.facts_of_job(job)
        base = ((payload.get("pull_request") or {}).get("base") or {}).get("ref") or ""
        refs = cache_refs(run.ref, run.event, base=base, default=repository.default_branch)
        return CacheScope(run.repository, refs, job)

    @property
    def settings(self) -> Settings:
        """What this server's runs are told of the place where they run."""
        return self._settings

    async def facts_of_job(self, job: str) -> tuple[dict[str, Any], str]:
        """Return the payload of the event that started a job's run, and the name of the job's environment."""
        row = await self._store.one("jobs.job", id=job)
        source = await self._store.one("pipelines.source", run=row["run"]) if row else None
        environment = json.loads((row or {}).get("environment") or "{}") or {}
        return json.loads((source or {}).get("payload") or "{}"), str(environment.get("name") or "")

    async def run_of_job(self, job: str) -> Run | None:
        """Return the run that a job belongs to."""
        row = await self._store.one("jobs.job", id=job)
        return await self.run_record(row["run"]) if row else None


def _can_wait(entry: Entry) -> bool:
    """Whether it tells of runs that are there already: a dispatch is recorded together with its run."""
    return entry.kind in ABOUT_RUNS or entry.data.get("event") == "workflow_dispatch"
