"""The Deployment and ReplicaSet controllers' decisions, played against a simulated cluster."""

from __future__ import annotations

import copy
import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from windlass.kube.local.controllers import deployment, replicaset
from windlass.kube.local.controllers.effects import Create, Delete, Effect, Patch, Report, Requeue, SetStatus
from windlass.kube.local.controllers.executor import merged
from windlass.kube.local.controllers.meta import controlled_by, is_ready, name_of, stamp
from windlass.kube.local.controllers.scaling import fenceposts, proportional

Object = dict[str, Any]
START = 1_800_000_000.0


def make(replicas: int = 3, image: str = "a", **spec: Any) -> Object:
    labels = {"app": "web"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "d", "uid": "dep", "generation": 1},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "c", "image": image}]},
            },
            **spec,
        },
    }


class Cluster:
    """Applies effects as the API would; pods get ready only when told to."""

    def __init__(self, top: Object) -> None:
        self.deployment = top
        self.sets: dict[str, Object] = {}
        self.pods: dict[str, Object] = {}
        self.now = START
        self.numbers = itertools.count(1)
        self.events: list[str] = []
        self.requeue: float | None = None

    def table(self, resource: str) -> dict[str, Object]:
        return {
            "replicasets.apps": self.sets,
            "pods": self.pods,
            "deployments.apps": {"web": self.deployment},
        }[resource]

    def change(self, **spec: Any) -> None:
        self.deployment["spec"] = {**self.deployment["spec"], **spec}
        self.deployment["metadata"]["generation"] += 1

    def image(self, image: str) -> None:
        template = copy.deepcopy(self.deployment["spec"]["template"])
        template["spec"]["containers"][0]["image"] = image
        self.change(template=template)

    def apply(self, effect: Effect) -> None:
        match effect:
            case Create(resource, obj):
                fresh = copy.deepcopy(obj)
                number = next(self.numbers)
                name = fresh["metadata"].setdefault(
                    "name", f"{fresh['metadata'].get('generateName', '')}{number}"
                )
                fresh["metadata"] |= {
                    "uid": f"u{number}",
                    "generation": 1,
                    "creationTimestamp": stamp(self.now + number / 1000),
                }
                fresh.setdefault("status", {})
                self.table(resource)[name] = fresh
            case Patch(resource, target, patch):
                table = self.table(resource)
                old = table[name_of(target)]
                new = merged(old, patch)
                if new["spec"] != old["spec"]:
                    new["metadata"]["generation"] += 1
                table[name_of(target)] = new
                if resource == "deployments.apps":
                    self.deployment = new
            case SetStatus(resource, target, status):
                self.table(resource)[name_of(target)]["status"] = copy.deepcopy(status)
            case Delete(resource, target):
                self.table(resource).pop(name_of(target), None)
            case Report(_, _, _, message):
                self.events.append(message)
            case Requeue(seconds):
                self.requeue = seconds if self.requeue is None else min(self.requeue, seconds)

    def step(self) -> bool:
        """One pass of each controller; False when nobody wants anything."""
        self.requeue = None
        effects = deployment.decide(
            copy.deepcopy(self.deployment), list(self.sets.values()), list(self.pods.values()), self.now
        )
        for effect in effects:
            self.apply(effect)
        moved = any(not isinstance(effect, Requeue) for effect in effects)
        return self.sync_sets() or moved

    def sync_sets(self) -> bool:
        """One pass of the ReplicaSet controller."""
        moved = False
        for rs in list(self.sets.values()):
            effects = replicaset.decide(copy.deepcopy(rs), list(self.pods.values()), self.now)
            for effect in effects:
                self.apply(effect)
            moved = moved or any(not isinstance(effect, Requeue) for effect in effects)
        return moved

    def settle(self) -> None:
        for _ in range(200):
            if not self.step():
                return
        raise AssertionError("the controllers never come to rest")

    def ready(self, pod: Object, *, yes: bool = True) -> None:
        pod["status"] = {
            "phase": "Running",
            "conditions": [
                {"type": "Ready", "status": "True" if yes else "False", "lastTransitionTime": stamp(self.now)}
            ],
        }

    def all_ready(self) -> None:
        for pod in self.pods.values():
            if not is_ready(pod):
                self.ready(pod)

    def of(self, image: str) -> list[Object]:
        return [pod for pod in self.pods.values() if pod["spec"]["containers"][0]["image"] == image]

    def roll(self) -> None:
        """Let everything become ready until the rollout is through."""
        for _ in range(100):
            self.settle()
            if all(is_ready(pod) for pod in self.pods.values()):
                return
            self.all_ready()

    def condition(self, kind: str) -> Object:
        return next(c for c in self.deployment["status"]["conditions"] if c["type"] == kind)


