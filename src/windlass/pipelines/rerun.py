"""Which jobs run again, and as what. Pure.

Whoever depends on a job that runs again runs again too, planned anew. A single leg runs again as it was: what it
needs has not changed. A job that calls a workflow, of which only some jobs run again, is opened again around them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from windlass.pipelines.records import Job
    from windlass.workflow import Workflow
    from windlass.workflow.reusable import Called

BAD = {"failure", "cancelled", "timed_out"}


@dataclass(slots=True)
class Again:
    """What a re-run changes: rows whose place is taken, whole jobs to plan anew, single legs to run as they were."""

    retired: list[Job] = field(default_factory=list)
    jobs: list[Job] = field(default_factory=list)
    legs: list[Job] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.retired)

    @property
    def keys(self) -> list[str]:
        """What runs again, by its keys."""
        return sorted({job.job for job in self.jobs} | {job.key for job in self.legs})


def failed(job: Job) -> bool:
    """Whether a job ended badly; one that calls a workflow where it is not that one's jobs that did."""
    return job.conclusion in BAD


def named(key: str) -> Callable[[Job], bool]:
    """Return whether a job is meant by a name: its key, that of a single leg, or what it is displayed as."""
    wanted = {key, ".".join(part.strip() for part in key.split(" / "))}
    return lambda job: job.job in wanted or job.key in wanted or job.name == key


def select(
    workflow: Workflow, called: dict[str, Called], jobs: Iterable[Job], wanted: Callable[[Job], bool]
) -> Again:
    """Return what runs again where these of the jobs are wanted. `jobs` are the run's current ones."""
    chosen = Again()
    _File(list(jobs), wanted, chosen).select(workflow, called, "")
    return chosen


def everything(jobs: Iterable[Job]) -> Again:
    """Return a re-run of all jobs."""
    found = list(jobs)
    tops = {job.job: job for job in reversed(found) if "." not in job.job}
    return Again(found, list(reversed(tops.values())))


class _File:
    """Goes through a file's jobs, in the order of their needs, and down into what they call."""

    def __init__(self, jobs: list[Job], wanted: Callable[[Job], bool], chosen: Again) -> None:
        self.jobs = jobs
        self.wanted = wanted
        self.chosen = chosen

    def select(self, workflow: Workflow, called: dict[str, Called], above: str) -> bool:
        """Choose among the jobs of one file below a caller's key; whether any was."""
        by_key: dict[str, list[Job]] = {}
        for job in self.jobs:
            if job.job.rpartition(".")[0] == above:
                by_key.setdefault(job.job.rpartition(".")[2], []).append(job)
        touched = {key for key, legs in by_key.items() if self._touch(legs, called.get(key))}
        for key, legs in by_key.items():
            if workflow.ancestors(key) & touched:
                self._whole(legs)
                touched.add(key)
        return bool(touched)

    def _touch(self, legs: list[Job], called: Called | None) -> bool:
        if not legs[0].expanded:
            if not self.wanted(legs[0]):
                return False
            self._whole(legs)
            return True
        chosen = [self._leg(leg, called) for leg in legs]  # all of them, not up to the first
        return any(chosen)

    def _leg(self, leg: Job, called: Called | None) -> bool:
        """Choose a leg, or of what it calls; a failure that comes from below is only looked for there."""
        below = [job for job in self.jobs if job.key.startswith(f"{leg.key}.")]
        if called is not None and below and not (self.wanted(leg) and not any(map(self.wanted, below))):
            inner = _File(self.jobs, self.wanted, self.chosen).select(called.workflow, called.called, leg.key)
            if not inner:
                return False
        elif self.wanted(leg):
            self.chosen.retired += below
        else:
            return False
        self.chosen.retired.append(leg)
        self.chosen.legs.append(leg)
        return True

    def _whole(self, legs: list[Job]) -> None:
        """Plan a job anew, with all below it, whatever was chosen of it before."""
        keys = {leg.key for leg in legs}

        def inside(job: Job) -> bool:
            return any(job.key == key or job.key.startswith(f"{key}.") for key in keys)

        kept = {job.id for job in self.chosen.retired}
        self.chosen.retired += [job for job in self.jobs if inside(job) and job.id not in kept]
        self.chosen.jobs = [job for job in self.chosen.jobs if not inside(job)] + [legs[0]]
        self.chosen.legs = [job for job in self.chosen.legs if not inside(job)]
