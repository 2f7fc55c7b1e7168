"""What people do to runs: cancel them, run them again."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from windlass.pipelines import reason, rerun
from windlass.pipelines.apply import group_columns, insert_job, subject
from windlass.pipelines.errors import NotFoundError, StateError
from windlass.pipelines.plan import read
from windlass.pipelines.process import KILL
from windlass.pipelines.records import Job, Run

if TYPE_CHECKING:
    from collections.abc import Callable

    from windlass.pipelines.called import CalledFiles
    from windlass.pipelines.process import Processes
    from windlass.store import Row, Store, Transaction
    from windlass.workflow import Workflow
    from windlass.workflow.reusable import Called


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody wants to run again."""

    actor: str
    failed: bool = False
    job: str = ""
    debug: bool = False


class Control:
    """Writes what is wanted; the engine makes it so."""

    def __init__(
        self, store: Store, processes: Processes, files: CalledFiles, wake: Callable[[], None]
    ) -> None:
        self._store = store
        self._files = files
        self._processes = processes
        self._wake = wake

    async def cancel(self, run: int, *, actor: str, force: bool = False) -> None:
        """Ask a run to end: its steps are interrupted, `always()` ones still run. `force` kills them.

        Raises `NotFoundError`, and `StateError` when it is over already.
        """
        row = await self._store.one("pipelines.run", run=run)
        if row is None:
            raise NotFoundError(f"there is no run {run}: see `windlass runs`")
        if row["status"] == "completed":
            raise StateError(f"run {run} is over already: {row['conclusion']}")
        why = reason.cancelled(actor)

        def work(tx: Transaction) -> None:
            if tx.run("pipelines.request_run_cancel", run=run, at=time.time(), reason=why.to_json()):
                tx.record(
                    "run.cancelling", subject(run), actor=actor, reason={"code": why.code, "text": why.text}
                )

        await self._store.transact(work)
        if force:
            for job in await self._store.read("jobs.living"):
                if job["run"] == run and job["pid"] is not None:
                    self._processes.signal(job["pid"], job["pid_started"], KILL, group=True)
        self._wake()

    async def rerun(
        self, run: int, *, actor: str, failed: bool = False, job: str = "", debug: bool = False
    ) -> int:
        """Run again, from the same commit and the same workflow files; returns the new attempt.

        With `failed` only jobs that failed or were cancelled, with `job` only that one (a key, `test~2` for one
        leg, `deploy.build` or its name for one of a called workflow), in both cases with those that need them.
        `debug` has steps tell more. Raises `NotFoundError`, and `StateError` when the run is not over or cannot
        be run at all.
        """
        source = await self._store.one("pipelines.source", run=run)
        row = await self._store.one("pipelines.run", run=run)
        if row is None or source is None:
            raise NotFoundError(f"there is no run {run}: see `windlass runs`")
        workflow = read(source["source"], row["path"]).workflow
        if workflow is None:
            raise StateError(f"run {run} has an invalid workflow file: correct {row['path']} and push")
        files = await self._files.read(Run.of(row), workflow, source["source"])
        if files.broken is not None:
            raise StateError(f"run {run} cannot run: {files.broken.text}")
        called = files.called
        asked = Asked(actor, failed=failed, job=job, debug=debug)
        attempt = await self._store.transact(lambda tx: _again(tx, row, workflow, called, asked))
        self._wake()
        return attempt

    async def replay(self, run: int, *, actor: str) -> int:
        """Make a new run of the same files, event and inputs, and of the actions and images that the run used.

        Returns its id. Raises `NotFoundError`, and `StateError` when the run is not over or cannot be run at all.
        """
        source = await self._store.one("pipelines.source", run=run)
        row = await self._store.one("pipelines.run", run=run)
        if row is None or source is None:
            raise NotFoundError(f"there is no run {run}: see `windlass runs`")
        workflow = read(source["source"], row["path"]).workflow
        if workflow is None:
            raise StateError(f"run {run} has an invalid workflow file: there is nothing to repeat")
        made = await self._store.transact(lambda tx: _replay(tx, row, workflow, actor))
        self._wake()
        return made


