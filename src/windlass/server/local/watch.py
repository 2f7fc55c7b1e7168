"""What happens in a run, as one stream of events in the order in which it happened, log lines among them.

Each event is a plain mapping with `kind` and `at` (seconds since the epoch). `run` and `job` are ids.

    run.started   run workflow path event ref sha jobs=[{job, key, name, needs, asked}]
    job.ready     job=placeholder, legs=[{job, name, key}]
    job.called    job=caller, jobs=[{job, name, key}]
    job.waiting   job reason                job.started   job name
    step.started  job step name line        step.finished job step name conclusion seconds
    log           job step line             annotation    job step level message file line
    job.finished  job name conclusion seconds reason tolerated
    run.finished  run workflow conclusion seconds error summaries artifacts coverage annotations
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from windlass.pipelines.logfiles import STAMP, read_block

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping
    from pathlib import Path

    from windlass.pipelines import Job, Pipelines
    from windlass.pipelines.records import FirstError
    from windlass.store import Store
    from windlass.store.feed import Entry

Event = dict[str, Any]
KINDS = ("run.*", "job.*", "step.*", "annotation", "coverage", "image.*")
PASSED = {
    "job.waiting": ("job", "reason"),
    "job.started": ("job", "name"),
    "job.finished": ("job", "name", "conclusion", "seconds", "reason"),
    "step.started": ("job", "step", "name", "line"),
    "step.finished": ("job", "step", "name", "outcome", "conclusion", "seconds"),
    "annotation": ("job", "step", "level", "message", "file", "line"),
    "coverage": ("job", "percent"),
    "image.built": ("job", "image", "seconds"),
    "image.published": ("job", "image", "digest", "tags"),
}
"""The ledger's entries that are told as they are, and what of each."""
LOOK = 0.05
"""Seconds between two looks at the logs of running steps."""
PAUSED = "paused"
"""Told after lines of logs, when there are no more for now: who holds back what is told shows it then."""
MAX_AT_ONCE = 1 << 20


@dataclass(slots=True)
class Tail:
    """The log of a running step, read as it grows."""

    job: str
    step: int
    path: Path
    offset: int = 0

    def lines(self, limit: int = MAX_AT_ONCE) -> Iterator[str]:
        """Yield the lines that have come since, without their times."""
        stop = self.offset + limit
        while self.offset < stop and (block := read_block(self.path, self.offset)):
            self.offset += len(block)
            for line in block.decode("utf-8", "replace").splitlines():
                yield line[STAMP:]


@dataclass
class Watch:
    """Follows some runs to their end, and calls `tell` with each event."""

    runs: Pipelines
    store: Store
    jobs: Path
    tell: Callable[[Event], None]
    ids: tuple[int, ...] = ()
    _tails: dict[str, Tail] = field(default_factory=dict)
    _over: set[int] = field(default_factory=set)

    async def follow(self, start: Callable[[], Awaitable[list[Event]]]) -> None:
        """Return with the end of the last run. `start` makes the runs, and says what is to be told of each first."""
        with self.store.subscribe(*KINDS) as feed:
            for event in await start():
                self.ids = (*self.ids, event["run"])
                self.tell(event)
            while len(self._over) < len(self.ids):
                for entry in await feed.wait(LOOK if self._tails else 1.0):
                    await self._take(entry)
                told = [tail for tail in self._tails.values() if self._lines(tail)]
                if told:
                    self.tell({"kind": PAUSED})

    def _lines(self, tail: Tail) -> bool:
        """Tell the new lines of a log; whether there were any."""
        before = tail.offset
        for line in tail.lines():
            self.tell({"kind": "log", "job": tail.job, "step": tail.step, "line": line})
        return tail.offset > before

    async def _take(self, entry: Entry) -> None:
        kind, data = entry.kind, dict(entry.data)
        run = int(entry.subject.partition("/")[2]) if entry.subject.startswith("run/") else 0
        if run not in self.ids:
            return
        head: Event = {"kind": kind, "at": entry.at, "run": run}
        if kind == "step.started":
            log = self.jobs / data["job"] / "log" / f"{data['step']:03d}.log"
            self._tails[data["job"]] = Tail(data["job"], data["step"], log)
        if kind in {"step.finished", "job.finished"}:
            self._drain(data["job"])
        if kind == "job.ready":
            legs = [job for job in await self.runs.jobs(run) if job.expanded and job.key in data["legs"]]
            self.tell(head | {"job": data["job"], "legs": [_shown(job) for job in legs]})
        elif kind == "job.called":
            inner = [job for job in await self.runs.jobs(run) if job.key in data["jobs"]]
            self.tell(head | {"job": data["job"], "jobs": [_shown(job) for job in inner]})
        elif kind == "run.finished":
            self._over.add(run)
            self.tell(head | await self._ending(run, data))
        elif kind in PASSED:
            self.tell(head | {key: data[key] for key in PASSED[kind] if key in data})

    def _drain(self, job: str) -> None:
        """Tell the rest of the log of a step that is over."""
        tail = self._tails.pop(job, None)
        while tail is not None and self._lines(tail):
            pass

    async def _ending(self, run: int, data: Mapping[str, Any]) -> Event:
        """Return how the run ended, with all that is worth telling of it."""
        detail = await self.runs.detail(run)
        names = {job.id: job.name for job in detail.jobs}
        error = await self.runs.first_error(run) if data["conclusion"] == "failure" else None
        return {
            "workflow": detail.run.workflow,
            "conclusion": data["conclusion"],
            "seconds": data.get("seconds"),
            "reason": asdict(detail.run.reason) if detail.run.reason else None,
            "error": self._error(error),
            "summaries": [
                {
                    "job": step.job,
                    "name": names.get(step.job, ""),
                    "step": step.name,
                    "markdown": step.summary,
                }
                for step in detail.steps
                if step.summary
            ],
            "annotations": [
                {
                    "job": item.job,
                    "name": names.get(item.job or "", ""),
                    "level": item.level,
                    "message": item.message,
                    "file": item.file,
                    "line": item.line,
                    "title": item.title,
                }
                for item in detail.annotations
            ],
            "artifacts": [
                {
                    "name": item.name,
                    "size": item.size,
                    "files": item.files,
                    "path": str(self.runs.artifacts.path(run, item.name)),
                }
                for item in detail.artifacts
            ],
            "images": [{"image": item.image, "digest": item.digest} for item in detail.images],
            "coverage": detail.coverage,
        }

    def _error(self, error: FirstError | None) -> Event | None:
        if error is None:
            return None
        path = self.jobs / error.job / "log" / f"{error.step or 0:03d}.log" if error.job else None
        return {
            "job": error.job,
            "name": error.job_name,
            "step": error.step_name,
            "message": error.message,
            "file": error.file,
            "line": error.line,
            "log": list(error.log),
            "path": str(path) if path else None,
        }


def _shown(job: Job) -> Event:
    return {"job": job.id, "name": job.name, "key": job.key}
