"""What a run would come to if everything in it succeeded: jobs, legs, and why some are left out. Pure."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from windlass.pipelines import Run
from windlass.pipelines.plan import contexts_of, name_run
from windlass.workflow import Invalid, JobResult, PlannedJob, Ready, Skipped, decide_job, order

if TYPE_CHECKING:
    from collections.abc import Mapping

    from windlass.server.local.checkout import Checkout
    from windlass.server.local.choose import Chosen
    from windlass.server.local.snapshot import Snapshot
    from windlass.workflow import Job

URL = "https://github.com"


@dataclass(frozen=True, slots=True)
class OutlinedJob:
    """A job of the file. `state` is runs, skipped, unknown (it hangs on what others put out) or invalid."""

    key: str
    name: str
    needs: tuple[str, ...]
    state: str
    reason: str = ""
    legs: tuple[PlannedJob, ...] = ()
    steps: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Outline:
    """A workflow as it would run. `title` is its `run-name` or the commit's subject."""

    path: str
    name: str
    event: str
    title: str
    jobs: tuple[OutlinedJob, ...]


def outline(chosen: Chosen, checkout: Checkout, snapshot: Snapshot, variables: Mapping[str, str]) -> Outline:
    """Plan the workflow job by job, each success giving the next ones their turn."""
    workflow = chosen.file.workflow
    run = _run(chosen, checkout, snapshot)
    contexts = contexts_of(run, chosen.event.payload, chosen.inputs, dict(variables), URL)
    results: dict[str, JobResult] = {}
    jobs: dict[str, OutlinedJob] = {}
    for key in order(workflow):
        job = workflow.jobs[key]
        if key in chosen.settled:
            conclusion, reason = chosen.settled[key]
            results[key] = JobResult(conclusion, {})
            jobs[key] = OutlinedJob(key, job.name, job.needs, "skipped", reason)
            continue
        jobs[key] = _outlined(job, decide_job(workflow, key, results, contexts))
        results[key] = JobResult("skipped" if jobs[key].state == "skipped" else "success", {})
    named = name_run(workflow, contexts, snapshot.subject)
    return Outline(
        workflow.path,
        workflow.name,
        chosen.event.name,
        named.title,
        tuple(jobs[key] for key in workflow.jobs),
    )


def _outlined(job: Job, decision: Any) -> OutlinedJob:
    steps = tuple(_step(step) for step in job.steps)
    name = job.key if "${{" in job.name else job.name
    if isinstance(decision, Ready):
        return OutlinedJob(job.key, name, job.needs, "runs", "", decision.jobs, steps)
    if isinstance(decision, Skipped):
        unknown = "needs." in job.condition and ".outputs" in job.condition
        return OutlinedJob(
            job.key, name, job.needs, "unknown" if unknown else "skipped", decision.reason, steps=steps
        )
    reason = decision.reason if isinstance(decision, Invalid) else ""
    if job.needs and "needs." in str(job.definition):
        listed = ", ".join(job.needs)
        return OutlinedJob(job.key, name, job.needs, "unknown", f"known when {listed} has run", steps=steps)
    return OutlinedJob(job.key, name, job.needs, "invalid", reason, steps=steps)


def _step(step: Mapping[str, Any]) -> str:
    if name := step.get("name"):
        return str(name)
    lines = str(step.get("run") or "").strip().splitlines()
    return f"Run {step.get('uses') or (lines[0] if lines else '')}"


def _run(chosen: Chosen, checkout: Checkout, snapshot: Snapshot) -> Run:
    """Return the record of the run that it would be."""
    return Run(
        id=1, number=1, repository=checkout.repository, path=chosen.file.path, workflow=chosen.file.workflow.name,
        event=chosen.event.name, ref=chosen.event.ref, sha=snapshot.sha, actor=checkout.actor,
        title=snapshot.subject, push=None, attempt=1, status="queued", conclusion=None, reason=None,
        concurrency_group=None, cancel_in_progress=False, concurrency_queue="single", cancel_requested=None,
        superseded_by=None, created_at=time.time(), started_at=None, finished_at=None,
    )  # fmt: skip