def _replay(tx: Transaction, row: Row, workflow: Workflow, actor: str) -> int:
    where = {"repository": row["repository"], "path": row["path"]}
    numbered, now = tx.one("pipelines.next_number", **where), time.time()
    number = numbered["number"] if numbered else 1
    made = tx.one("pins.copy_run", run=row["id"], number=number, at=now, by=actor)
    if made is None:
        raise StateError(f"run {row['id']} is not over: what it uses is not known before")
    run = int(made["id"])
    tx.run("pins.copy_source", run=row["id"], to=run, at=now)
    tx.run("pins.copy_called", run=row["id"], to=run)
    pins = pinned(tx.run("pins.facts", run=row["id"]))
    for kind, names in pins.items():
        for name, value in names.items():
            tx.run("pins.insert", run=run, kind=kind, name=name, value=value)
    tx.run("pins.copy_pins", run=row["id"], to=run)
    for position, job in enumerate(workflow.jobs.values()):
        name = job.key if "${{" in job.name else job.name
        place = {"id": f"{run}.{job.key}.1", "run": run, "attempt": 1, "position": position}
        insert_job(tx, key=job.key, job=job.key, name=name, created_at=now, **place)
    facts = {key: row[key] for key in ("repository", "workflow", "event", "ref", "sha", "path")}
    tx.record("run.planned", subject(run), actor=actor, number=number, replay_of=row["id"], **facts)
    return run


def pinned(facts: list[Row]) -> dict[str, dict[str, str]]:
    """Return what a run has used, as pins: of each name what it came to first. Pure."""
    found: dict[str, dict[str, str]] = {"actions": {}, "images": {}}
    for fact in facts:
        data = json.loads(fact["data"])
        if fact["kind"] == "action":
            found["actions"].setdefault(data["uses"], data["sha"])
        else:
            found["images"].setdefault(data["image"], data["digest"])
    return found


def _again(tx: Transaction, run: Row, workflow: Workflow, called: dict[str, Called], asked: Asked) -> int:
    jobs = [Job.of(row) for row in tx.run("jobs.current", run=run["id"])]
    if asked.job:
        chosen = rerun.select(workflow, called, jobs, rerun.named(asked.job))
    elif asked.failed:
        chosen = rerun.select(workflow, called, jobs, rerun.failed)
    else:
        chosen = rerun.everything(jobs)
    if not chosen and asked.job:
        known = ", ".join(dict.fromkeys(job.job for job in jobs)) or "none"
        raise NotFoundError(f"run {run['id']} has no job {asked.job}: it has {known}")
    if not chosen:
        raise StateError(f"no job of run {run['id']} failed: run all of them again")
    status = "pending" if run["concurrency_group"] else "queued"
    done = tx.one("pipelines.rerun", run=run["id"], status=status, by=asked.actor, debug=int(asked.debug))
    if done is None:
        raise StateError(f"run {run['id']} is not over: cancel it first")
    _write(tx, chosen, jobs, int(done["attempt"]))
    facts = {"attempt": done["attempt"], "jobs": chosen.keys}
    tx.record("run.rerun", subject(run["id"]), actor=asked.actor, **facts)
    return int(done["attempt"])


def _write(tx: Transaction, chosen: rerun.Again, jobs: list[Job], attempt: int) -> None:
    """Retire the rows of what runs again and put new ones in their place."""
    names, now = {job.key: job.name for job in jobs}, time.time()
    for job in chosen.retired:
        tx.run("jobs.retire", id=job.id)
    for job in chosen.jobs:
        above, _, own = job.job.rpartition(".")
        shown = f"{names[above]} / {own}" if above else own
        place = {"id": f"{job.run}.{job.job}.{attempt}", "run": job.run, "attempt": attempt}
        place |= {"position": job.position, "place": job.place, "created_at": now}
        insert_job(tx, key=job.job, job=job.job, name=job.name if not job.expanded else shown, **place)
    for job in chosen.legs:
        insert_job(tx, **leg_again(job, attempt, now))


def leg_again(job: Job, attempt: int, now: float) -> dict[str, Any]:
    """Return the columns of a leg that is to run as it did before. Pure."""
    kept = (
        "run", "key", "job", "leg", "legs", "position", "place", "calls", "name", "concurrency_group",
        "concurrency_queue",
    )  # fmt: skip
    return {
        **{name: getattr(job, name) for name in kept},
        "id": f"{job.run}.{job.key}.{attempt}",
        "attempt": attempt,
        "expanded": 1,
        "status": "waiting" if job.environment else "pending" if job.concurrency_group else "queued",
        "tolerated": int(job.tolerated),
        "matrix": json.dumps(job.matrix) if job.matrix is not None else None,
        "limits": json.dumps(job.limits),
        "environment": json.dumps(job.environment) if job.environment else None,
        "cancel_in_progress": int(job.cancel_in_progress),
        "created_at": now,
        "ready_at": None if job.concurrency_group or job.environment else now,
        **(group_columns(job.limits["groups"][0]) if job.limits.get("groups") else {}),
    }
