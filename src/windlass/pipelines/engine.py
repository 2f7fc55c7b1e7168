"""The engine of runs: keeps asking what should be in motion and is not, and sets it in motion."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
import structlog

from windlass.pipelines import reason
from windlass.pipelines.apply import Applier, finish_job, subject
from windlass.pipelines.decide import decide
from windlass.pipelines.effects import StartJob, WaitJob, WaitRun
from windlass.pipelines.ingest import EVENTS, Ingest, read_new
from windlass.pipelines.launch import MAX_LAUNCHES, Starter
from windlass.pipelines.logfiles import last_lines
from windlass.pipelines.process import KILL, TERM
from windlass.pipelines.records import Job
from windlass.pipelines.state import Loader

if TYPE_CHECKING:
    from collections.abc import Iterable

    from anyio.abc import TaskGroup

    from windlass.pipelines.called import CalledFiles
    from windlass.pipelines.cleanup import Cleaner
    from windlass.pipelines.process import Processes
    from windlass.pipelines.settings import Settings
    from windlass.store import Store, Transaction

LAST = (StartJob, WaitJob, WaitRun)  # after these alone there is nothing more to decide
KILL_AFTER = 15.0
MAX_ROUNDS = 1000

log = structlog.get_logger()


class Engine:
    """Runs in one task. Everything it knows is in the store; what it holds in memory may be lost at any time."""

    def __init__(  # noqa: PLR0917 one for each room that it stands on
        self,
        store: Store,
        settings: Settings,
        processes: Processes,
        starter: Starter,
        cleaner: Cleaner,
        files: CalledFiles,
    ) -> None:
        self._store = store
        self._settings = settings
        self._processes = processes
        self._starter = starter
        self._cleaner = cleaner
        self._loader = Loader(store, settings, files)
        self._woken = anyio.Event()
        self._called: set[str] = set()
        self._busy: set[str] = set()
        self._watched: set[str] = set()
        self._exited: set[str] = set()
        self._living: dict[str, Job] = {}
        self._undecided = True
        self._unattended = True

    def heard(self, job: str) -> None:
        """Take note that a job has written something; all of them where the id is empty."""
        self._called.add(job)
        self._woken.set()

    def wake(self) -> None:
        """Take note that the state is another one, so that there may be something to decide."""
        self._undecided = True
        self._woken.set()

    async def run(self) -> None:
        """Keep things in motion until cancelled."""
        everything = True
        async with anyio.create_task_group() as tasks:
            while True:
                try:
                    await self.step(tasks, everything=everything)
                except Exception:
                    log.exception("the engine of runs stumbled; it looks at everything again")
                    await anyio.sleep(1)
                    everything = True
                    continue
                with anyio.move_on_after(self._settings.resync) as waited:
                    await self._woken.wait()
                everything = waited.cancelled_caught
                self._woken = anyio.Event()

    async def step(self, tasks: TaskGroup, *, everything: bool) -> None:
        """One round. With `everything`, look at all jobs, not only at those that called."""
        called, self._called = self._called, set()
        exited = set(self._exited)
        if everything or "" in called:
            self._living = {row["id"]: Job.of(row) for row in await self._store.read("jobs.living")}
            called |= self._living.keys()
        ended = await self._ingest(self._living[job] for job in called | exited if job in self._living)
        ended |= await self._bury(exited)
        if everything or ended or self._undecided:
            self._undecided = False
            self._unattended = True
            await self.settle()
        if self._unattended:
            self._unattended = False
            await self._attend_all(tasks)

    async def _attend_all(self, tasks: TaskGroup) -> None:
        """See to it that each job has what its state asks for: a process, a watcher, a signal, an end."""
        busy = frozenset(self._busy)
        living = [Job.of(row) for row in await self._store.read("jobs.living")]
        self._living = {job.id: job for job in living}
        for job in living:
            # What was being done while we looked may not show yet: its end asks for another look.
            if job.id not in busy:
                self._attend(tasks, job)
        for row in await self._store.read("jobs.uncleaned"):
            self._once(tasks, Job.of(row), "clean")

    async def settle(self) -> None:
        """Decide and apply until there is nothing more to decide."""
        for _ in range(MAX_ROUNDS):
            state = await self._loader.load()
            effects = decide(state)
            if not effects:
                return
            jobs = {job.id: job for active in state.runs for job in active.jobs}
            await self._store.transact(lambda tx: Applier(tx, jobs, time.time()).apply(effects))  # noqa: B023 awaited here
            if all(isinstance(effect, LAST) for effect in effects):
                return
        log.error("decisions do not come to rest", effects=[repr(effect) for effect in effects[:5]])

    async def _ingest(self, jobs: Iterable[Job]) -> bool:
        """Take what jobs have written; whether one of them is over."""
        todo, ended = list(jobs), False
        while todo:
            found = await anyio.to_thread.run_sync(self._read, todo)
            if not found:
                break
            await self._store.transact(lambda tx: self._take(tx, found))  # noqa: B023 awaited here
            todo = [replace(job, events_read=offset) for job, _, offset in found]
            self._living |= {job.id: job for job in todo}
            ended |= any(event["kind"] == "job.finished" for _, events, _ in found for event in events)
        return ended

    def _read(self, jobs: list[Job]) -> list[tuple[Job, list[dict[str, object]], int]]:
        read = [(job, *read_new(self._settings.jobs / job.id, job.events_read)) for job in jobs]
        return [(job, events, offset) for job, events, offset in read if offset != job.events_read]

    @staticmethod
    def _take(tx: Transaction, found: list[tuple[Job, list[dict[str, object]], int]]) -> None:
        for job, events, offset in found:
            Ingest(tx, job).take(events, offset)

    async def _bury(self, exited: set[str]) -> bool:
        """Take up processes that ended: those that left no outcome failed, those that never began begin again."""
        changed = False
        for job_id in exited:
            self._exited.discard(job_id)
            self._watched.discard(job_id)
            row = await self._store.one("jobs.job", id=job_id)
            if row is None or row["status"] == "completed":
                continue
            changed = True
            job = Job.of(row)
            directory = self._settings.jobs / job_id
            if (directory / EVENTS).exists():
                await self._lost(job)
            elif job.launches >= MAX_LAUNCHES:
                await self._starter.give_up(job, f"process {job.pid} ended before it began")
            else:
                await self._store.transact(lambda tx: tx.run("jobs.unlaunch", id=job_id))  # noqa: B023 awaited here
        return changed

    async def _lost(self, job: Job) -> None:
        steps = await self._store.read("jobs.steps", job=job.id)
        number = steps[-1]["step"] if steps else 0
        path = self._settings.jobs / job.id / "log" / f"{number:03d}.log"
        evidence = "\n".join(await anyio.to_thread.run_sync(last_lines, path, 10))
        cancelled = job.cancel_requested is not None
        why = job.reason if cancelled else reason.lost(job.pid, evidence)

        def work(tx: Transaction) -> None:
            finish_job(tx, job.id, "cancelled" if cancelled else "failure", why, at=time.time())

        await self._store.transact(work)
        if job.pid is not None and job.pid_started is not None:
            self._processes.signal(job.pid, job.pid_started, KILL, group=True)

    def _attend(self, tasks: TaskGroup, job: Job) -> None:
        if job.pid is None:
            self._once(tasks, job, "drop" if job.cancel_requested is not None else "start")
            return
        if job.id not in self._watched:
            self._watched.add(job.id)
            tasks.start_soon(self._watch, job)
        if job.cancel_requested is not None:
            self._once(tasks, job, "stop")

    def _once(self, tasks: TaskGroup, job: Job, what: str) -> None:
        """Do something about a job in the background, unless something is being done already."""
        if job.id not in self._busy:
            self._busy.add(job.id)
            tasks.start_soon(self._do, job, what)

    async def _do(self, job: Job, what: str) -> None:
        try:
            await {
                "start": self._start,
                "drop": self._drop,
                "stop": self._stop,
                "clean": self._cleaner.clean,
            }[what](job)
        except Exception:
            log.exception("could not attend to a job", job=job.id, what=what)
            await anyio.sleep(1)
        finally:
            self._busy.discard(job.id)

    async def _start(self, job: Job) -> None:
        planned, plan = self._loader.planned(job), self._loader.plan(job)
        if planned is None or plan is None:
            await self._starter.give_up(job, "the workflow no longer plans this job")
            self._undecided = True
        else:
            self._undecided |= not await self._starter.start(job, planned, plan)
        self._unattended = True
        self._woken.set()

    async def _drop(self, job: Job) -> None:
        """End a job that was cancelled before there was a process."""

        def work(tx: Transaction) -> None:
            row = tx.one("jobs.job", id=job.id)
            if row is not None and row["pid"] is None:
                finish_job(tx, job.id, "cancelled", job.reason, at=time.time())

        await self._store.transact(work)
        self.wake()

    async def _watch(self, job: Job) -> None:
        assert job.pid is not None  # noqa: S101 asked by _attend
        assert job.pid_started is not None  # noqa: S101 recorded with the pid
        await self._processes.gone(job.pid, job.pid_started)
        self._exited.add(job.id)
        self._woken.set()

    async def _stop(self, job: Job) -> None:
        """Send what is due: SIGTERM at once, again after the cancel timeout, at last SIGKILL to the group."""
        assert job.cancel_requested is not None  # noqa: S101 asked by _attend
        due = signals_due(time.time() - job.cancel_requested, float(job.limits.get("cancel_timeout", 300)))
        if due <= job.signals or job.pid is None or job.pid_started is None:
            return
        kill = due > 2
        self._processes.signal(job.pid, job.pid_started, KILL if kill else TERM, group=kill)

        def work(tx: Transaction) -> None:
            tx.run("jobs.count_signal", id=job.id, signals=due)
            tx.record("job.signalled", subject(job.run), job=job.id, signal="KILL" if kill else "TERM")

        await self._store.transact(work)


def signals_due(waited: float, timeout: float) -> int:
    """How many signals a job should have had, this long after it was asked to stop."""
    return 1 + (waited >= timeout) + (waited >= timeout + KILL_AFTER)
