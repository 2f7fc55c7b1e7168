"""The scheduler's decisions, pure: from everything that is in motion to what should happen next.

Level-triggered: `decide` is asked again and again until it has no more effects. Decisions about the shape
of runs come first, then those about concurrency groups; slots are given only when nothing else is left.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

from windlass.pipelines import groups, reason
from windlass.pipelines.effects import (
    CallJob,
    CancelJob,
    Effect,
    ExpandJob,
    FinishJob,
    FinishRun,
    StartJob,
    WaitJob,
)
from windlass.pipelines.gates import Gate, judge
from windlass.workflow import (
    Invalid,
    JobResult,
    Leg,
    PlannedJob,
    Ready,
    Skipped,
    Waiting,
    combine,
    next_legs,
)
from windlass.workflow.expressions import ExpressionError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from windlass.pipelines.reason import Reason
    from windlass.pipelines.records import Job, Run
    from windlass.pipelines.runplan import Placeholder
    from windlass.workflow import JobDecision

LegState: TypeAlias = Literal["queued", "running", "completed"]
STATES: dict[str, LegState] = {
    "waiting": "queued",
    "pending": "queued",
    "queued": "queued",
    "in_progress": "running",
    "completed": "completed",
}
MAX_JOBS = 5000
"""Of one run: all legs, and those of called workflows."""


class Plan(Protocol):
    """A workflow file in one attempt at a run, with its contexts. All methods are pure.

    `order` holds the jobs of the file, needs first, by the keys that they have there. Legs have their whole
    keys: those below the job that calls the file. `ended` is for `decide` to remember results in: a job that is
    over stays so. `broken` says why none of it can run.
    """

    order: tuple[str, ...]
    ended: dict[str, JobResult]
    broken: Reason | None

    def decide(self, key: str, results: Mapping[str, JobResult], *, cancelled: bool) -> JobDecision:
        """Return what is to happen with the job of the file, given how others ended."""
        ...

    def legs(self, key: str, results: Mapping[str, JobResult]) -> Mapping[str, PlannedJob]:
        """Return the legs of a job that was Ready with these results, by their keys."""
        ...

    def call(self, leg: str) -> Plan | None:
        """Return the plan of the file that a leg calls, by its whole key."""
        ...

    def placeholders(self) -> tuple[Placeholder, ...]:
        """Return the jobs of the file, by their whole keys."""
        ...

    def outputs(self, results: Mapping[str, JobResult]) -> dict[str, str]:
        """Return what the file puts out for its caller. Raises `ExpressionError`."""
        ...

    def conclude(self, results: Mapping[str, JobResult], *, cancelled: bool) -> str:
        """How the run, or the job that calls, ended."""
        ...


@dataclass(frozen=True, slots=True)
class Active:
    """A run that is not completed, with the jobs of its current attempt in the order of the file."""

    run: Run
    jobs: tuple[Job, ...]
    plan: Plan

    def jobs_below(self, caller: Job | None) -> list[Job]:
        """Return the jobs of the workflow that a job calls; without one those of the run's own file."""
        above = caller.key if caller else ""
        return [job for job in self.jobs if job.job.rpartition(".")[0] == above]


@dataclass(frozen=True, slots=True)
class State:
    """Everything in motion. `capacity` jobs run at once; `labels` are patterns of what this server can run."""

    runs: tuple[Active, ...]
    capacity: int
    now: float
    labels: tuple[str, ...] = ("*",)
    job_limit: float = 6 * 3600.0 + 600
    runner_limit: float = 24 * 3600.0
    unserved: str = "failure"
    """How a job ends whose labels nobody had for so long."""
    gates: Mapping[str, Gate] = field(default_factory=dict)
    """Of the jobs that wait for their environment, by id."""


@dataclass(frozen=True, slots=True)
class _Candidate:
    run: Run
    job: Job


def decide(state: State) -> list[Effect]:
    """Return what should be in motion and is not? Empty when all is as it should be."""
    effects: list[Effect] = []
    candidates: list[_Candidate] = []
    for active in state.runs:
        view = _View(active, state)
        effects += view.of_run()
        candidates += view.candidates
    found = (member for active in state.runs for member in groups.members(active.run, active.jobs))
    return effects or groups.settle(found) or _assign(state, candidates)


