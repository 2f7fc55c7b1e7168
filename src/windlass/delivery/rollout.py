"""The gate and the cut-over: what is to be done next about a delivery, as a pure function.

Stages follow from the delivery's time stamps alone, so that a restart goes on where it was:

candidate   new pods start beside the old ones, without traffic; verified through the API's proxy
live        `verified_candidate_at`: new pods get the traffic, old ones stay warm; verified through the address
finalise    `verified_live_at`: the manifest's own `minReadySeconds` lets the old pods go
back        `detected_at`: traffic back, evidence, the previous version, a revert in git
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from windlass.delivery.records import (
    APPLYING,
    FAILED,
    LIVE,
    PROGRESSING,
    ROLLED_BACK,
    ROLLING_BACK,
    VERIFYING,
    Delivery,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

CRASHES = 2
GONE_GRACE = 3.0
RETURN_GRACE = 5.0
"""For how long a bad version keeps the traffic at most until pods of the version before are ready to have it."""


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod as far as a rollout cares. `gate` is the traffic condition, None where it was never set.

    `live` says that it is of the version that was live before: only such old pods are given traffic.
    `changed` is when it became ready or ceased to be, in seconds since the epoch.
    """

    namespace: str
    name: str
    uid: str
    gated: bool = True
    gate: bool | None = None
    containers_ready: bool = False
    ready: bool = False
    live: bool = False
    changed: float = 0.0
    failure: str = ""
    waiting: str = ""


@dataclass(frozen=True, slots=True)
class Workload:
    """A workload of the delivery. `new` bear the delivery's template, `old` any other; none are being deleted.

    `pending`: the template is new with this delivery. `settled`: the controller has nothing left to do.
    `healthy` and `degraded` are its health; `deadline` is in seconds.
    """

    key: str
    gated: bool
    pending: bool
    wanted: int
    deadline: float
    new: tuple[Pod, ...] = ()
    old: tuple[Pod, ...] = ()
    settled: bool = False
    healthy: bool = False
    degraded: str = ""

    @property
    def candidates_ready(self) -> bool:
        """Whether all new pods stand ready, but for the gate."""
        if not self.gated:
            return self.healthy
        return sum(pod.containers_ready for pod in self.new) >= self.wanted

    @property
    def unready(self) -> bool:
        """Whether a new pod is missing among those that have traffic."""
        return sum(pod.ready for pod in self.new) < self.wanted


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a verification came to: `passed` None while it runs. `workload` is the one that failed."""

    passed: bool | None
    reason: str = ""
    workload: str = ""


@dataclass(frozen=True, slots=True)
class Observation:
    """What is seen now. `synced`: every object stands as wanted. `now` in seconds since the epoch."""

    now: float
    workloads: tuple[Workload, ...]
    synced: bool = True
    candidate: Outcome | None = None
    live: Outcome | None = None
    ready_grace: float = 60.0

    @property
    def pending(self) -> list[Workload]:
        """The workloads whose template is new and that shall have pods."""
        return [each for each in self.workloads if each.pending and each.wanted > 0]


@dataclass(frozen=True, slots=True)
class SetGate:
    """Give a pod traffic, or take it away."""

    pod: Pod
    open: bool


@dataclass(frozen=True, slots=True)
class Move:
    """Write a transition with the segments reached."""

    state: str
    reason: str
    stamps: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Explain:
    """Say what is being waited for."""

    reason: str


@dataclass(frozen=True, slots=True)
class Verify:
    """Begin a verification: `candidate` or `live`."""

    phase: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """It is bad: write that, and hold the templates of these workloads."""

    reason: str
    workloads: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Collect:
    """Keep the candidates' logs, answers and events before they are gone."""


@dataclass(frozen=True, slots=True)
class Revert:
    """Take the commit back in git, and end the delivery with what came of it."""


@dataclass(frozen=True, slots=True)
class Again:
    """Look again in so many seconds."""

    seconds: float


Effect = SetGate | Move | Explain | Verify | Verdict | Collect | Revert | Again


@dataclass(slots=True)
class _Plan:
    effects: list[Effect] = field(default_factory=list)


def decide(delivery: Delivery, seen: Observation) -> list[Effect]:
    """Return what is to be done next, in this order. Doing it and deciding again leads to a final state."""
    if delivery.final or delivery.applied_at is None:
        return []
    if delivery.detected_at is not None:
        return list(_back(delivery, seen))
    if delivery.verified_live_at is not None:
        return list(_finalise(delivery, seen))
    bad = _failure(seen.pending)
    if bad is not None:
        return [bad]
    if delivery.verified_candidate_at is not None:
        return list(_live(delivery, seen))
    return list(_candidate(delivery, seen))


