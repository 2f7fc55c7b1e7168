"""A run's workflow with all that its jobs call: the `Plan` of the scheduler. Pure.

The jobs of a called workflow are keyed below the job that calls it: `deploy` calls, `deploy.build` is called;
`deploy~2.build~1` is the first leg of `build` below the second leg of `deploy`. No key of a file holds a dot.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from windlass.pipelines.reason import Reason, invalid
from windlass.workflow import (
    Invalid,
    Parsed,
    PlannedJob,
    Ready,
    Workflow,
    WorkflowError,
    conclude,
    concurrency_of,
    decide_job,
    order,
)
from windlass.workflow.expressions import ExpressionError
from windlass.workflow.permissions import narrowed
from windlass.workflow.reusable import (
    Called,
    Policy,
    called_inputs,
    called_outputs,
    parse_with_called,
    passed_secrets,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from windlass.workflow import Concurrency, JobDecision, JobResult


TOKEN = "GITHUB_TOKEN"  # noqa: S105 its name


@lru_cache(maxsize=256)
def read_called(
    source: str, path: str, files: frozenset[tuple[str, str]], granted: frozenset[tuple[str, str]]
) -> tuple[Parsed, dict[str, Called]]:
    """Parse a workflow file with those that its jobs call. `granted`: permissions where none are named."""
    return parse_with_called(source, path, dict(files).get, policy=Policy(granted=dict(granted)))


def _grouped(leg: PlannedJob, inner: Concurrency | None) -> PlannedJob:
    """Return the leg with its called workflow's group: as its own, or beside its own where that is another."""
    own = leg.concurrency
    if inner is None or own is None:
        return replace(leg, concurrency=own or inner)
    return leg if own.group.lower() == inner.group.lower() else replace(leg, inner_concurrency=inner)


@dataclass(frozen=True, slots=True)
class Placeholder:
    """A job of a file before its legs are known. `key` is the whole one, `position` that in its file."""

    key: str
    name: str
    position: int


@dataclass(frozen=True, slots=True)
class Caller:
    """The leg of a job that calls a workflow, and the plan that it belongs to."""

    plan: RunPlan
    leg: PlannedJob


