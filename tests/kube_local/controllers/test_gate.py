"""The gate before user traffic, played with nothing but Kubernetes' own semantics, as delivery does it."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import pytest

from windlass.kube.local.edge import RuntimeSocketError

if TYPE_CHECKING:
    from kube_local.conftest import World

pytestmark = pytest.mark.integration
GATED: dict[str, Any] = {
    "minReadySeconds": 86_400,
    "progressDeadlineSeconds": 90_000,
    "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "100%", "maxUnavailable": 0}},
}
GATE = {"readinessGates": [{"conditionType": "windlass.dev/traffic"}]}


def gated(world: World, image: str) -> dict[str, Any]:
    return world.deployment("app", image, pod=dict(GATE), **GATED)


async def containers_ready(world: World, image: str) -> list[dict[str, Any]]:
    async def look() -> list[dict[str, Any]]:
        found = [pod for pod in await world.pods(app="app") if pod["spec"]["containers"][0]["image"] == image]
        ready = [pod for pod in found if condition(pod, "ContainersReady") == "True"]
        return ready if len(ready) == 2 else []

    return await world.until(look, f"two pods of {image} have their containers ready")


def condition(pod: dict[str, Any], kind: str) -> str | None:
    for item in pod.get("status", {}).get("conditions", ()):
        if item["type"] == kind:
            return str(item["status"])
    return None


async def serving(world: World) -> set[str]:
    """Names of the pods that the Service's slices call ready."""
    found = set()
    for item in (await world.objects.list("endpointslices.discovery.k8s.io", "default")).items:
        found |= {e["targetRef"]["name"] for e in item["endpoints"] if e["conditions"]["ready"]}
    return found


async def served_by(world: World, names: set[str]) -> None:
    async def look() -> bool:
        if await serving(world) != names:
            return False
        with contextlib.suppress(RuntimeSocketError):
            running = await world.cluster.edge.haproxy.runtime.servers()
            return {server.name.partition("_")[0] for server in running if not server.draining} == names
        return False

    await world.until(look, f"{names} alone serve, the edge says so too")


def names(pods: list[dict[str, Any]]) -> set[str]:
    return {pod["metadata"]["name"] for pod in pods}


async def live(world: World, image: str) -> list[dict[str, Any]]:
    """Bring one version up through the gate, to the end."""
    pods = await containers_ready(world, image)
    for pod in pods:
        await world.gate(pod, open_=True)
    await served_by(world, names(pods))
    return pods


async def sizes(world: World) -> list[int]:
    return [rs["spec"]["replicas"] for rs in await world.sets()]


async def settled(world: World) -> None:
    await asyncio.sleep(0.3)


async def candidate(world: World) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the old pods, live, and the candidate's, verified by nobody yet."""
    await world.objects.create("services", world.service("app"))
    await world.objects.create("deployments.apps", gated(world, "test/app:1"))
    old = await live(world, "test/app:1")
    container = {**gated(world, "test/app:2")["spec"]["template"]["spec"]["containers"][0]}
    await world.merge(
        "deployments.apps", "app", {"spec": {"template": {"spec": {"containers": [container]}}}}
    )
    new = await containers_ready(world, "test/app:2")
    return old, new


async def test_a_candidate_starts_beside_the_old_version_and_gets_no_traffic(world: World) -> None:
    old, new = await candidate(world)
    await settled(world)
    assert await sizes(world) == [2, 2]
    assert await serving(world) == names(old)
    for pod in await world.pods(app="app"):
        expected = "True" if pod["metadata"]["name"] in names(old) else "False"
        assert condition(pod, "Ready") == expected
    ready = next(
        c
        for c in (await world.get("pods", new[0]["metadata"]["name"]))["status"]["conditions"]
        if c["type"] == "Ready"
    )
    assert ready["reason"] == "ReadinessGatesNotReady"
    assert "windlass.dev/traffic" in ready["message"]


async def test_switching_keeps_the_old_pods_warm_and_finalising_ends_them(world: World) -> None:
    old, new = await candidate(world)
    for pod in new:
        await world.gate(pod, open_=True)
    await served_by(world, names(old) | names(new))
    for pod in old:
        await world.gate(pod, open_=False)
    await served_by(world, names(new))
    await settled(world)
    assert await sizes(world) == [2, 2]
    assert names(await world.pods(app="app")) == names(old) | names(new)

    await world.merge(
        "deployments.apps", "app", {"spec": {"minReadySeconds": 0, "progressDeadlineSeconds": 600}}
    )
    await world.available("app", 2)
    assert await sizes(world) == [0, 2]

    async def only_new() -> bool:
        return names(await world.pods(app="app")) == names(new)

    await world.until(only_new, "the old pods are gone")


async def test_a_bad_candidate_is_taken_back_without_starting_a_pod(world: World) -> None:
    old, new = await candidate(world)
    for pod in new:
        await world.gate(pod, open_=True)
    for pod in old:
        await world.gate(pod, open_=False)
    await served_by(world, names(new))
    # the verdict is bad: traffic back first, then the template
    for pod in old:
        await world.gate(pod, open_=True)
    for pod in new:
        await world.gate(pod, open_=False)
    await served_by(world, names(old))
    container = gated(world, "test/app:1")["spec"]["template"]["spec"]["containers"][0]
    back = {
        "minReadySeconds": 0,
        "progressDeadlineSeconds": 600,
        "template": {"spec": {"containers": [container]}},
    }
    await world.merge("deployments.apps", "app", {"spec": back})
    found = await world.available("app", 2)
    assert found["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "3"

    async def only_old() -> bool:
        return names(await world.pods(app="app")) == names(old)

    await world.until(only_old, "the candidates are gone and the old pods are those from before")
    sets = await world.sets()
    assert [rs["spec"]["replicas"] for rs in sets] == [0, 2]
    assert sets[1]["metadata"]["annotations"]["deployment.kubernetes.io/revision-history"] == "1"
    for pod in await world.pods(app="app"):
        assert pod["status"]["containerStatuses"][0]["restartCount"] == 0


async def test_a_candidate_that_never_gets_ready_leaves_the_old_version_alone(world: World) -> None:
    await world.objects.create("services", world.service("app"))
    await world.objects.create("deployments.apps", gated(world, "test/app:1"))
    old = await live(world, "test/app:1")
    container = gated(world, "test/sick:1")["spec"]["template"]["spec"]["containers"][0]
    await world.merge(
        "deployments.apps", "app", {"spec": {"template": {"spec": {"containers": [container]}}}}
    )

    async def sick() -> list[dict[str, Any]]:
        said = await world.events("Unhealthy")
        return [e for e in said if "statuscode: 500 no database" in e["message"]]

    await world.until(sick, "an Event shows what the probe was answered")
    assert await serving(world) == names(old)
    assert await sizes(world) == [2, 2]
