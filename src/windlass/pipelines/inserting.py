"""A planned run becomes rows: the run, its source, its jobs, in one transaction with what caused it."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from windlass.pipelines.apply import insert_job, subject
from windlass.pipelines.diagnose import deprecations, diagnostics_reason, findings
from windlass.pipelines.plan import contexts_of, name_run
from windlass.pipelines.records import Run

if TYPE_CHECKING:
    from windlass.pipelines.plan import Planned
    from windlass.pipelines.settings import Settings
    from windlass.store import Transaction
    from windlass.workflow import Event


@dataclass(frozen=True, slots=True)
class Cause:
    """What makes runs: an event on a commit of a repository.

    `subject` is the title of its runs (empty: the workflow's name). `push` or `occurrence` is the record of what
    happened, `depth` as in `Run`.
    """

    repository: str
    event: Event
    sha: str
    actor: str
    subject: str
    push: int | None = None
    inputs: dict[str, Any] = field(default_factory=dict)
    occurrence: int | None = None
    depth: int = 0


def insert_run(tx: Transaction, cause: Cause, planned: Planned, settings: Settings) -> int:
    """Insert one run with its jobs, in one transaction with whatever else `tx` does; returns its id."""
    numbered = tx.one("pipelines.next_number", repository=cause.repository, path=planned.path)
    row = {
        "number": numbered["number"] if numbered else 1,
        "repository": cause.repository,
        "path": planned.path,
        "workflow": planned.name,
        "event": cause.event.name,
        "ref": cause.event.ref,
        "sha": cause.sha,
        "actor": cause.actor,
        "title": cause.subject or planned.name,
        "push": cause.push,
        "created_at": time.time(),
    }
    run = Run.of(tx.run("pipelines.insert_run", **row)[0])
    if cause.occurrence is not None:
        tx.run("occurrences.tie", run=run.id, occurrence=cause.occurrence, depth=cause.depth)
    payload = json.dumps(cause.event.payload)
    sources = {"source": planned.source, "payload": payload, "inputs": json.dumps(cause.inputs)}
    tx.run("pipelines.insert_source", run=run.id, vars=json.dumps(settings.variables), **sources)
    facts = {key: row[key] for key in ("repository", "workflow", "number", "event", "ref", "sha", "push")}
    tx.record("run.planned", subject(run.id), actor=cause.actor, path=planned.path, **facts)
    _name(tx, run, planned, cause, settings)
    _supersede(tx, run)
    return run.id


def _name(tx: Transaction, run: Run, planned: Planned, cause: Cause, settings: Settings) -> None:
    """Title, concurrency group and jobs of a new run; a run that cannot be has failed already."""
    workflow = planned.workflow
    title, group, why = run.title, None, None
    if workflow is None:
        why = diagnostics_reason(planned.parsed, planned.source)
        for finding in findings(planned.parsed):
            tx.run(
                "pipelines.insert_annotation", run=run.id, job=None, step=None, at=run.created_at, **finding
            )
    else:
        contexts = contexts_of(
            run, cause.event.payload, cause.inputs, settings.variables, settings.server_url
        )
        for finding in deprecations(planned.source, planned.path):
            tx.run(
                "pipelines.insert_annotation", run=run.id, job=None, step=None, at=run.created_at, **finding
            )
        named = name_run(workflow, contexts, run.title)
        title, group, why = named.title, named.concurrency, named.reason
    row = {
        "title": title,
        "status": "completed" if why else "pending" if group else "queued",
        "conclusion": "failure" if why else None,
        "reason": why.to_json() if why else None,
        "concurrency_group": group.group if group else None,
        "cancel_in_progress": int(group.cancel_in_progress) if group else 0,
        "concurrency_queue": group.queue if group else "single",
        "finished_at": run.created_at if why else None,
    }
    tx.run("pipelines.name_run", run=run.id, **row)
    if why or workflow is None:
        tx.record("run.finished", subject(run.id), conclusion="failure", reason=why.text if why else "")
        return
    for position, job in enumerate(workflow.jobs.values()):
        name = job.key if "${{" in job.name else job.name
        place = {"id": f"{run.id}.{job.key}.1", "run": run.id, "attempt": 1, "position": position}
        insert_job(tx, key=job.key, job=job.key, name=name, created_at=run.created_at, **place)


def _supersede(tx: Transaction, run: Run) -> None:
    """Mark older runs of the ref: a newer commit stands above them, however long they take."""
    if run.event != "push":
        return
    where = {"repository": run.repository, "path": run.path, "ref": run.ref}
    for row in tx.run("pipelines.supersede", by=run.id, **where):
        tx.record("run.superseded", subject(row["id"]), by=run.id, sha=run.sha)