@dataclass(slots=True)
class RunPlan:
    """The plan of one workflow file in one attempt at a run.

    What a job's legs were is remembered, and can be worked out again after a restart, from the same results.
    `broken` says why nothing of it can run, `places` where called files lie, `pins` what actions and images have to
    come to (as in `JobSpec`).
    """

    workflow: Workflow
    contexts: dict[str, Any]
    permissions: dict[str, str]
    called: dict[str, Called] = field(default_factory=dict)
    caller: Caller | None = None
    file: str = ""
    broken: Reason | None = None
    places: dict[str, tuple[str, str]] = field(default_factory=dict)
    pins: dict[str, dict[str, str]] = field(default_factory=dict)
    ended: dict[str, JobResult] = field(default_factory=dict)
    order: tuple[str, ...] = field(init=False)
    _legs: dict[str, dict[str, PlannedJob]] = field(default_factory=dict)
    _calls: dict[str, RunPlan | Reason] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.order = order(self.workflow)
        self.file = self.file or self.workflow.path

    @property
    def prefix(self) -> str:
        """What stands before the keys of its jobs."""
        return f"{self.caller.leg.key}." if self.caller else ""

    def decide(self, key: str, results: Mapping[str, JobResult], *, cancelled: bool) -> JobDecision:
        """Return what is to happen with a job of the file."""
        decision = decide_job(
            self.workflow,
            key,
            results,
            self.contexts,
            cancelled=cancelled,
            default_permissions=self.permissions,
        )
        return self._placed(decision) if isinstance(decision, Ready) else decision

    def _placed(self, decision: Ready) -> JobDecision:
        """Put the legs in their place in the run, with what the workflows that they call ask for."""
        legs = []
        for found in decision.jobs:
            leg = self._below(found)
            if leg.uses:
                plan = self._call(leg)
                if isinstance(plan, Reason):
                    return Invalid(plan.text)
                try:
                    group = concurrency_of(plan.workflow, plan.contexts)
                except (ExpressionError, WorkflowError) as error:
                    return Invalid(f"{leg.uses}: {error}")
                leg = _grouped(leg, group)
            legs.append(leg)
        return Ready(tuple(legs))

    def _below(self, leg: PlannedJob) -> PlannedJob:
        if self.caller is None:
            return leg
        outer = self.caller.leg
        return replace(
            leg,
            key=f"{outer.key}.{leg.key}",
            job=f"{outer.key}.{leg.job}",
            name=f"{outer.name} / {leg.name}",
            permissions=narrowed(leg.permissions, outer.permissions),
        )

    def legs(self, key: str, results: Mapping[str, JobResult]) -> Mapping[str, PlannedJob]:
        """Return the legs of a job that was Ready with these results; a cancelled run's `always()` jobs too."""
        if key not in self._legs:
            for cancelled in (False, True):
                decision = self.decide(key, results, cancelled=cancelled)
                if isinstance(decision, Ready):
                    self._legs[key] = {leg.key: leg for leg in decision.jobs}
                    break
            else:
                return {}
        return self._legs[key]

    def call(self, leg: str) -> RunPlan | None:
        """Return the plan of the workflow that a leg calls; None for one that is not known or calls none."""
        found = self._calls.get(leg)
        return found if isinstance(found, RunPlan) else None

    def _call(self, leg: PlannedJob) -> RunPlan | Reason:
        if leg.key not in self._calls:
            self._calls[leg.key] = self._called(leg)
        return self._calls[leg.key]

    def _called(self, leg: PlannedJob) -> RunPlan | Reason:
        called = self.called.get(leg.job.rpartition(".")[2])
        if called is None:
            return invalid(f"{leg.uses} is not among the files of this run")
        try:
            inputs = called_inputs(called.workflow, leg.inputs, leg.contexts)
        except (ExpressionError, WorkflowError) as error:
            return invalid(f"{leg.uses}: {error}")
        return RunPlan(
            called.effective(leg.permissions),
            {**self.contexts, "inputs": inputs},
            leg.permissions,
            called.called,
            Caller(self, leg),
            called.ref,
            places=self.places,
            pins=self.pins,
        )

    def placeholders(self) -> tuple[Placeholder, ...]:
        """Return the jobs of the file as they stand before anything is decided about them."""
        outer = f"{self.caller.leg.name} / " if self.caller else ""
        return tuple(
            Placeholder(self.prefix + job.key, outer + (job.key if "${{" in job.name else job.name), position)
            for position, job in enumerate(self.workflow.jobs.values())
        )

    def outputs(self, results: Mapping[str, JobResult]) -> dict[str, str]:
        """Return what a called workflow puts out. Raises `ExpressionError`."""
        return called_outputs(self.workflow, results, self.contexts)

    def secrets(self, everything: Mapping[str, str], token: str) -> dict[str, str]:
        """Return the secrets that the jobs of this file may see, of all that there are. Raises `ExpressionError`."""
        if self.caller is None:
            return dict(everything)
        leg, outer = self.caller.leg, self.caller.plan.secrets(everything, token)
        own = {TOKEN: token, **outer}
        passed = passed_secrets(leg.definition.get("secrets"), own, leg.contexts)
        passed.pop(TOKEN, None)
        return {**passed, TOKEN: everything[TOKEN]} if TOKEN in everything else passed

    def within(self, job: str) -> RunPlan | None:
        """Return the plan of the file that a job (by its whole key) stands in, once its callers are planned."""
        plan: RunPlan | None = self
        parts = job.split(".")
        for depth in range(1, len(parts)):
            plan = plan.call(".".join(parts[:depth])) if plan else None
        return plan

    def leg(self, job: str, leg: str) -> PlannedJob | None:
        """One leg of a job, by whole keys, whose legs are known."""
        plan = self.within(job)
        return plan._legs.get(job.rpartition(".")[2], {}).get(leg) if plan else None  # noqa: SLF001 its own kind

    def conclude(self, results: Mapping[str, JobResult], *, cancelled: bool) -> str:
        """How the run, or the job that calls, ended."""
        return conclude(self.workflow, results, cancelled=cancelled) or "failure"
