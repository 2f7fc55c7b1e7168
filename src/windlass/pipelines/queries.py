"""Questions about runs, for pages and commands."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import anyio.to_thread

from windlass.pipelines.control import pinned
from windlass.pipelines.errors import NotFoundError
from windlass.pipelines.logfiles import last_lines
from windlass.pipelines.occurrences import Occurrence
from windlass.pipelines.records import (
    Annotation,
    Artifact,
    Build,
    FirstError,
    Image,
    Job,
    Run,
    RunDetail,
    Scheduled,
    Step,
)

if TYPE_CHECKING:
    from windlass.pipelines.settings import Settings
    from windlass.store import Store

FAILED = ("failure", "timed_out")
MAX_LIST = 500


class Queries:
    """Reads; changes nothing."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings

    async def runs(
        self,
        repository: str | None = None,
        *,
        ref: str | None = None,
        path: str | None = None,
        status: str | None = None,
        before: int | None = None,
        limit: int = 50,
    ) -> list[Run]:
        """Return runs, newest first; those with an id below `before` to page on."""
        where = {"repository": repository, "ref": ref, "path": path, "status": status, "before": before}
        rows = await self._store.read("pipelines.list", limit=max(1, min(limit, MAX_LIST)), **where)
        return [Run.of(row) for row in rows]

    async def run_record(self, run: int) -> Run | None:
        """Return a run's own row."""
        row = await self._store.one("pipelines.run", run=run)
        return Run.of(row) if row else None

    async def detail(self, run: int) -> RunDetail:
        """Return a run with everything that belongs to it. Raises `NotFoundError`."""
        record = await self.run_record(run)
        if record is None:
            raise NotFoundError(f"there is no run {run}: see `windlass runs`")
        jobs = await self.jobs(run)
        ids = {job.id for job in jobs}
        steps = [Step.of(row) for row in await self._store.read("jobs.steps_of_run", run=run)]
        coverage = await self._store.read("pipelines.facts", run=run, kind="coverage")
        deployments = await self._store.read("pipelines.facts", run=run, kind="deployment")
        builds = await self._store.read("pipelines.facts", run=run, kind="built")
        return RunDetail(
            record,
            tuple(jobs),
            tuple(step for step in steps if step.job in ids),
            tuple(Annotation.of(row) for row in await self._store.read("pipelines.annotations", run=run)),
            tuple(await self.images(run)),
            tuple(Artifact.of(row) for row in await self._store.read("artifacts.of_run", run=run)),
            json.loads(coverage[-1]["data"])["percent"] if coverage else None,
            tuple(Build(**json.loads(row["data"]), at=row["at"]) for row in builds),
            tuple([{**json.loads(row["data"]), "at": row["at"]} for row in deployments]),
            await self._pins(run),
        )

    async def _pins(self, run: int) -> dict[str, dict[str, str]]:
        """Return what a run was made of, by kind and name."""
        used = pinned(await self._store.read("pins.facts", run=run))
        called = {row["uses"]: row["sha"] for row in await self._store.read("called.of_run", run=run)}
        return {**used, "workflows": called}

    async def jobs(self, run: int, *, attempt: int | None = None) -> list[Job]:
        """Return the jobs of a run's latest (or another) attempt, in the order of the file."""
        if attempt is None:
            return [Job.of(row) for row in await self._store.read("jobs.current", run=run)]
        rows = await self._store.read("jobs.of_run", run=run)
        return [Job.of(row) for row in rows if row["attempt"] == attempt]

    async def images(self, run: int) -> list[Image]:
        """Return the images that a run published."""
        return [Image.of(row) for row in await self._store.read("pipelines.images", run=run)]

    async def runs_of_commit(self, repository: str, sha: str) -> list[Run]:
        """All runs for a commit, oldest first."""
        rows = await self._store.read("pipelines.of_commit", repository=repository, sha=sha)
        return [Run.of(row) for row in rows]

    async def runs_of_push(self, push: int) -> list[Run]:
        """All runs that a push caused."""
        return [Run.of(row) for row in await self._store.read("pipelines.of_push", push=push)]

    async def occurrences(
        self, repository: str | None = None, *, before: int | None = None, limit: int = 50
    ) -> list[Occurrence]:
        """Return what happened beside pushes, newest first; those with an id below `before` to page on."""
        where = {"repository": repository, "before": before}
        rows = await self._store.read("occurrences.list", limit=max(1, min(limit, MAX_LIST)), **where)
        return [Occurrence.of(row) for row in rows]

    async def occurrence(self, number: int) -> tuple[Occurrence, list[Run]]:
        """Return one with the runs that it started. Raises `NotFoundError`."""
        row = await self._store.one("occurrences.get", id=number)
        if row is None:
            raise NotFoundError(f"there is no occurrence {number}")
        runs = await self._store.read("occurrences.runs", id=number)
        return Occurrence.of(row), [Run.of(run) for run in runs]

    async def schedules(self, repository: str | None = None) -> list[Scheduled]:
        """Return the schedules of the default branches, the one that comes next first."""
        return [Scheduled.of(row) for row in await self._store.read("schedules.list", repository=repository)]

    async def runs_of_digest(self, digest: str) -> list[Run]:
        """Return the runs that published an image of this digest: what ties a GitOps revision to its runs."""
        return [Run.of(row) for row in await self._store.read("pipelines.of_digest", digest=digest)]

    async def first_error(self, run: int) -> FirstError | None:
        """Return what to show first of a failed run: its annotation, its reason, or the failing step's log."""
        detail = await self.detail(run)
        if detail.run.reason is not None and detail.run.conclusion == "failure":
            why = detail.run.reason
            return FirstError(
                "", detail.run.workflow, None, "", why.text, log=tuple(why.evidence.splitlines())
            )
        failed = [job for job in detail.jobs if job.conclusion in FAILED and not job.tolerated]
        failed.sort(key=lambda job: (job.calls is not None, job.finished_at or 0.0))
        return await self._of_job(detail, failed[0]) if failed else None

    async def _of_job(self, detail: RunDetail, job: Job) -> FirstError:
        steps = [step for step in detail.steps if step.job == job.id]
        bad = next((step for step in steps if step.conclusion in FAILED), steps[-1] if steps else None)
        lines: list[str] = []
        if bad is not None:
            path = self._settings.jobs / job.id / "log" / f"{bad.step:03d}.log"
            lines = await anyio.to_thread.run_sync(last_lines, path, 20)
        errors = [item for item in detail.annotations if item.job == job.id and item.level == "error"]
        # An annotation that stands on a line says more than the runner's own "exit code 1".
        best = min(errors, key=lambda item: (not item.file, item.id), default=None)
        message, file, line = "", None, None
        if best is not None:
            message, file, line = best.message, best.file or None, best.line
        telling = telling_line(lines)
        if file is None:
            message = telling or message or (job.reason.text if job.reason else f"{job.name} failed")
        step, name = (bad.step, bad.name) if bad else (None, "")
        return FirstError(job.id, job.name, step, name, message, file, line, tuple(lines))


def telling_line(lines: list[str]) -> str:
    """Return the line of a log that says best what failed: pytest's own summary, an assertion, an error."""
    for begin in ("E   ", "FAILED ", "AssertionError", "##[error]", "error:", "Error:", "ERROR"):
        for line in lines:
            text = line.strip()
            if text.startswith(begin) and not text.startswith("##[error]Process completed"):
                return text.removeprefix("##[error]").removeprefix("E   ").strip()[:300]
    return ""
