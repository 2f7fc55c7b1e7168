"""Environments as gates in front of jobs. Pure.

A job that names an environment stands still until the environment's rules let it pass: the branch may deploy
there, somebody who may has approved, and the timer has run out. Who started the run is known from tokens alone;
what commits say of their authors counts nowhere.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from windlass.pipelines import reason
from windlass.pipelines.effects import Effect, FinishJob, PassJob, WaitJob
from windlass.workflow.filters import included

if TYPE_CHECKING:
    from windlass.pipelines.records import Job, Run
    from windlass.store import Row


@dataclass(frozen=True, slots=True)
class Environment:
    """An environment of a repository and its protection rules.

    One of `approvers` (names of users) has to approve, none where there are none; `self_approval`: also who
    started the run. `wait` are seconds from when the job could begin. `branches` are patterns as in `on.push`: names
    of branches, or whole refs such as `refs/tags/v*`; empty: any.
    """

    repository: str
    name: str
    approvers: tuple[str, ...] = ()
    wait: float = 0.0
    branches: tuple[str, ...] = ()
    self_approval: bool = True
    variables: dict[str, str] = field(default_factory=dict)
    updated_at: float = 0.0

    @property
    def key(self) -> str:
        """What two names of the same environment have in common."""
        return self.name.lower()

    @classmethod
    def of(cls, row: Row) -> Self:
        """Read a row."""
        opened: dict[str, Any] = {
            name: json.loads(row[name]) for name in ("approvers", "branches", "variables")
        }
        return cls(
            row["repository"],
            row["name"],
            tuple(opened["approvers"]),
            float(row["wait"]),
            tuple(opened["branches"]),
            bool(row["self_approval"]),
            opened["variables"],
            float(row["updated_at"]),
        )

    def may_approve(self, name: str, run: Run) -> bool:
        """Whether the user of this name may let jobs of the run pass. Where nobody knows who started it, none may."""
        foreign = bool(run.actor) and name not in starters(run)
        return name in self.approvers and (self.self_approval or foreign)

    def admits(self, ref: str) -> bool:
        """Whether runs of this ref may use it."""
        short = ref.removeprefix("refs/heads/")
        # A branch may be called `refs/tags/v1`: it is not the tag.
        name = ref if short.startswith("refs/") else short
        return not self.branches or included(name, self.branches)


def starters(run: Run) -> set[str]:
    """Return who had a hand in the run's being there: who caused it, and who ran it again."""
    return {name for name in (run.actor, run.rerun_by) if name}


@dataclass(frozen=True, slots=True)
class Approval:
    """What somebody decided about a job that waited for an environment."""

    job: str
    run: int
    environment: str
    approved: bool
    by: str
    comment: str
    at: float

    @classmethod
    def of(cls, row: Row) -> Self:
        """Read a row."""
        return cls(**{**row, "approved": bool(row["approved"])})


@dataclass(frozen=True, slots=True)
class Gate:
    """What there is to know about a job that waits: the rules, if its environment has any, and the decision."""

    environment: Environment | None = None
    approval: Approval | None = None


def judge(job: Job, run: Run, gate: Gate, now: float) -> list[Effect]:
    """Return what is to happen with a job that waits for its environment."""
    rules, approval = gate.environment, gate.approval
    if rules is None:
        return [PassJob(job.id)]
    if approval is not None and not approval.approved:
        return [FinishJob(job.id, "failure", reason.rejected(rules.name, approval.by, approval.comment))]
    if not rules.admits(run.ref):
        return [FinishJob(job.id, "failure", reason.not_admitted(rules.name, run.ref, rules.branches))]
    if rules.approvers and approval is None:
        able = [name for name in rules.approvers if rules.may_approve(name, run)]
        return _wait(job, reason.approval(rules.name, able, run.id, job.key))
    if now < (due := job.created_at + rules.wait):
        return _wait(job, reason.timer(rules.name, due))
    return [PassJob(job.id)]


def _wait(job: Job, why: reason.Reason) -> list[Effect]:
    return [] if job.reason == why else [WaitJob(job.id, why)]