def steady(workloads: Iterable[Workload]) -> list[Effect]:
    """With nothing in flight every pod of the live template has traffic, whenever it starts; no other has."""
    return [
        SetGate(pod, open=True)
        for workload in workloads
        if workload.gated
        for pod in workload.new
        if pod.gated and not pod.gate
    ]


def _failure(pending: list[Workload]) -> Verdict | None:
    for workload in pending:
        failing = [pod for pod in workload.new if pod.failure]
        if failing:
            return Verdict(f"pod {failing[0].name}: {failing[0].failure}", (workload.key,))
        if not workload.gated and workload.degraded:
            return Verdict(f"{workload.key}: {workload.degraded}", (workload.key,))
    return None


def _waiting(workload: Workload) -> str:
    count = sum(pod.containers_ready for pod in workload.new)
    lead = f"{workload.key}: {count} of {workload.wanted} new pods are ready"
    reasons = sorted({pod.waiting for pod in workload.new if pod.waiting and not pod.containers_ready})
    return f"{lead} ({'; '.join(reasons)})" if reasons else lead


def _late(delivery: Delivery, seen: Observation, waiting: list[Workload]) -> Iterator[Effect]:
    begun = delivery.applied_at or seen.now
    left = min(begun + each.deadline - seen.now for each in waiting)
    if left <= 0:
        late = [each for each in waiting if begun + each.deadline <= seen.now]
        reason = f"{_waiting(late[0])} after {late[0].deadline:.0f} s (progressDeadlineSeconds)"
        yield Verdict(reason, tuple(each.key for each in late))
    else:
        yield Explain("; ".join(_waiting(each) for each in waiting))
        yield Again(left)


def _candidate(delivery: Delivery, seen: Observation) -> Iterator[Effect]:
    if delivery.state == APPLYING:
        yield Move(PROGRESSING, "applied; new pods start", ())
        return
    yield from steady(each for each in seen.workloads if not each.pending)
    yield from _keep_serving(seen)
    pending = seen.pending
    waiting = [each for each in pending if not each.candidates_ready]
    if waiting:
        yield from _late(delivery, seen, waiting)
        return
    gated = [each for each in pending if each.gated]
    if delivery.ready_at is None:
        yield Move(VERIFYING if gated else PROGRESSING, "the new pods are ready", ("ready_at",))
    elif not gated:
        yield from _unverified(delivery, seen)
    elif seen.candidate is None:
        yield Verify("candidate")
    elif seen.candidate.passed is None:
        yield Explain("the new pods are being verified, without traffic")
    elif seen.candidate.passed:
        yield Move(
            VERIFYING, "verified as candidate; the new pods get the traffic", ("verified_candidate_at",)
        )
    else:
        yield _failed(seen.candidate, pending)


def _keep_serving(seen: Observation) -> Iterator[Effect]:
    """Give traffic to the pods of the live version, those too that were started in place of others."""
    for each in seen.pending:
        yield from (SetGate(pod, open=True) for pod in each.old if pod.live and pod.gated and not pod.gate)


def _failed(outcome: Outcome, pending: list[Workload]) -> Verdict:
    held = (outcome.workload,) if outcome.workload else tuple(each.key for each in pending)
    return Verdict(outcome.reason, held)


def _unverified(delivery: Delivery, seen: Observation) -> Iterator[Effect]:
    """Nothing has traffic of its own to cut over: health is all that is asked."""
    waiting = [each for each in seen.workloads if not each.healthy and each.wanted > 0]
    left = (delivery.applied_at or seen.now) + max((each.deadline for each in waiting), default=0) - seen.now
    if waiting and left > 0:
        yield Explain("; ".join(f"{each.key} is not healthy yet" for each in waiting))
        yield Again(left)
    else:
        late = f", though {waiting[0].key} is not healthy" if waiting else ""
        yield Move(LIVE, f"synced{late}", ("finalised_at",))


def _live(delivery: Delivery, seen: Observation) -> Iterator[Effect]:
    """Open the new pods, and when they are ready close the old ones; then ask through the address."""
    gated = [each for each in seen.pending if each.gated]
    yield from (SetGate(pod, open=True) for each in gated for pod in each.new if pod.gated and not pod.gate)
    if delivery.cut_over_at is not None:
        yield from _with_traffic(delivery, seen, gated)
    elif any(each.unready for each in gated):
        yield from _becoming_ready(delivery.verified_candidate_at, seen, gated)
    else:
        closing = [pod for each in gated for pod in each.old if pod.gated and pod.gate is not False]
        yield from (SetGate(pod, open=False) for pod in closing)
        if not closing:
            yield Move(VERIFYING, "cut over; the old pods are kept warm", ("cut_over_at",))


