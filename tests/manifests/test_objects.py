from __future__ import annotations

import copy
from typing import Any

import pytest

from windlass.manifests import apply_order, differences, health, identify, template_hash, worst

DIGEST = "@sha256:" + "a" * 64
DEPLOYMENT: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web", "namespace": "prod", "labels": {"app": "web"}},
    "spec": {
        "replicas": 2,
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {
                "containers": [
                    {
                        "name": "web",
                        "image": "x:v1" + DIGEST,
                        "resources": {"limits": {"cpu": "0.5"}},
                        "ports": [],
                    }
                ]
            },
        },
    },
}


def changed(path: list[Any], value: Any) -> dict[str, Any]:
    out = copy.deepcopy(DEPLOYMENT)
    at: Any = out
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    return out


def test_defaults_and_other_peoples_fields_are_no_difference() -> None:
    live = changed(["spec", "strategy"], {"type": "RollingUpdate"})
    live["metadata"]["annotations"] = {"other": "x"}
    live["status"] = {"replicas": 2}
    container = live["spec"]["template"]["spec"]["containers"][0]
    container |= {"resources": {"limits": {"cpu": "500m"}}, "terminationMessagePath": "/dev/x"}
    container.pop("ports")
    assert differences(DEPLOYMENT, live) == []


@pytest.mark.parametrize(
    ("path", "value", "where"),
    [
        (["spec", "replicas"], 3, ".spec.replicas"),
        (["metadata", "labels"], {}, ".metadata.labels.app"),
        (
            ["spec", "template", "spec", "containers", 0, "image"],
            "y",
            ".spec.template.spec.containers[0].image",
        ),
        (["spec", "template", "spec", "containers"], [], ".spec.template.spec.containers"),
        (
            ["spec", "template", "spec", "containers", 0, "resources", "limits", "cpu"],
            "1",
            ".spec.template.spec.containers[0].resources.limits.cpu",
        ),
    ],
)
def test_drift_is_found_where_it_is(path: list[Any], value: Any, where: str) -> None:
    assert [found.path for found in differences(DEPLOYMENT, changed(path, value))] == [where]


def test_the_template_hash_follows_the_template_and_nothing_else() -> None:
    image = ["spec", "template", "spec", "containers", 0, "image"]
    base = template_hash(DEPLOYMENT)
    assert base == template_hash(changed(["spec", "replicas"], 5))
    assert base == template_hash(changed(image, "x:v2" + DIGEST))
    assert base == template_hash(changed(["spec", "template", "spec", "volumes"], []))
    assert base != template_hash(changed(image, "x:v1@sha256:" + "b" * 64))
    assert template_hash({"kind": "Service", "spec": {}}) is None


def test_objects_are_applied_in_order_of_wave_and_kind() -> None:
    def item(kind: str, name: str, wave: str | None = None) -> dict[str, Any]:
        notes = {"argocd.argoproj.io/sync-wave": wave} if wave else {}
        return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "annotations": notes}}

    items = [
        item("Foo", "f"),
        item("Deployment", "d"),
        item("Service", "s"),
        item("ConfigMap", "late", "5"),
        item("CustomResourceDefinition", "crd"),
        item("ConfigMap", "b"),
        item("Namespace", "n"),
        item("Job", "first", "-1"),
    ]
    order = ["first", "n", "b", "crd", "s", "d", "f", "late"]
    assert [found["metadata"]["name"] for found in apply_order(items)] == order


def test_identity_leaves_the_version_out() -> None:
    found = identify(DEPLOYMENT)
    assert str(found) == "Deployment.apps prod/web"
    assert identify({**DEPLOYMENT, "apiVersion": "apps/v1beta1"}) == found
    assert (
        identify({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "x"}}, "prod").namespace == ""
    )


def test_the_worst_health_counts() -> None:
    assert worst([]) == "Healthy"
    assert worst(["Healthy", "Missing", "Progressing"]) == "Missing"
    missing = health(None)
    assert missing is not None
    assert missing.status == "Missing"
    assert health({"apiVersion": "v1", "kind": "ConfigMap"}) is None
