"""Carries decisions into the state: each effect is a change of rows and its entry in the ledger."""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import singledispatchmethod
from typing import TYPE_CHECKING, Any

from windlass.pipelines.effects import (
    AcquireJob,
    AcquireRun,
    CallJob,
    CancelJob,
    CancelRun,
    Effect,
    ExpandJob,
    FinishJob,
    FinishRun,
    PassJob,
    StartJob,
    WaitJob,
    WaitRun,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from windlass.pipelines.reason import Reason
    from windlass.pipelines.records import Job
    from windlass.store import Transaction
    from windlass.workflow import PlannedJob

MAX_NAME = 300


def run_of(job: str) -> int:
    """Return the run that a job's id names."""
    return int(job.partition(".")[0])


def subject(run: int) -> str:
    """Return the ledger subject of everything that happens to a run."""
    return f"run/{run}"


def limits(leg: PlannedJob) -> dict[str, Any]:
    """Return what of a planned job the scheduler looks at later. Seconds. `groups`: to be held one after the other."""
    groups = [asdict(group) for group in (leg.concurrency, leg.inner_concurrency) if group is not None]
    return {
        "timeout": leg.timeout_minutes * 60,
        "cancel_timeout": leg.cancel_timeout_minutes * 60,
        "runs_on": list(leg.runs_on),
        "max_parallel": leg.max_parallel,
        "fail_fast": leg.fail_fast,
        **({"groups": groups} if len(groups) > 1 else {}),
    }


def next_group(job: Job) -> dict[str, Any] | None:
    """Return the columns of the group that a job waits for next, now that it has one; None after the last. Pure."""
    groups = job.limits.get("groups", [])
    names = [str(group["group"]).lower() for group in groups]
    at = names.index((job.concurrency_group or "").lower()) + 1 if groups else 0
    return group_columns(groups[at]) if 0 < at < len(groups) else None


def group_columns(group: dict[str, Any]) -> dict[str, Any]:
    """Return a concurrency group as columns."""
    return {
        "concurrency_group": group["group"],
        "cancel_in_progress": int(group["cancel_in_progress"]),
        "concurrency_queue": group["queue"],
    }


def insert_job(tx: Transaction, **columns: Any) -> None:
    """Insert a job; columns that are not given take what a job has that nothing happened to yet."""
    default = {
        "leg": 0,
        "legs": 1,
        "expanded": 0,
        "status": "queued",
        "tolerated": 0,
        "reason": None,
        "matrix": None,
        "limits": "{}",
        "environment": None,
        "place": "",
        "calls": None,
        "concurrency_group": None,
        "cancel_in_progress": 0,
        "concurrency_queue": "single",
        "ready_at": None,
    }
    tx.run("jobs.insert", **(default | columns))


def finish_job(
    tx: Transaction,
    job: str,
    conclusion: str,
    why: Reason | None,
    *,
    at: float,
    outputs: dict[str, str] | None = None,
) -> bool:
    """Complete a job once; False when it was over already."""
    text = why.to_json() if why else None
    row = {
        "id": job,
        "conclusion": conclusion,
        "reason": text,
        "outputs": json.dumps(outputs or {}),
        "at": at,
    }
    done = tx.one("jobs.finish", **row)
    if done is None:
        return False
    tx.run("jobs.end_steps", job=job, conclusion="cancelled", at=at)
    seconds = round(at - done["started_at"], 3) if done["started_at"] else None
    tx.record(
        "job.finished",
        subject(run_of(job)),
        job=job,
        name=done["name"],
        conclusion=conclusion,
        seconds=seconds,
        reason=asdict(why) if why else None,
    )
    return True


class Applier:
    """Applies effects inside one transaction, at one time."""

    def __init__(self, tx: Transaction, jobs: dict[str, Job], now: float) -> None:
        self.tx = tx
        self.jobs = jobs
        self.now = now

    def apply(self, effects: Iterable[Effect]) -> None:
        """Apply them in order."""
        for effect in effects:
            self.carry(effect)

    def _record(self, kind: str, run: int, **data: Any) -> None:
        self.tx.record(kind, subject(run), **data)

    @singledispatchmethod
    def carry(self, effect: Any) -> None:
        """Apply one effect."""
        raise TypeError(effect)

    @carry.register
    def _(self, effect: AcquireRun) -> None:
        self.tx.run("pipelines.set_run_status", run=effect.run, status="queued", started_at=None)
        self._record("run.queued", effect.run)

    @carry.register
    def _(self, effect: WaitRun) -> None:
        self.tx.run("pipelines.set_run_reason", run=effect.run, reason=effect.reason.to_json())
        self._record("run.waiting", effect.run, reason=asdict(effect.reason))

    @carry.register
    def _(self, effect: CancelRun) -> None:
        text = effect.reason.to_json()
        if self.tx.run("pipelines.request_run_cancel", run=effect.run, at=self.now, reason=text):
            self._record("run.cancelling", effect.run, reason=asdict(effect.reason))

    @carry.register
    def _(self, effect: FinishRun) -> None:
        text = effect.reason.to_json() if effect.reason else None
        row = {"run": effect.run, "conclusion": effect.conclusion, "at": self.now, "reason": text}
        if done := self.tx.one("pipelines.finish_run", **row):
            seconds = round(self.now - (done["started_at"] or done["created_at"]), 3)
            facts = {key: done[key] for key in ("repository", "workflow", "number", "sha", "ref")}
            self._record("run.finished", effect.run, conclusion=effect.conclusion, seconds=seconds, **facts)

    @carry.register
    def _(self, effect: ExpandJob) -> None:
        placeholder = self.jobs[effect.job]
        if not self.tx.run("jobs.delete_placeholder", id=effect.job):
            return
        for leg in effect.legs:
            self._insert_leg(placeholder, leg)
        keys = [leg.key for leg in effect.legs]
        self._record("job.ready", placeholder.run, job=effect.job, legs=keys)

    def _insert_leg(self, placeholder: Job, leg: PlannedJob) -> None:
        group = leg.concurrency
        insert_job(
            self.tx,
            id=f"{placeholder.run}.{leg.key}.{placeholder.attempt}",
            run=placeholder.run,
            attempt=placeholder.attempt,
            key=leg.key,
            job=leg.job,
            leg=leg.index,
            legs=leg.total,
            expanded=1,
            position=placeholder.position,
            place=placeholder.place,
            calls=leg.uses,
            name=leg.name[:MAX_NAME],
            status="waiting" if leg.environment else "pending" if group else "queued",
            tolerated=int(leg.continue_on_error),
            matrix=json.dumps(leg.matrix) if leg.matrix is not None else None,
            limits=json.dumps(limits(leg)),
            environment=json.dumps(asdict(leg.environment)) if leg.environment else None,
            concurrency_group=group.group if group else None,
            cancel_in_progress=int(group.cancel_in_progress) if group else 0,
            concurrency_queue=group.queue if group else "single",
            created_at=self.now,
            ready_at=None if group or leg.environment else self.now,
        )

    @carry.register
    def _(self, effect: CallJob) -> None:
        caller = self.jobs[effect.job]
        if not self.tx.run("jobs.call", id=effect.job, at=self.now):
            return
        self.tx.run("pipelines.set_run_status", run=caller.run, status="in_progress", started_at=self.now)
        for job in effect.jobs:
            insert_job(
                self.tx,
                id=f"{caller.run}.{job.key}.{caller.attempt}",
                run=caller.run,
                attempt=caller.attempt,
                key=job.key,
                job=job.key,
                position=caller.position,
                place=f"{caller.place}{caller.leg:04d}.{job.position:04d}.",
                name=job.name[:MAX_NAME],
                created_at=self.now,
            )
        self._record("job.called", caller.run, job=effect.job, jobs=[job.key for job in effect.jobs])

    @carry.register
    def _(self, effect: WaitJob) -> None:
        self.tx.run("jobs.set_reason", id=effect.job, reason=effect.reason.to_json())
        self._record("job.waiting", run_of(effect.job), job=effect.job, reason=asdict(effect.reason))

    @carry.register
    def _(self, effect: PassJob) -> None:
        if self.tx.run("jobs.pass", id=effect.job, at=self.now):
            job = self.jobs[effect.job]
            self._record("job.passed", job.run, job=job.id, environment=(job.environment or {}).get("name"))

    @carry.register
    def _(self, effect: AcquireJob) -> None:
        if (group := next_group(self.jobs[effect.job])) is not None:
            self.tx.run("jobs.next_group", id=effect.job, **group)
        elif self.tx.run("jobs.acquire", id=effect.job, at=self.now):
            self._record("job.queued", run_of(effect.job), job=effect.job)

    @carry.register
    def _(self, effect: StartJob) -> None:
        if self.tx.run("jobs.assign", id=effect.job, at=self.now):
            run = run_of(effect.job)
            self.tx.run("pipelines.set_run_status", run=run, status="in_progress", started_at=self.now)
            self._record("job.assigned", run, job=effect.job, name=self.jobs[effect.job].name)

    @carry.register
    def _(self, effect: CancelJob) -> None:
        text = effect.reason.to_json()
        if self.tx.run("jobs.request_cancel", id=effect.job, at=self.now, reason=text):
            self._record("job.cancelling", run_of(effect.job), job=effect.job, reason=asdict(effect.reason))

    @carry.register
    def _(self, effect: FinishJob) -> None:
        finish_job(self.tx, effect.job, effect.conclusion, effect.reason, at=self.now, outputs=effect.outputs)
