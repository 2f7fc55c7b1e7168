"""Concurrency groups, pure. Runs and jobs share the groups of their repository, as on GitHub.

At most one member holds a group. With `queue: single` at most one waits: a newer one takes its place.
`cancel-in-progress` of the one that waits cancels the holder.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from windlass.pipelines import reason
from windlass.pipelines.effects import (
    AcquireJob,
    AcquireRun,
    CancelJob,
    CancelRun,
    Effect,
    FinishJob,
    WaitJob,
    WaitRun,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from windlass.pipelines.reason import Reason
    from windlass.pipelines.records import Job, Run

MAX_QUEUE = 100


@dataclass(frozen=True, slots=True)
class Member:
    """A run or a job that names a group."""

    of: Run | Job
    run: Run
    order: tuple[float, int, int, int]
    group: str
    held: bool = False
    """Whether it has the group already and waits for a further one."""

    @property
    def job(self) -> Job | None:
        """The member, where it is a job."""
        return None if self.of is self.run else self.of  # type: ignore[return-value]

    @property
    def pending(self) -> bool:
        """Whether it waits for its group."""
        return self.of.status == "pending" and not self.held

    @property
    def label(self) -> str:
        """How reasons name it."""
        run = f"run {self.run.id} ({self.run.workflow} #{self.run.number})"
        return f"job {self.job.name} of {run}" if self.job else run

    def acquire(self) -> Effect:
        """Return the effect that gives it the group."""
        return AcquireJob(self.job.id) if self.job else AcquireRun(self.run.id)

    def wait(self, why: Reason) -> list[Effect]:
        """Return the effects that write down what it waits for."""
        if self.of.reason == why:
            return []
        return [WaitJob(self.job.id, why) if self.job else WaitRun(self.run.id, why)]

    def cancel(self, why: Reason) -> list[Effect]:
        """Return the effects that end it."""
        if self.of.cancel_requested is not None:
            return []
        if self.job is None:
            return [CancelRun(self.run.id, why)]
        if not self.job.begun:
            return [FinishJob(self.job.id, "cancelled", why)]
        return [CancelJob(self.job.id, why)]


def members(run: Run, jobs: Iterable[Job]) -> list[Member]:
    """Everything of this run that names a group and is not over."""
    group = run.concurrency_group
    found = [Member(run, run, (run.created_at, run.id, 0, 0), group)] if group else []
    for job in jobs:
        if not job.concurrency_group or job.status in {"waiting", "completed"}:
            continue
        order = (job.created_at, run.id, job.position, job.leg)
        found.append(Member(job, run, order, job.concurrency_group))
        found += [Member(job, run, order, name, held=True) for name in held(job)]
    return found


def held(job: Job) -> list[str]:
    """Return the groups that a job has before the one that it waits for or has last."""
    names = [str(group["group"]) for group in job.limits.get("groups", [])]
    last = (job.concurrency_group or "").lower()
    return names[: [name.lower() for name in names].index(last)] if names else []


def settle(found: Iterable[Member]) -> list[Effect]:
    """Decide for all groups who holds, who waits and who goes."""
    groups: dict[tuple[str, str], list[Member]] = defaultdict(list)
    for member in found:
        if member.pending and member.job is None and member.run.cancel_requested is not None:
            continue  # it is on its way out
        groups[member.run.repository, member.group.lower()].append(member)
    return _once(effect for group in groups.values() for effect in _settle(group)) or _untie(groups)


def _untie(groups: dict[tuple[str, str], list[Member]]) -> list[Effect]:
    """Fail the newest job that waits in a circle: for a group whose holder goes on until that very job is over."""
    waiting = [member for group in groups.values() for member in group if member.pending and member.job]

    def behind(member: Member) -> list[Member]:
        group = groups[member.run.repository, member.group.lower()]
        holders = [h for h in group if not h.pending and h.of.cancel_requested is None]
        return [p for p in waiting if any(h.of is p.of or _around(h, p) for h in holders)]

    for member in sorted(waiting, key=lambda member: member.order, reverse=True):
        seen: list[Member] = []
        open_ = behind(member)
        while open_ and member not in seen:
            found = open_.pop()
            if found not in seen:
                seen.append(found)
                open_ += behind(found)
        if member in seen and member.job is not None:
            group = groups[member.run.repository, member.group.lower()]
            holder = next(h for h in group if not h.pending)
            return [FinishJob(member.job.id, "failure", reason.circle(member.group, holder.label))]
    return []


def _once(effects: Iterable[Effect]) -> list[Effect]:
    """Return the effects without those on a job that ends by one before: it may be in two groups."""
    ended: set[str] = set()
    kept: list[Effect] = []
    for effect in effects:
        if getattr(effect, "job", None) in ended:
            continue
        if isinstance(effect, FinishJob):
            ended.add(effect.job)
        kept.append(effect)
    return kept


def _around(holder: Member, member: Member) -> bool:
    """Whether the holder goes on until the member is over: its run, or a job that calls its workflow."""
    if holder.run is not member.run or member.job is None:
        return False
    return holder.job is None or member.job.key.startswith(f"{holder.job.key}.")


def _settle(group: list[Member]) -> list[Effect]:
    name = group[0].group
    holders = [member for member in group if not member.pending]
    pending = sorted((member for member in group if member.pending), key=lambda member: member.order)
    effects: list[Effect] = []
    stuck = [m for m in pending if any(_around(h, m) for h in holders)]
    for member in stuck:
        holder = next(h for h in holders if _around(h, member))
        effects.append(FinishJob(member.of.id, "failure", reason.deadlock(name, holder.label)))  # type: ignore[arg-type]
        pending.remove(member)
    if not pending:
        return effects
    if not holders:  # who came first has it, even if all came at once; the rest are looked at again
        return [*effects, pending[0].acquire()]
    newest = pending[-1]
    keep = 1 if newest.of.concurrency_queue == "single" else MAX_QUEUE
    for member in pending[:-keep]:
        effects += member.cancel(reason.replaced(name, newest.label))
    pending = pending[-keep:]
    if newest.of.cancel_in_progress:
        for holder in holders:
            effects += holder.cancel(reason.replaced(name, newest.label))
    for member in pending:
        effects += member.wait(reason.concurrency(name, holders[0].label))
    return effects
