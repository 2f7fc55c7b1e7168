"""What the person who pushed reads: one line an event, from the run's address to its end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from windlass.pipelines.queries import Queries
    from windlass.pipelines.records import FirstError, Job, Run
    from windlass.pipelines.settings import Settings
    from windlass.store import Store

MARKS = {"success": "✓", "failure": "✗", "timed_out": "✗", "cancelled": "⊘", "skipped": "-"}
RESYNC = 2.0
KINDS = ("push.planned", "run.*", "job.*")


def duration(seconds: float) -> str:
    """`0.4s`, `12s`, `3m 05s`."""
    if seconds < 10:
        return f"{seconds:.1f}s"
    if seconds < 60:
        return f"{seconds:.0f}s"
    return f"{int(seconds) // 60}m {int(seconds) % 60:02d}s"


@dataclass(slots=True)
class Teller:
    """What was said already. Pure: from what is to what has not been said of it."""

    url: str
    several: bool = False
    said: set[str] = field(default_factory=set)

    def _once(self, key: str, line: str) -> list[str]:
        if key in self.said:
            return []
        self.said.add(key)
        return [line]

    def head(self, run: Run) -> list[str]:
        """Return the run's address; at once, whatever it waits for."""
        line = f"▸ {run.workflow} #{run.number}  {self.url}/runs/{run.id}"
        return self._once(f"run {run.id}", line)

    def wait(self, run: Run) -> list[str]:
        """Return what the whole run waits for, once."""
        if run.status != "pending" or run.reason is None:
            return []
        return self._once(f"wait {run.id}", f"  … {run.reason.text}")

    def jobs(self, run: Run, jobs: Iterable[Job]) -> list[str]:
        """Jobs that started or ended. Skipped ones are left out: nothing happened."""
        lines: list[str] = []
        prefix = f"{run.workflow} / " if self.several else ""
        for job in sorted(jobs, key=lambda job: (job.started_at or 0.0, job.position, job.leg)):
            if job.started_at is not None:
                lines += self._once(f"start {job.id}", f"  · {prefix}{job.name}")
            if job.status == "waiting" and job.reason is not None:
                remedy = f" ({job.reason.remedy})" if job.reason.remedy else ""
                lines += self._once(
                    f"wait {job.id} {job.reason.code}", f"  … {prefix}{job.name} {job.reason.text}{remedy}"
                )
            if job.status == "completed" and job.conclusion != "skipped":
                lines += self._once(f"end {job.id}", f"  {self._ended(job, prefix)}")
        return lines

    @staticmethod
    def _ended(job: Job, prefix: str) -> str:
        mark = MARKS.get(job.conclusion or "", "?")
        spent = (
            f"  {duration(job.finished_at - job.started_at)}" if job.started_at and job.finished_at else ""
        )
        reason = job.reason.text.partition("\n")[0] if job.reason and job.conclusion != "success" else ""
        why = f"  {reason}" if reason else ""
        return f"{mark} {prefix}{job.name}{spent}{why}"

    def foot(self, run: Run, error: FirstError | None, seconds: float) -> list[str]:
        """How the run ended; a failed one with its first error and the command that shows more."""
        mark = MARKS.get(run.conclusion or "", "?")
        number = f"{run.workflow} #{run.number}"
        if run.conclusion == "success":
            line = f"{mark} {number}  {duration(seconds)}"
        else:
            line = f"{mark} {number} {run.conclusion}  {duration(seconds)}"
        lines = self._once(f"foot {run.id} {run.attempt}", line)
        if lines and run.conclusion == "failure" and error is not None:
            place = f"{error.file}:{error.line}: " if error.file and error.line else ""
            first, *more = error.message.splitlines() or [""]
            lines += [f"    {place}{first[:200]}", *(f"    {text[:200]}" for text in more[:4])]
            if not error.job:
                lines += [f"    {text[:200]}" for text in error.log[:12]]
            key = error.job.partition(".")[2].rpartition(".")[0]
            lines.append(f"    windlass logs {run.id}{f' --job {key}' if key else ''}")
        if lines and run.superseded_by is not None:
            lines.append(
                f"    superseded by run {run.superseded_by}: a newer commit is on {run.ref.rpartition('/')[2]}"
            )
        return lines


def held(jobs: Iterable[Job]) -> bool:
    """Whether nothing goes on before somebody approves, or a timer ends: nobody's terminal waits for that."""
    open_ = [job for job in jobs if job.status != "completed"]
    stands = [job for job in open_ if job.status == "waiting" and job.reason is not None]
    return bool(stands) and all(
        job in stands or not job.expanded or (job.calls and job.begun) for job in open_
    )


class News:
    """Tells about the runs of a push."""

    def __init__(self, store: Store, queries: Queries, settings: Settings) -> None:
        self._store = store
        self._queries = queries
        self._settings = settings

    async def of_push(self, push: int, *, follow: bool = True) -> AsyncIterator[str]:
        """Yield lines until all runs of the push are over, or wait for people.

        Without `follow`, what is known once it is planned.
        """
        teller = Teller(self._settings.server_url)
        with self._store.subscribe(*KINDS) as feed:
            while True:
                plan = await self._store.one("pipelines.plan", push=push)
                runs = await self._queries.runs_of_push(push) if plan else []
                teller.several = len(runs) > 1
                over = plan is not None
                for run in runs:
                    jobs = await self._queries.jobs(run.id)
                    for line in await self._about(teller, run, jobs):
                        yield line
                    over &= run.status == "completed" or held(jobs)
                if over or (plan is not None and not follow):
                    return
                await feed.wait(RESYNC)

    async def _about(self, teller: Teller, run: Run, jobs: list[Job]) -> list[str]:
        if f"foot {run.id} {run.attempt}" in teller.said:
            return []
        lines = teller.head(run) + teller.wait(run)
        lines += teller.jobs(run, jobs)
        if run.status == "completed":
            error = await self._queries.first_error(run.id) if run.conclusion == "failure" else None
            began = run.started_at or run.created_at
            lines += teller.foot(run, error, (run.finished_at or began) - began)
        return lines
