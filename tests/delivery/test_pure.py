from __future__ import annotations

from typing import Any

import anyio
import pytest

from windlass.delivery import ChecksError, marks, observe, order, rollback, status
from windlass.delivery.adopt import adopted
from windlass.delivery.checks import Check, parse, readiness, target_port, wanted
from windlass.delivery.decorate import decorate, is_gated
from windlass.delivery.order import Published, older
from windlass.delivery.trails import Trail
from windlass.delivery.verify import Answer
from windlass.manifests import ManifestError

PROBE = {"httpGet": {"path": "/health", "port": "http"}, "periodSeconds": 2, "failureThreshold": 3}
CONTAINER = {"name": "app", "image": "x@sha256:1", "ports": [{"name": "http", "containerPort": 8000}]}
WEB: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web", "namespace": "web"},
    "spec": {
        "minReadySeconds": 5,
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{**CONTAINER, "readinessProbe": PROBE}]},
        },
    },
}
SERVICE: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "web", "namespace": "web"},
    "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": "http"}]},
}


def test_a_pending_cut_over_keeps_the_old_pods_and_the_manifests_values() -> None:
    out = decorate(WEB, app="web", application="argocd/web", gated=True, pending=True)
    spec, notes = out["spec"], out["metadata"]["annotations"]
    assert (spec["minReadySeconds"], spec["progressDeadlineSeconds"]) == (3600, 7200)
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": "100%", "maxUnavailable": 0}
    assert spec["template"]["spec"]["readinessGates"] == [{"conditionType": "windlass.dev/traffic"}]
    assert notes["windlass.dev/manifest-min-ready-seconds"] == "5"
    assert notes["argocd.argoproj.io/tracking-id"] == "web:apps/Deployment:web/web"
    done = decorate(WEB, app="web", application="argocd/web", gated=True, pending=False)
    assert (done["spec"]["minReadySeconds"], done["spec"]["progressDeadlineSeconds"]) == (5, 600)
    assert done["spec"]["template"] == spec["template"]
    assert "readinessGates" not in WEB["spec"]["template"]["spec"]


def test_only_a_rolling_deployment_with_a_service_is_gated() -> None:
    assert is_gated(WEB, [WEB, SERVICE])
    assert not is_gated(WEB, [WEB])
    other = {**SERVICE, "metadata": {"name": "web", "namespace": "other"}}
    assert not is_gated(WEB, [WEB, other])
    recreate = {**WEB, "spec": {**WEB["spec"], "strategy": {"type": "Recreate"}}}
    assert not is_gated(recreate, [recreate, SERVICE])


def test_a_copied_tracking_annotation_tracks_nothing() -> None:
    out = decorate(WEB, app="web", application="argocd/web", gated=False, pending=False)
    assert marks.tracked_by(out) == "web"
    copy = {**out, "kind": "ReplicaSet"}
    assert marks.tracked_by(copy) is None


def test_checks_are_read_with_their_defaults() -> None:
    text = "- {phase: live, path: /tasks, contains: ok, attempts: 3, interval: 0.5}\n- {phase: candidate, path: /h}\n"
    assert parse(text) == [
        Check("live", "/tasks", contains="ok", attempts=3, interval=0.5),
        Check("candidate", "/h"),
    ]
    assert parse("") == []
    assert wanted([], "live", WEB) == [Check("live", "/health", status=None, timeout=1.0, attempts=2)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- {phase: later, path: /x}", "phase must be candidate or live"),
        ("- {phase: live, path: x}", "path must begin with /"),
        ("- {phase: live, path: /x, code: 200}", "unknown fields code"),
        ("- {phase: live, path: /x, timeout: 0}", "timeout must be a number from 0.1 to 60.0"),
        ("- {phase: live, path: /x, status: ok}", "status must be an HTTP status"),
        ("phase: live", "one list"),
        ("- [", "windlass.dev/verify"),
    ],
)
def test_checks_that_cannot_be_understood_say_why(text: str, message: str) -> None:
    with pytest.raises(ChecksError, match=message):
        parse(text)


def test_the_port_to_ask_is_the_probes_then_the_services() -> None:
    probe = readiness(WEB)
    assert probe is not None
    assert (probe.port, probe.patience) == (8000, 6.0)
    bare = {**WEB, "spec": {"template": {"spec": {"containers": [CONTAINER]}}}}
    assert readiness(bare) is None
    assert target_port(bare, SERVICE) == 8000