def _becoming_ready(since: float | None, seen: Observation, gated: list[Workload]) -> Iterator[Effect]:
    left = (since or seen.now) + seen.ready_grace - seen.now
    late = [each for each in gated if each.unready]
    if left <= 0:
        names = ", ".join(each.key for each in late)
        yield Verdict(f"{names}: not all new pods are ready with traffic", tuple(each.key for each in late))
    else:
        yield Explain("the new pods are being given traffic")
        yield Again(left)


def _with_traffic(delivery: Delivery, seen: Observation, gated: list[Workload]) -> Iterator[Effect]:
    """Judge new pods that alone have the traffic, while the old ones are still warm."""
    gone = [each for each in gated if each.new and not any(pod.ready for pod in each.new)]
    since = max((pod.changed for each in gone for pod in each.new), default=seen.now)
    if seen.live is not None and seen.live.passed is False:
        yield _failed(seen.live, gated)
    elif gone and seen.now - since >= GONE_GRACE:
        yield Verdict(
            f"{gone[0].key}: no new pod is ready any more, with traffic", tuple(w.key for w in gone)
        )
    elif any(each.unready for each in gated):
        yield from _becoming_ready(delivery.cut_over_at, seen, gated)
        yield Again(GONE_GRACE)
    elif seen.live is None:
        yield Verify("live")
    elif seen.live.passed is None:
        yield Explain("the new pods are being verified through the public address")
    else:
        reason = seen.live.reason or "verified through the public address"
        yield Move(VERIFYING, reason, ("verified_live_at",))


def _finalise(delivery: Delivery, seen: Observation) -> Iterator[Effect]:
    yield from (
        SetGate(pod, open=True)
        for each in seen.workloads
        if each.gated
        for pod in each.new
        if pod.gated and not pod.gate
    )
    waiting = [each for each in seen.workloads if each.wanted > 0 and not each.settled]
    if seen.synced and not waiting:
        yield Move(LIVE, "live", ("finalised_at",))
        return
    left = (
        (delivery.verified_live_at or seen.now) + max((w.deadline for w in waiting), default=60.0) - seen.now
    )
    if left <= 0:
        yield Move(LIVE, "live; old pods are still being ended", ("finalised_at",))
    else:
        yield Explain("verified live; the old pods are being ended")
        yield Again(left)


def _traffic_back(delivery: Delivery, seen: Observation) -> Iterator[Effect]:
    """Open the old pods, and when they are ready close the new ones: somebody always answers."""
    opening = list(_keep_serving(seen))
    yield from opening
    # Before they were verified it was not we who opened them.
    opened = [] if delivery.verified_candidate_at is None else [p for w in seen.pending for p in w.new]
    closing = [SetGate(pod, open=False) for pod in opened if pod.gated and pod.gate]
    left = (delivery.detected_at or seen.now) + RETURN_GRACE - seen.now
    unready = any(pod.live and pod.gated and not pod.ready for each in seen.pending for pod in each.old)
    if closing and unready and left > 0:
        yield Again(left)
    elif closing:
        yield from closing
    elif not opening:
        yield Move(ROLLING_BACK, delivery.reason, ("traffic_back_at",))


def _back(delivery: Delivery, seen: Observation) -> Iterator[Effect]:
    """Take traffic back first, keep the evidence, then put the previous version in place and revert."""
    if delivery.traffic_back_at is None:
        yield from _traffic_back(delivery, seen)
        return
    if delivery.evidence_at is None:
        yield Collect()
        return
    if delivery.previous is None:
        yield Move(FAILED, delivery.reason)
        return
    yield from steady(seen.workloads)
    if delivery.restored_at is None:
        if seen.synced:
            yield Move(ROLLING_BACK, delivery.reason, ("restored_at",))
        return
    if delivery.reverted_at is None:
        yield Revert()
        return
    waiting = [each for each in seen.workloads if each.wanted > 0 and not each.settled]
    left = delivery.reverted_at + max((each.deadline for each in waiting), default=0.0) - seen.now
    if waiting and left > 0:
        yield Again(left)
    else:
        late = f"; {waiting[0].key} of the previous version is not healthy" if waiting else ""
        yield Move(ROLLED_BACK, delivery.reason + late)
