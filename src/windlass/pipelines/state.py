"""Reads everything in motion from the store, for `decide`."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, TypeVar

from windlass.pipelines.decide import Active, State
from windlass.pipelines.gates import Approval, Environment, Gate
from windlass.pipelines.plan import contexts_of, read
from windlass.pipelines.records import Job, Run
from windlass.pipelines.runplan import RunPlan

if TYPE_CHECKING:
    from windlass.pipelines.called import CalledFiles
    from windlass.pipelines.settings import Settings
    from windlass.store import Row, Store
    from windlass.workflow import PlannedJob

R = TypeVar("R", Run, Job)


class Loader:
    """Loads active runs; remembers records of unchanged rows, and the plans of active runs."""

    def __init__(self, store: Store, settings: Settings, files: CalledFiles) -> None:
        self._store = store
        self._files = files
        self._settings = settings
        self._records: dict[int | str, tuple[Row, Run | Job]] = {}
        self._plans: dict[tuple[int, int], RunPlan] = {}

    async def load(self) -> State:
        """Everything in motion, as of now."""
        active_runs, active_jobs = await self._store.view(
            lambda view: (view.read("pipelines.active"), view.read("jobs.active"))
        )
        runs = self._known(Run, active_runs)
        jobs: dict[int, list[Job]] = {run.id: [] for run in runs}
        for job in self._known(Job, active_jobs):
            jobs.setdefault(job.run, []).append(job)
        active = [Active(run, tuple(jobs[run.id]), await self._plan(run)) for run in runs]
        self._forget(active)
        settings = self._settings
        gates = {
            job.id: await self._gate(item.run, job)
            for item in active
            for job in item.jobs
            if job.status == "waiting"
        }
        return State(
            tuple(active),
            settings.capacity,
            time.time(),
            settings.labels,
            settings.job_limit,
            settings.runner_limit,
            settings.unserved,
            gates,
        )

    async def _gate(self, run: Run, job: Job) -> Gate:
        name = str((job.environment or {}).get("name", "")).lower()
        rules = await self._store.one("environments.environment", repository=run.repository, key=name)
        if rules is None:
            return Gate()
        given = await self._store.one("environments.approval", job=job.id)
        return Gate(Environment.of(rules), Approval.of(given) if given else None)

    def planned(self, job: Job) -> PlannedJob | None:
        """Return the plan of a job that is expanded, once `decide` has looked at its run."""
        plan = self._plans.get((job.run, job.attempt))
        return plan.leg(job.job, job.key) if plan else None

    def plan(self, job: Job) -> RunPlan | None:
        """Return the plan of the file that a job stands in."""
        plan = self._plans.get((job.run, job.attempt))
        return plan.within(job.job) if plan else None

    def _known(self, kind: type[R], rows: list[Row]) -> list[R]:
        found: list[R] = []
        for row in rows:
            known = self._records.get(row["id"])
            if known is None or known[0] != row:
                known = self._records[row["id"]] = (row, kind.of(row))
            found.append(known[1])  # type: ignore[arg-type]
        return found

    async def _plan(self, run: Run) -> RunPlan:
        key = (run.id, run.attempt)
        if key not in self._plans:
            self._plans[key] = await self._read_plan(run)
        return self._plans[key]

    async def _read_plan(self, run: Run) -> RunPlan:
        source = await self._store.one("pipelines.source", run=run.id)
        assert source is not None  # noqa: S101 inserted with the run
        workflow = read(source["source"], run.path).workflow
        assert workflow is not None  # noqa: S101 an invalid one completes its run at once
        payload, inputs, variables = (json.loads(source[name]) for name in ("payload", "inputs", "vars"))
        contexts = contexts_of(run, payload, inputs, variables, self._settings.server_url)
        contexts["github"]["triggering_actor"] = run.rerun_by or run.actor
        if run.debug:
            contexts["vars"] = {**contexts["vars"], "ACTIONS_STEP_DEBUG": "true"}
        files = await self._files.read(run, workflow, source["source"])
        return RunPlan(
            files.parsed.workflow or workflow,
            contexts,
            self._settings.permissions,
            files.called,
            broken=files.broken,
            places=files.places,
            pins=files.pins,
        )

    def _forget(self, active: list[Active]) -> None:
        if len(self._plans) > 2 * len(active) + 16:
            living = {(item.run.id, item.run.attempt) for item in active}
            self._plans = {key: plan for key, plan in self._plans.items() if key in living}
        if len(self._records) > 4 * sum(1 + len(item.jobs) for item in active) + 1000:
            self._records.clear()