def live(**spec: Any) -> Cluster:
    cluster = Cluster(make(**spec))
    cluster.roll()
    return cluster


def test_the_first_rollout_completes() -> None:
    cluster = live()
    assert len(cluster.pods) == 3
    status = cluster.deployment["status"]
    assert (status["replicas"], status["updatedReplicas"], status["availableReplicas"]) == (3, 3, 3)
    assert cluster.condition("Available")["status"] == "True"
    assert cluster.condition("Progressing")["reason"] == "NewReplicaSetAvailable"
    assert cluster.deployment["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "1"
    (rs,) = cluster.sets.values()
    assert rs["metadata"]["labels"]["pod-template-hash"] in rs["metadata"]["name"]
    assert rs["spec"]["selector"]["matchLabels"]["pod-template-hash"]
    assert not cluster.step(), "settled means that nothing is written any more"


def test_a_rolling_update_goes_by_surge_and_unavailability() -> None:
    cluster = live(replicas=4)  # 25 %: one more, one less
    cluster.image("b")
    cluster.settle()
    assert (len(cluster.of("a")), len(cluster.of("b"))) == (3, 2)
    cluster.all_ready()
    cluster.settle()
    assert (len(cluster.of("a")), len(cluster.of("b"))) == (1, 4)


def test_an_old_template_takes_its_replica_set_back() -> None:
    cluster = live(
        strategy={"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "100%", "maxUnavailable": 0}}
    )
    warm = set(cluster.pods)
    cluster.image("b")
    cluster.settle()
    assert len(cluster.of("b")) == 3
    cluster.image("a")
    cluster.settle()
    assert set(cluster.pods) == warm
    assert len(cluster.sets) == 2
    assert cluster.deployment["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "3"


def test_recreate_waits_until_the_old_pods_are_gone() -> None:
    cluster = live(strategy={"type": "Recreate"})
    cluster.image("b")
    cluster.step()
    assert not cluster.of("b")
    cluster.settle()
    assert (len(cluster.of("a")), len(cluster.of("b"))) == (0, 3)


def test_min_ready_seconds_are_waited_out() -> None:
    cluster = live(minReadySeconds=0)
    cluster.change(minReadySeconds=30)
    cluster.image("b")
    cluster.settle()
    cluster.all_ready()
    cluster.settle()
    assert cluster.requeue is not None
    assert 29 <= cluster.requeue <= 31
    before = len(cluster.of("a"))
    assert before > 0
    for _ in range(4):  # one by one: of three replicas a quarter may surge, none may be missing
        cluster.now += 31
        cluster.roll()
    assert not cluster.of("a")


def test_a_rollout_that_hangs_exceeds_its_deadline() -> None:
    cluster = live(progressDeadlineSeconds=60)
    cluster.image("b")
    cluster.settle()
    assert cluster.requeue is not None
    assert 50 < cluster.requeue <= 61
    cluster.now += 61
    cluster.settle()
    assert cluster.condition("Progressing")["reason"] == "ProgressDeadlineExceeded"
    assert cluster.condition("Progressing")["status"] == "False"
    assert len(cluster.of("a")) == 3
    cluster.all_ready()
    cluster.roll()
    assert cluster.condition("Progressing")["status"] == "True"


def test_a_paused_deployment_scales_and_does_not_roll() -> None:
    cluster = live()
    cluster.change(paused=True, replicas=5)
    cluster.image("b")
    cluster.roll()
    assert (len(cluster.of("a")), len(cluster.of("b"))) == (5, 0)
    assert cluster.condition("Progressing")["reason"] == "DeploymentPaused"
    cluster.change(paused=False)
    cluster.roll()
    assert (len(cluster.of("a")), len(cluster.of("b"))) == (0, 5)


def test_history_is_limited() -> None:
    cluster = live(revisionHistoryLimit=2)
    for image in "bcdef":
        cluster.image(image)
        cluster.roll()
    assert len(cluster.sets) == 3
    assert cluster.deployment["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "6"


def test_a_name_that_is_taken_is_counted_as_a_collision() -> None:
    cluster = Cluster(make())
    (create,) = [e for e in deployment.decide(cluster.deployment, [], [], START) if isinstance(e, Create)]
    stranger = copy.deepcopy(create.object)
    stranger["metadata"] |= {
        "uid": "x",
        "ownerReferences": [{"uid": "other", "controller": True, "kind": "X", "name": "x"}],
    }
    effects = deployment.decide(cluster.deployment, [stranger], [], START)
    assert next(type(e).__name__ for e in effects) == "Collide"
    cluster.deployment["status"] = {"collisionCount": 1}
    (again,) = [
        e for e in deployment.decide(cluster.deployment, [stranger], [], START) if isinstance(e, Create)
    ]
    assert again.object["metadata"]["name"] != create.object["metadata"]["name"]


def test_pods_that_are_not_ready_go_first() -> None:
    cluster = live()
    victim = next(iter(cluster.pods.values()))
    cluster.ready(victim, yes=False)
    cluster.change(replicas=2)
    cluster.settle()
    assert name_of(victim) not in cluster.pods


@pytest.mark.parametrize(
    ("surge", "unavailable", "desired", "expected"),
    [
        ("25%", "25%", 4, (1, 1)),
        ("25%", "25%", 3, (1, 0)),
        (0, 0, 3, (0, 1)),
        ("1%", "1%", 10, (1, 0)),
        (0, "1%", 10, (0, 1)),
    ],
)
def test_fenceposts(
    surge: int | str, unavailable: int | str, desired: int, expected: tuple[int, int]
) -> None:
    assert fenceposts(surge, unavailable, desired) == expected


def test_scaling_in_the_middle_of_a_rollout_is_proportional() -> None:
    top = make(
        replicas=30, strategy={"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 3, "maxUnavailable": 2}}
    )
    notes = {"deployment.kubernetes.io/max-replicas": "13", "deployment.kubernetes.io/desired-replicas": "10"}

    def rs(name: str, size: int) -> Object:
        return {
            "metadata": {"name": name, "creationTimestamp": name, "annotations": notes},
            "spec": {"replicas": size},
        }

    # Kubernetes' own documentation: 8 old and 5 new at 10 replicas, scaled by 5 → 11 and 7 at 15 replicas
    top["spec"]["replicas"] = 15
    assert proportional(top, [rs("old", 8), rs("young", 5)]) == {"old": 11, "young": 7}


@st.composite
def journeys(draw: st.DrawFn) -> tuple[int, int | str, int | str, list[tuple[str, int]]]:
    replicas = draw(st.integers(1, 8))
    surge = draw(st.one_of(st.integers(0, 4), st.sampled_from(["0%", "25%", "50%", "100%"])))
    unavailable = draw(st.one_of(st.integers(0, 4), st.sampled_from(["0%", "25%", "50%", "100%"])))
    step = st.tuples(st.sampled_from(["image", "ready", "unready", "step", "later"]), st.integers(0, 50))
    return replicas, surge, unavailable, draw(st.lists(step, max_size=30))


@settings(max_examples=400, deadline=None)
@given(journeys())
def test_whatever_happens_the_bounds_hold_and_the_end_is_reached(
    journey: tuple[int, int | str, int | str, list[tuple[str, int]]],
) -> None:
    replicas, surge, unavailable, steps = journey
    rolling = {"maxSurge": surge, "maxUnavailable": unavailable}
    cluster = live(replicas=replicas, strategy={"type": "RollingUpdate", "rollingUpdate": rolling})
    up, down = fenceposts(surge, unavailable, replicas)
    floor = replicas - min(down, replicas)
    for action, number in steps:
        pods = list(cluster.pods.values())
        match action:
            case "image":
                cluster.image("abc"[number % 3])
            case "ready" if pods:
                cluster.ready(pods[number % len(pods)])
            case "unready" if pods:
                cluster.ready(pods[number % len(pods)], yes=False)
            case "later":
                cluster.now += number
        cluster.sync_sets()  # news of readiness takes a moment; a decision before that is Kubernetes' own race
        before = sum(is_ready(pod) for pod in cluster.pods.values())
        cluster.step()
        after = sum(is_ready(pod) for pod in cluster.pods.values())
        assert len(cluster.pods) <= replicas + up, "never more than the surge"
        assert after >= min(before, floor), "what is available is never taken below the floor"
    cluster.roll()
    wanted = cluster.deployment["spec"]["template"]["spec"]["containers"][0]["image"]
    assert len(cluster.of(wanted)) == replicas == len(cluster.pods)
    hashes = [rs["metadata"]["labels"]["pod-template-hash"] for rs in cluster.sets.values()]
    assert len(hashes) == len(set(hashes)), "one ReplicaSet for each template"
    assert all(controlled_by(rs, cluster.deployment) for rs in cluster.sets.values())
