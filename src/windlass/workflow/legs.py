"""What the legs of one job's matrix mean together: which may start, what failing fast ends, the result."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

from windlass.workflow.model import JobResult, PlannedJob, Workflow

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

State: TypeAlias = Literal["queued", "running", "completed"]
_FAILED = frozenset({"failure", "timed_out"})


@dataclass(frozen=True, slots=True)
class Leg:
    """A planned job and how far it is. `conclusion` is that of its `job.finished`, None before."""

    job: PlannedJob
    state: State = "queued"
    conclusion: str | None = None
    outputs: dict[str, str] = field(default_factory=dict)

    @property
    def failed(self) -> bool:
        """Whether it ended badly and the job does not tolerate that."""
        return self.conclusion in _FAILED and not self.job.continue_on_error


@dataclass(frozen=True, slots=True)
class Legs:
    """What to do with the legs of one job. Keys are those of `PlannedJob`.

    `cancel` holds queued legs (record them as cancelled) and running ones (end them); `reason` says why.
    """

    start: tuple[str, ...] = ()
    cancel: tuple[str, ...] = ()
    waiting: dict[str, str] = field(default_factory=dict)
    reason: str = ""


def next_legs(legs: Iterable[Leg]) -> Legs:
    """Decide which legs of one job start, wait, or are cancelled, by `fail-fast` and `max-parallel`."""
    found = list(legs)
    open_ = [leg for leg in found if leg.state != "completed"]
    broken = next((leg for leg in found if leg.failed), None)
    if broken is not None and broken.job.fail_fast and open_:
        return Legs(
            cancel=tuple(leg.job.key for leg in open_), reason=f"'{broken.job.name}' failed (fail-fast)"
        )
    queued = [leg.job.key for leg in open_ if leg.state == "queued"]
    running = len(open_) - len(queued)
    limit = found[0].job.max_parallel if found else None
    free = len(queued) if limit is None else max(0, limit - running)
    waiting = dict.fromkeys(
        queued[free:], f"waits for one of {running + free} running legs: max-parallel is {limit}"
    )
    return Legs(tuple(queued[:free]), (), waiting)


def combine(legs: Iterable[Leg]) -> JobResult | None:
    """Return the result of a job from its legs, None while one is not over.

    A failure that `continue-on-error` tolerates counts as success; a time-out counts as cancelled, as on
    GitHub. Of outputs that several legs set, the last leg's that is not empty counts.
    """
    found = list(legs)
    if any(leg.state != "completed" for leg in found):
        return None
    outputs: dict[str, str] = {}
    for leg in found:
        outputs |= {name: value for name, value in leg.outputs.items() if value or name not in outputs}
    return JobResult(_result([_counted(leg) for leg in found]), outputs)


def _counted(leg: Leg) -> str:
    if leg.conclusion in {"success", "skipped"}:
        return leg.conclusion
    if leg.conclusion in _FAILED and leg.job.continue_on_error:
        return "success"
    return "failure" if leg.conclusion == "failure" else "cancelled"


def _result(counted: list[str]) -> str:
    for result in ("failure", "cancelled"):
        if result in counted:
            return result
    return "success" if "success" in counted else "skipped"


def conclude(workflow: Workflow, results: Mapping[str, JobResult], *, cancelled: bool = False) -> str | None:
    """Return how a run ended, None while a job has no result.

    A run whose every job was skipped is `skipped`.
    """
    if any(key not in results for key in workflow.jobs):
        return None
    ended = _result([results[key].result for key in workflow.jobs])
    return "cancelled" if cancelled and ended != "failure" else ended