async def test_definite_errors_are_a_verdict_after_the_probes_own_patience() -> None:
    probe = readiness(WEB)
    assert probe is not None
    trail = Trail(anyio.CancelScope(), "n1")
    bad, none = Answer(500, {}, b"no database", 0.0), Answer(0, {}, b"", 0.0, "refused")
    for now, answer in ((0.0, none), (10.0, bad), (12.0, bad), (15.9, bad)):
        trail.add(now, probe, answer)
        assert not trail.verdict
    trail.add(16.0, probe, bad)
    assert trail.verdict == "readiness /health has answered 500 for 6 s: no database"


async def test_a_good_answer_in_between_starts_patience_anew() -> None:
    probe = readiness(WEB)
    assert probe is not None
    trail = Trail(anyio.CancelScope(), "n1")
    for now, code in ((0.0, 500), (5.0, 200), (7.0, 503), (12.0, 503)):
        trail.add(now, probe, Answer(code, {}, b"", 0.0))
    assert not trail.verdict


def run(number: int, ref: str = "main", repository: str = "acme/web") -> Published:
    return Published(number, repository, ref, "s")


def test_an_image_is_older_only_against_the_same_branch_and_only_by_a_job() -> None:
    assert older({"x": [run(1)]}, {"x": [run(2)]}, pushed_by="job") is not None
    assert older({"x": [run(1)]}, {"x": [run(2)]}, pushed_by="user") is None
    assert older({"x": [run(3), run(1)]}, {"x": [run(2)]}, pushed_by="job") is None
    assert older({"x": [run(1, "dev")]}, {"x": [run(2)]}, pushed_by="job") is None
    assert older({"x": []}, {"x": [run(2)]}, pushed_by="job") is None
    assert older({"y": [run(1)]}, {"x": [run(2)]}, pushed_by="job") is None


@pytest.mark.parametrize(
    ("image", "name"),
    [("ghcr.io/a/b:1@sha256:2", "ghcr.io/a/b"), ("localhost:5000/b", "localhost:5000/b"), ("b:1", "b")],
)
def test_an_images_name(image: str, name: str) -> None:
    assert order.name_of(image) == name


def test_a_reverts_scope_is_the_applications_own_and_what_it_read() -> None:
    changed = ["app/overlay/k.yaml", "app/base/d.yaml", "other/x.yaml"]
    found = rollback.scope(changed, "app/overlay", ["app/base/d.yaml"], {"staging": ["app/base/d.yaml"]})
    assert found.mine == ("app/base/d.yaml", "app/overlay/k.yaml")
    assert found.shared == {"app/base/d.yaml": "staging"}
    assert (
        rollback.scope(["app/overlay/k.yaml"], "app/overlay", [], {"x": ["app/overlay/k.yaml"]}).shared == {}
    )


def test_a_pod_that_is_not_ready_says_what_its_probe_was_answered() -> None:
    said = "containers with unready status: [web]; Readiness probe failed: GET /x: statuscode: 404"

    def waiting(status: str, **container: object) -> str:
        conditions = [
            {"type": "ContainersReady", "status": status, "message": said if status == "False" else ""}
        ]
        state = {
            "phase": "Running",
            "conditions": conditions,
            "containerStatuses": [{"name": "web", **container}],
        }
        return observe.pod({"metadata": {"name": "a", "uid": "1"}, "status": state}).waiting

    assert waiting("False", state={"running": {}}) == said
    assert waiting("True", state={"running": {}}) == ""
    held = {"waiting": {"reason": "ContainerCreating", "message": 'configmap "c" not found'}}
    assert waiting("False", state=held) == 'container web: ContainerCreating: configmap "c" not found'


def test_applications_are_adopted_with_their_origin_and_nothing_else_is() -> None:
    head = b"apiVersion: argoproj.io/v1alpha1\nkind: Application\n"
    text = head + b"metadata: {name: a}\nstatus: {x: 1}\n---\nkind: Secret\n"
    found = adopted([("a.yaml", text)], "acme/gitops", "argocd")
    assert [item["metadata"] for item in found] == [
        {"name": "a", "namespace": "argocd", "annotations": {"windlass.dev/adopted-from": "acme/gitops"}}
    ]
    assert "status" not in found[0]
    with pytest.raises(ManifestError, match=r"a\.yaml:1"):
        adopted([("a.yaml", b"kind: Application\n")], "acme/gitops", "argocd")


def test_a_status_is_written_only_when_it_says_something_new() -> None:
    new = {"health": {"status": "Healthy"}, "sync": {"status": "Synced"}}
    first = status.merge({}, new, 0.0)
    assert first is not None
    assert first["health"]["lastTransitionTime"] == "1970-01-01T00:00:00Z"
    assert status.merge({**new, **first}, new, 100.0) is None
    worse = status.merge({**new, **first}, {**new, "health": {"status": "Degraded"}}, 60.0)
    assert worse is not None
    assert worse["health"]["lastTransitionTime"] == "1970-01-01T00:01:00Z"
