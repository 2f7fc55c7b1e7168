"""The real kubectl against the real server, over TLS."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import pytest

if TYPE_CHECKING:
    from kube_local.api.conftest import Cluster

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed"),
]
modern = pytest.mark.usefixtures("modern_kubectl")

WEB = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: example/web:1
        env: [{name: A, value: "1"}, {name: B, value: "2"}]
        ports: [{containerPort: 80}]
        resources: {limits: {cpu: 500m, memory: 64Mi}}
        readinessProbe: {httpGet: {path: /, port: 80}}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 80}]}
"""
OTHERS = sorted(
    str(path)
    for folder in ("/usr/lib/google-cloud-sdk/bin", "/usr/local/bin")
    for path in Path(folder).glob("kubectl.1.*")
)
OTHERS = [OTHERS[0], OTHERS[-1]] if len(OTHERS) > 2 else OTHERS


@modern
async def test_apply_changes_lists_by_their_keys_and_removes_what_is_gone(cluster: Cluster) -> None:
    assert "deployment.apps/web created" in await cluster.kubectl("apply", "-f", "-", stdin=WEB)
    again = await cluster.kubectl("apply", "-f", "-", stdin=WEB)
    assert again.count("unchanged") == 2
    changed = WEB.replace('{name: A, value: "1"}, ', "").replace("web:1", "web:2")
    assert (
        "-        - name: A"
        in (difference := await cluster.kubectl("diff", "-f", "-", stdin=changed, ok=False))
        or "-      - env:" in difference
    )
    assert "deployment.apps/web configured" in await cluster.kubectl("apply", "-f", "-", stdin=changed)
    live = await cluster.objects.get("deployments.apps", "default", "web")
    container = live["spec"]["template"]["spec"]["containers"][0]
    assert container["env"] == [{"name": "B", "value": "2"}]
    assert container["image"] == "example/web:2"
    assert container["readinessProbe"]["periodSeconds"] == 10
    assert live["metadata"]["generation"] == 2


async def test_apply_refuses_unknown_fields_and_explains_what_is_invalid(cluster: Cluster) -> None:
    unknown = WEB.replace("image:", "imagee:")
    refused = await cluster.kubectl("apply", "-f", "-", stdin=unknown, ok=False)
    assert 'unknown field "spec.template.spec.containers[0].imagee"' in refused
    broken = WEB.replace("labels: {app: web}}\n    spec", "labels: {app: other}}\n    spec")
    invalid = await cluster.kubectl("apply", "-f", "-", stdin=broken, ok=False)
    assert 'The Deployment "web" is invalid: spec.template.metadata.labels: Invalid value' in invalid
    assert "`selector` does not match template `labels`" in invalid


@modern
async def test_server_side_apply_names_conflicts_and_forces(cluster: Cluster) -> None:
    await cluster.kubectl("apply", "--server-side", "-f", "-", stdin=WEB)
    other = WEB.replace("web:1", "web:2")
    flags = ("apply", "--server-side", "--field-manager=other", "-f", "-")
    conflict = await cluster.kubectl(*flags, stdin=other, ok=False)
    assert 'conflict with "kubectl": .spec.template.spec.containers[name="web"].image' in conflict
    await cluster.kubectl(*flags, "--force-conflicts", stdin=other)
    shown = await cluster.kubectl("get", "deploy", "web", "-o", "yaml", "--show-managed-fields")
    assert "manager: other" in shown
    assert "image: example/web:2" in shown


async def test_client_side_ownership_moves_to_server_side_apply(cluster: Cluster) -> None:
    await cluster.kubectl("apply", "-f", "-", stdin=WEB)
    await cluster.kubectl("apply", "--server-side", "-f", "-", stdin=WEB.replace("web:1", "web:2"))
    live = await cluster.objects.get("deployments.apps", "default", "web")
    assert live["spec"]["template"]["spec"]["containers"][0]["image"] == "example/web:2"