class _View:
    """The jobs of one file in one run, looked at once: the run's own file, or one that a job calls."""

    def __init__(
        self, active: Active, state: State, plan: Plan | None = None, caller: Job | None = None
    ) -> None:
        self.active = active
        self.run = active.run
        self.plan = plan or active.plan
        self.state = state
        self.cancelled = self.run.cancel_requested is not None
        self.why = self.run.reason
        if caller is not None and caller.cancel_requested is not None:
            self.cancelled, self.why = True, self.why if self.cancelled else caller.reason
        self.by_key: dict[str, list[Job]] = {}
        for job in active.jobs_below(caller):
            self.by_key.setdefault(job.job.rpartition(".")[2], []).append(job)
        self.results: dict[str, JobResult] = {}
        self.legs: dict[str, list[Leg]] = {}
        self.candidates: list[_Candidate] = []
        self._results()

    def _results(self) -> None:
        """Results in the order of needs: the legs of a job are planned from the results of those before it."""
        for key in self.plan.order:
            if key not in self.by_key:
                continue
            result = self.plan.ended.get(key) or self._result(key, self.by_key[key])
            if result is not None:
                self.results[key] = self.plan.ended[key] = result

    def _result(self, key: str, jobs: list[Job]) -> JobResult | None:
        if not jobs[0].expanded:
            return JobResult(jobs[0].conclusion or "failure", {}) if jobs[0].status == "completed" else None
        planned = self.plan.legs(key, self.results)
        if any(job.key not in planned for job in jobs):
            return None
        self.legs[key] = [_leg(job, planned[job.key]) for job in jobs]
        return combine(self.legs[key])

    @property
    def over(self) -> bool:
        """Whether all jobs of the file are."""
        return len(self.results) == len(self.by_key) and bool(self.by_key)

    def of_run(self) -> list[Effect]:
        """Return what is to happen with the run that this is the file of."""
        if self.plan.broken is not None:
            why = reason.unstarted(self.plan.broken)
            left = [job for job in self.active.jobs if job.status != "completed"]
            return [
                *(FinishJob(job.id, "skipped", why) for job in left),
                FinishRun(self.run.id, "failure", self.plan.broken),
            ]
        if self.over or not self.by_key:
            return [FinishRun(self.run.id, self.plan.conclude(self.results, cancelled=self.cancelled))]
        if self.run.status == "pending":
            return self._drop_all() if self.cancelled else []
        return self.effects()

    def effects(self) -> list[Effect]:
        """Return what is to happen with the jobs of the file."""
        effects: list[Effect] = []
        for key, jobs in self.by_key.items():
            if key not in self.results:
                effects += self._expanded(key, jobs) if jobs[0].expanded else self._planned(key, jobs[0])
        return effects

    def _drop_all(self) -> list[Effect]:
        open_ = [job for jobs in self.by_key.values() for job in jobs if job.status != "completed"]
        return [FinishJob(job.id, "cancelled", self.run.reason) for job in open_]

    def _planned(self, key: str, job: Job) -> list[Effect]:
        decision = self.plan.decide(key, self.results, cancelled=self.cancelled)
        if isinstance(decision, Waiting):
            why = reason.needs(list(decision.needs), decision.reason)
            return [] if job.reason == why else [WaitJob(job.id, why)]
        if isinstance(decision, Skipped):
            return [FinishJob(job.id, "skipped", reason.skipped(decision.reason))]
        if isinstance(decision, Invalid):
            evidence = "\n".join(str(item) for item in decision.diagnostics)
            return [FinishJob(job.id, "failure", reason.invalid(decision.reason, evidence))]
        if len(self.active.jobs) + len(decision.jobs) > MAX_JOBS:
            return [FinishJob(job.id, "failure", reason.too_many(MAX_JOBS))]
        return [ExpandJob(job.id, decision.jobs)]

    def _expanded(self, key: str, jobs: list[Job]) -> list[Effect]:
        halted = self.cancelled and not isinstance(self._again(key), Ready)
        steps = next_legs(self.legs.get(key, []))
        effects: list[Effect] = []
        for job in jobs:
            if halted and not (job.calls and job.begun):
                effects += _stop(job, self.why)
                continue
            if job.key in steps.cancel:
                effects += _stop(job, reason.fail_fast(steps.reason))
            elif job.status == "waiting":
                effects += judge(job, self.run, self.state.gates.get(job.id, Gate()), self.state.now)
            elif job.key in steps.start and job.status == "queued" and job.assigned_at is None:
                effects += self._start(job)
            elif job.key in steps.waiting and job.status == "queued" and job.assigned_at is None:
                why = reason.legs(steps.waiting[job.key])
                effects += [] if job.reason == why else [WaitJob(job.id, why)]
            if job.status == "in_progress":
                effects += self._below(job) if job.calls else self._overdue(job)
        return effects

    def _start(self, job: Job) -> list[Effect]:
        if job.calls is None:
            return self._runnable(job)
        plan = self.plan.call(job.key)
        if plan is None:
            return []
        there = {found.job for found in self.active.jobs_below(job)}
        missing = tuple(item for item in plan.placeholders() if item.key not in there)
        if len(self.active.jobs) + len(missing) > MAX_JOBS:
            return [FinishJob(job.id, "failure", reason.too_many(MAX_JOBS))]
        return [CallJob(job.id, missing)]

    def _below(self, job: Job) -> list[Effect]:
        """Return what is to happen in the workflow that a job has called, and with the job at its end."""
        plan = self.plan.call(job.key)
        if plan is None:
            return []
        view = _View(self.active, self.state, plan, job)
        if not view.over:
            effects = view.effects()
            self.candidates += view.candidates
            return effects
        ended = plan.conclude(view.results, cancelled=view.cancelled)
        why = view.why if view.cancelled and ended == "cancelled" else None
        if why is None and ended != "success":
            names = [job.name for jobs in view.by_key.values() for job in jobs if job.conclusion == ended]
            why = reason.below(ended, names)
        try:
            return [FinishJob(job.id, ended, why, plan.outputs(view.results))]
        except ExpressionError as error:
            return [FinishJob(job.id, "failure", reason.invalid(f"outputs of {job.calls}: {error}"))]

    def _again(self, key: str) -> JobDecision:
        """Ask for the job's condition again, now that the run is cancelled: `always()` goes on."""
        return self.plan.decide(key, self.results, cancelled=True)

    def _overdue(self, job: Job) -> list[Effect]:
        limit = max(self.state.job_limit, float(job.limits.get("timeout", 0)) + 600)
        started = self.state.now if job.started_at is None else job.started_at
        if job.cancel_requested is None and started + limit < self.state.now:
            return [CancelJob(job.id, reason.time_limit(limit))]
        return []

    def _runnable(self, job: Job) -> list[Effect]:
        labels = tuple(job.limits.get("runs_on", ()))
        if _served(labels, self.state.labels):
            self.candidates.append(_Candidate(self.run, job))
            return []
        why = reason.no_runner(labels)
        ready = self.state.now if job.ready_at is None else job.ready_at
        if ready + self.state.runner_limit < self.state.now:
            return [FinishJob(job.id, self.state.unserved, why)]
        return [] if job.reason == why else [WaitJob(job.id, why)]


