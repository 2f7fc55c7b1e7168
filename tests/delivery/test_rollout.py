from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from windlass.delivery import rollout
from windlass.delivery.records import Delivery
from windlass.delivery.rollout import Observation, Outcome, Pod, Workload, decide

if TYPE_CHECKING:
    from collections.abc import Collection

WEB = "Deployment/web/web"
DELIVERY = Delivery(
    id=2,
    application="argocd/web",
    uid="u",
    repo="acme/gitops",
    branch="main",
    revision="b" * 40,
    attempt=1,
    source="{}",
    initiated_by="automated",
    state="progressing",
    reason="",
    previous=1,
    superseded_by=None,
    pending=(WEB,),
    created_at=0.0,
    applied_at=0.5,
)


def pod(name: str, **more: Any) -> Pod:
    return Pod("web", name, name, **more)


def seen(*new: Pod, old: tuple[Pod, ...] = (), now: float = 1.0, **more: Any) -> Observation:
    web = Workload(WEB, gated=True, pending=True, wanted=2, deadline=60, new=new, old=old)
    return Observation(now, (web,), **more)


OLD = (pod("o1", gate=True, ready=True, live=True), pod("o2", gate=True, ready=True, live=True))
READY = (pod("n1", containers_ready=True), pod("n2", containers_ready=True))


def kinds(effects: list[rollout.Effect]) -> list[str]:
    return [type(effect).__name__ for effect in effects]


def test_it_says_what_it_waits_for_and_when_to_look_again() -> None:
    effects = decide(DELIVERY, seen(pod("n1", waiting="container app: ContainerCreating"), old=OLD))
    assert effects == [
        rollout.Explain(f"{WEB}: 0 of 2 new pods are ready (container app: ContainerCreating)"),
        rollout.Again(59.5),
    ]


def test_the_deadline_is_the_manifests() -> None:
    effects = decide(DELIVERY, seen(pod("n1"), old=OLD, now=60.5))
    assert effects == [
        rollout.Verdict(f"{WEB}: 0 of 2 new pods are ready after 60 s (progressDeadlineSeconds)", (WEB,))
    ]


def test_candidates_are_verified_before_any_gate_opens() -> None:
    assert kinds(decide(DELIVERY, seen(*READY, old=OLD))) == ["Move"]
    ready = replace(DELIVERY, ready_at=1.0)
    assert decide(ready, seen(*READY, old=OLD)) == [rollout.Verify("candidate")]
    assert kinds(decide(ready, seen(*READY, old=OLD, candidate=Outcome(None)))) == ["Explain"]
    moved = decide(ready, seen(*READY, old=OLD, candidate=Outcome(passed=True)))
    assert isinstance(moved[0], rollout.Move)
    assert moved[0].stamps == ("verified_candidate_at",)


def test_old_pods_close_only_when_the_new_ones_are_ready_for_traffic() -> None:
    verified = replace(DELIVERY, ready_at=1.0, verified_candidate_at=1.0)
    opening = decide(verified, seen(*READY, old=OLD))
    assert [e.pod.name for e in opening if isinstance(e, rollout.SetGate)] == ["n1", "n2"]
    half = (replace(READY[0], gate=True, ready=True), replace(READY[1], gate=True))
    assert kinds(decide(verified, seen(*half, old=OLD))) == ["Explain", "Again"]
    whole = tuple(replace(each, gate=True, ready=True) for each in READY)
    closing = decide(verified, seen(*whole, old=OLD))
    assert closing == [rollout.SetGate(OLD[0], open=False), rollout.SetGate(OLD[1], open=False)]


def test_traffic_goes_back_before_anything_else_and_only_to_the_version_that_was_live() -> None:
    bad = replace(DELIVERY, ready_at=1.0, verified_candidate_at=1.0, cut_over_at=1.0, detected_at=2.0)
    new = tuple(replace(each, gate=True, ready=True) for each in READY)
    old = (pod("o1", gate=False, live=True), pod("stranger", gate=None))
    assert decide(bad, seen(*new, old=old, now=2.0)) == [
        rollout.SetGate(old[0], open=True),
        rollout.Again(rollout.RETURN_GRACE),
    ]
    opened = (replace(old[0], gate=True), old[1])
    assert decide(bad, seen(*new, old=opened, now=3.0)) == [rollout.Again(rollout.RETURN_GRACE - 1)]
    closing = [rollout.SetGate(new[0], open=False), rollout.SetGate(new[1], open=False)]
    back = (replace(opened[0], ready=True), old[1])
    assert decide(bad, seen(*new, old=back, now=3.0)) == closing
    assert decide(bad, seen(*new, old=opened, now=2.0 + rollout.RETURN_GRACE)) == closing


def test_new_pods_that_cease_to_be_ready_with_traffic_are_judged_soon() -> None:
    cut = replace(DELIVERY, ready_at=1.0, verified_candidate_at=1.0, cut_over_at=1.0)
    warm = (pod("o1", gate=False, live=True), pod("o2", gate=False, live=True))
    faded = tuple(replace(each, gate=True, changed=10.0) for each in READY)
    assert "Verdict" not in kinds(decide(cut, seen(*faded, old=warm, now=12.0)))
    assert kinds(decide(cut, seen(*faded, old=warm, now=13.0))) == ["Verdict"]
    half = (replace(faded[0], ready=True), faded[1])
    assert kinds(decide(cut, seen(*half, old=warm, now=20.0))) == ["Explain", "Again", "Again"]
    assert kinds(decide(cut, seen(*half, old=warm, now=20.0, live=Outcome(False, "no")))) == ["Verdict"]
    assert kinds(decide(cut, seen(*half, old=warm, now=61.0))) == ["Verdict", "Again"]