async def test_create_sends_protobuf_that_is_understood(cluster: Cluster) -> None:
    await cluster.kubectl("create", "configmap", "settings", "--from-literal=a=b")
    await cluster.kubectl("create", "secret", "generic", "password", "--from-literal=p=x")
    await cluster.kubectl("create", "namespace", "team")
    await cluster.kubectl("create", "deployment", "web", "--image=example/web:1", "--replicas=3", "--port=80")
    await cluster.kubectl("create", "service", "clusterip", "web", "--tcp=80:8080")
    await cluster.kubectl("create", "ingress", "web", "--rule=example.com/*=web:80")
    await cluster.kubectl("create", "serviceaccount", "robot")
    assert (await cluster.objects.get("configmaps", "default", "settings"))["data"] == {"a": "b"}
    assert (await cluster.objects.get("secrets", "default", "password"))["data"] == {"p": "eA=="}
    assert (await cluster.objects.get("deployments.apps", "default", "web"))["spec"]["replicas"] == 3
    service = await cluster.objects.get("services", "default", "web")
    assert service["spec"]["ports"][0]["targetPort"] == 8080
    ingress = await cluster.objects.get("ingresses.networking.k8s.io", "default", "web")
    assert ingress["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]["port"]["number"] == 80


@modern
async def test_everyday_verbs(cluster: Cluster) -> None:
    await cluster.kubectl("apply", "-f", "-", stdin=WEB)
    assert "deployment.apps/web scaled" in await cluster.kubectl("scale", "deploy/web", "--replicas=5")
    assert "0/5" in await cluster.kubectl("get", "deploy", "web")
    await cluster.kubectl("label", "deploy", "web", "tier=front")
    await cluster.kubectl("annotate", "deploy", "web", "note=yes")
    await cluster.kubectl("set", "image", "deploy/web", "web=example/web:9")
    await cluster.kubectl("rollout", "restart", "deploy/web")
    await cluster.kubectl("patch", "deploy", "web", "-p", '{"spec":{"paused":true}}')
    live = await cluster.objects.get("deployments.apps", "default", "web")
    assert live["metadata"]["labels"] == {"app": "web", "tier": "front"}
    assert live["spec"]["paused"] is True
    assert "kubectl.kubernetes.io/restartedAt" in live["spec"]["template"]["metadata"]["annotations"]
    described = await cluster.kubectl("describe", "deploy", "web")
    assert "Image:" in described
    assert "example/web:9" in described
    assert "deployment.apps/web" in await cluster.kubectl("get", "all", "-l", "app=web")
    assert "80/TCP" in await cluster.kubectl("get", "svc", "-o", "wide")
    assert "condition met" in await cluster.kubectl(
        "wait", "--for=jsonpath={.spec.replicas}=5", "deploy/web", "--timeout=5s"
    )
    assert "deleted" in await cluster.kubectl("delete", "-f", "-", stdin=WEB)
    assert "No resources found" in await cluster.kubectl("get", "all")


async def test_delete_of_a_namespace_waits_until_it_is_empty(cluster: Cluster) -> None:
    await cluster.kubectl("create", "namespace", "team")
    await cluster.kubectl("create", "configmap", "settings", "-n", "team", "--from-literal=a=b")
    assert 'namespace "team" deleted' in await cluster.kubectl("delete", "namespace", "team")
    assert not cluster.objects.has("configmaps", "team", "settings")
    refused = await cluster.kubectl("create", "configmap", "x", "-n", "team", ok=False)
    assert 'namespaces "team" not found' in refused


async def test_watch_prints_changes_as_rows(cluster: Cluster) -> None:
    done: list[str] = []

    async def follow() -> None:
        done.append(await cluster.kubectl("get", "cm", "-w", "--request-timeout=3s", ok=None))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(follow)
        await anyio.sleep(1.5)
        await cluster.objects.create("configmaps", {"metadata": {"name": "late", "namespace": "default"}})
    assert "late" in done[0]


async def test_rights_are_explained(cluster: Cluster) -> None:
    refused = await cluster.kubectl("create", "configmap", "x", token="reader", ok=False)
    assert (
        'User "rita" cannot create resource "configmaps" in API group "" in the namespace "default"'
        in refused
    )
    assert "cannot list" in await cluster.kubectl("get", "pods", "-A", token="reader", ok=False)
    assert "cannot get" in await cluster.kubectl("get", "secret", "x", token="reader", ok=False)
    assert "yes" in await cluster.kubectl("auth", "can-i", "list", "pods", token="reader")
    assert "no" in await cluster.kubectl("auth", "can-i", "create", "pods", token="reader", ok=False)
    await cluster.kubectl("create", "namespace", "team", token="job")
    await cluster.kubectl("create", "configmap", "x", "-n", "team", token="job")


async def test_what_is_not_served_is_refused_with_a_reason(cluster: Cluster) -> None:
    pod = {
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"containers": [{"name": "web", "image": "x"}]},
    }
    await cluster.objects.create("pods", pod)
    refused = await cluster.kubectl("get", "cronjobs", ok=False)
    assert "doesn't have a resource type" in refused
    assert "not served" in await cluster.kubectl("exec", "web", "--", "ls", ok=False)


@modern
async def test_explain_shows_real_fields(cluster: Cluster) -> None:
    shown = await cluster.kubectl("explain", "deployment.spec.strategy.rollingUpdate")
    assert "maxSurge" in shown
    assert "maximum number of pods" in shown


async def test_edit_and_replace(cluster: Cluster) -> None:
    await cluster.kubectl("create", "configmap", "settings", "--from-literal=a=b")
    text = await cluster.kubectl("get", "cm", "settings", "-o", "yaml")
    await cluster.kubectl("replace", "-f", "-", stdin=text.replace("a: b", "a: c"))
    stale = await cluster.kubectl("replace", "-f", "-", stdin=text.replace("a: b", "a: d"), ok=False)
    assert "the object has been modified" in stale
    assert (await cluster.objects.get("configmaps", "default", "settings"))["data"] == {"a": "c"}


@pytest.mark.parametrize("program", OTHERS, ids=lambda path: Path(path).name)
async def test_other_releases_of_kubectl(cluster: Cluster, program: str) -> None:
    await cluster.kubectl("apply", "-f", "-", stdin=WEB, program=program)
    await cluster.kubectl("apply", "-f", "-", stdin=WEB.replace("web:1", "web:2"), program=program)
    await cluster.kubectl(
        "apply", "--server-side", "--force-conflicts", "-f", "-", stdin=WEB, program=program
    )
    assert "0/2" in await cluster.kubectl("get", "deploy", program=program)
    await cluster.kubectl("create", "deployment", "two", "--image=x", program=program)
    await cluster.kubectl("scale", "deploy/two", "--replicas=3", program=program)
    assert "example/web:1" in await cluster.kubectl("describe", "deploy", "web", program=program)
    assert "deleted" in await cluster.kubectl("delete", "deploy", "web", "two", program=program)