@lru_cache(maxsize=1024)
def _served(labels: tuple[str, ...], patterns: tuple[str, ...]) -> bool:
    return all(any(fnmatchcase(label, pattern) for pattern in patterns) for label in labels)


def _leg(job: Job, planned: PlannedJob) -> Leg:
    state: LegState = "running" if job.assigned_at and job.status == "queued" else STATES[job.status]
    return Leg(planned, state, job.conclusion, job.outputs)


def _stop(job: Job, why: reason.Reason | None) -> list[Effect]:
    if job.status == "completed" or job.cancel_requested is not None:
        return []
    why = why or reason.cancelled("the run")
    return [CancelJob(job.id, why) if job.begun else FinishJob(job.id, "cancelled", why)]


def _assign(state: State, candidates: list[_Candidate]) -> list[Effect]:
    """Give the free slots: to the repository with the fewest running jobs, then to who was ready first."""
    running: dict[str, int] = {}
    for active in state.runs:
        count = sum(1 for job in active.jobs if job.assigned_at is not None and job.status != "completed")
        running[active.run.repository] = running.get(active.run.repository, 0) + count
    free = state.capacity - sum(running.values())
    queue = sorted(candidates, key=lambda c: (c.job.ready_at or 0.0, c.run.id, c.job.position, c.job.leg))
    effects: list[Effect] = []
    while queue and free > 0:
        chosen = min(queue, key=lambda c: running[c.run.repository])  # the first of equals: the oldest
        queue.remove(chosen)
        running[chosen.run.repository] += 1
        free -= 1
        effects.append(StartJob(chosen.job.id))
    why = reason.capacity(state.capacity)
    effects += [WaitJob(c.job.id, why) for c in queue if c.job.reason != why]
    return effects