def test_what_was_open_before_us_is_not_closed_by_a_verdict_without_traffic() -> None:
    bad = replace(DELIVERY, previous=None, detected_at=2.0)
    open_ = tuple(replace(each, gate=True, ready=True) for each in READY)
    assert kinds(decide(bad, seen(*open_))) == ["Move"]


def test_without_a_previous_version_nothing_is_reverted() -> None:
    bad = replace(DELIVERY, previous=None, detected_at=2.0, traffic_back_at=2.0, evidence_at=2.0)
    effects = decide(bad, seen(*READY))
    assert isinstance(effects[0], rollout.Move)
    assert effects[0].state == "failed"


@pytest.mark.parametrize("failure", ["the image cannot be pulled", "crashes"])
def test_a_definite_failure_needs_no_deadline(failure: str) -> None:
    effects = decide(DELIVERY, seen(pod("n1", failure=failure), old=OLD))
    assert effects == [rollout.Verdict(f"pod n1: {failure}", (WEB,))]


def test_what_has_ended_stays_as_it_is() -> None:
    assert decide(replace(DELIVERY, state="live"), seen(*READY)) == []


@dataclass
class Simulation:
    """A cluster that does what the effects say, at moments that hypothesis chooses."""

    delivery: Delivery
    new: dict[str, Pod]
    old: dict[str, Pod]
    now: float = 1.0
    candidate: Outcome | None = None
    live: Outcome | None = None
    asked: list[str] = field(default_factory=list)
    restored: bool = False
    crashed: bool = False

    def observe(self) -> Observation:
        back = self.delivery.detected_at is not None and self.delivery.evidence_at is not None
        new, old = (self.old, self.new) if back else (self.new, self.old)
        web = Workload(
            WEB,
            gated=True,
            pending=True,
            wanted=2,
            deadline=60,
            new=tuple(new.values()),
            old=tuple(old.values()),
            settled=True,
        )
        return Observation(self.now, (web,), candidate=self.candidate, live=self.live)

    def kubelet(self, slow: Collection[str] = ()) -> None:
        """Pods become ready, and cease to be, some time after their gate was set, and not all at once."""
        for pods in (self.new, self.old):
            for name, each in pods.items():
                if name not in slow:
                    pods[name] = replace(each, ready=each.containers_ready and bool(each.gate))

    def serving(self) -> bool:
        return any(each.ready for each in (*self.new.values(), *self.old.values()))

    def happens(self, event: str, slow: Collection[str]) -> None:
        if event == "ready":
            self.new = {n: replace(each, containers_ready=True, failure="") for n, each in self.new.items()}
        elif event == "crash":
            self.new = {
                n: replace(each, containers_ready=False, failure="crashes") for n, each in self.new.items()
            }
        elif event in ("pass", "fail"):
            outcome = Outcome(event == "pass", "no")
            if "live" in self.asked:
                self.live = outcome
            elif "candidate" in self.asked:
                self.candidate = outcome
        elif event == "lose":  # a restart loses what is not recorded
            self.candidate = self.live = None
            self.asked.clear()
        elif event == "tick":
            self.now += 5
        self.kubelet(() if event == "tick" else slow)
        # Who had the traffic and crashed is missed until somebody is ready again, which is nobody's fault but theirs.
        self.crashed = not self.serving() and (
            self.crashed or any(each.failure for each in self.new.values())
        )
        assert self.serving() or self.crashed, event

    def perform(self, effect: rollout.Effect) -> None:
        match effect:
            case rollout.SetGate():
                if effect.open and effect.pod.name in self.new:
                    assert self.delivery.verified_candidate_at is not None
                pods = self.new if effect.pod.name in self.new else self.old
                pods[effect.pod.name] = replace(pods[effect.pod.name], gate=effect.open)
            case rollout.Move():
                stamps: dict[str, Any] = dict.fromkeys(effect.stamps, self.now)
                self.delivery = replace(self.delivery, state=effect.state, **stamps)
            case rollout.Verdict():
                self.delivery = replace(self.delivery, state="rolling_back", detected_at=self.now)
            case rollout.Collect():
                self.delivery = replace(self.delivery, evidence_at=self.now)
            case rollout.Revert():
                self.delivery = replace(self.delivery, reverted_at=self.now)
            case rollout.Verify():
                self.asked.append(effect.phase)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.sampled_from(["ready", "pass", "fail", "crash", "lose", "tick", "kill"]), max_size=25),
    st.data(),
)
def test_whatever_happens_users_have_an_answer_and_it_ends(events: list[str], data: st.DataObject) -> None:
    cut = data.draw(st.booleans(), "begun where the new pods have the traffic")
    whole = {"ready": True, "containers_ready": True}
    old = {n: pod(n, live=True, gate=not cut, ready=not cut, containers_ready=True) for n in ("o1", "o2")}
    new = {n: pod(n, gate=True, **whole) if cut else pod(n) for n in ("n1", "n2")}
    begun = replace(DELIVERY, ready_at=1.0, verified_candidate_at=1.0, cut_over_at=1.0) if cut else DELIVERY
    world = Simulation(begun, new, old)
    for event in [*events, *["tick"] * 40]:
        slow = data.draw(st.sampled_from([(), ("o1",), ("o1", "o2"), ("n1", "n2"), ("n1", "o1")]))
        world.happens(event, slow)
        effects = decide(world.delivery, world.observe())
        if event == "kill" and effects:
            effects = effects[: data.draw(st.integers(0, len(effects)))]
        for effect in effects:
            world.perform(effect)
    if world.delivery.detected_at is not None:
        assert world.delivery.state == "rolled_back"
        assert all(each.ready for each in world.old.values())
        assert not any(each.gate for each in world.new.values())
    elif world.delivery.state != "live":
        assert world.asked, "only a verification that never answers may be waited for"
