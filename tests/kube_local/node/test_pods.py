"""What the node does with pods, over the scripted engine."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from kube_local.conftest import World

pytestmark = pytest.mark.integration


def pod(name: str, image: str, **spec: Any) -> dict[str, Any]:
    container = {"name": "app", "image": image, **spec.pop("container", {})}
    return {
        "metadata": {"name": name, "namespace": "default", "labels": {"app": name}},
        "spec": {"containers": [container], **spec},
    }


async def state(
    world: World, name: str, key: str, reason: str | None = None, limit: float = 10
) -> dict[str, Any]:
    """Wait until the container is waiting, running or terminated (for this reason)."""

    async def look() -> dict[str, Any] | None:
        status = (await world.get("pods", name)).get("status", {})
        for entry in status.get("containerStatuses", ()):
            found = entry["state"].get(key)
            if found is not None and reason in {None, found.get("reason")}:
                return {**entry, "found": found}
        return None

    return await world.until(look, f"{name} is {key} {reason}", limit)


async def test_a_crashing_container_is_restarted_then_held_back(world: World) -> None:
    await world.objects.create("pods", pod("crash", "test/crash:1"))
    entry = await state(world, "crash", "waiting", "CrashLoopBackOff")
    assert entry["restartCount"] == 1  # the first restart is immediate, as in Kubernetes
    assert "back-off 10s restarting failed container=app" in entry["found"]["message"]
    assert entry["lastState"]["terminated"]["exitCode"] == 3
    assert entry["lastState"]["terminated"]["reason"] == "Error"
    previous = [line async for line in world.cluster.node.logs("default", "crash", "app", previous=True)]
    assert previous == [b"boom\n"]
    assert len(await world.engine.list({"windlass.dev/pod": "crash"})) == 2
    await world.until(lambda: world.events("BackOff"), "an Event tells of the back-off")


async def test_a_pod_that_ends_is_over(world: World) -> None:
    await world.objects.create("pods", pod("job", "test/done:1", restartPolicy="Never"))
    entry = await state(world, "job", "terminated", "Completed")
    assert entry["restartCount"] == 0
    assert (await world.get("pods", "job"))["status"]["phase"] == "Succeeded"
    await world.objects.create("pods", pod("bad", "test/crash:1", restartPolicy="Never"))
    await state(world, "bad", "terminated", "Error")
    assert (await world.get("pods", "bad"))["status"]["phase"] == "Failed"


async def test_an_image_that_is_not_there_says_where_it_was_looked_for(world: World) -> None:
    await world.objects.create("pods", pod("lost", "ghcr.io/acme/lost:1"))
    entry = await state(world, "lost", "waiting", "ErrImagePull")
    assert "manifest unknown" in entry["found"]["message"]
    assert "ghcr.io/acme/lost:1" in entry["found"]["message"]
    (told, *_) = await world.until(lambda: world.events("Pulling"), "an Event says that it is pulled")
    assert told["message"] == 'Pulling image "ghcr.io/acme/lost:1"'


async def test_what_is_missing_is_named_and_waited_for(world: World) -> None:
    env = [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "conf", "key": "a"}}}]
    await world.objects.create("pods", pod("needs", "test/app:1", container={"env": env}))
    entry = await state(world, "needs", "waiting", "CreateContainerConfigError")
    assert entry["found"]["message"] == 'configmap "conf" not found in namespace default'
    await world.objects.create(
        "configmaps", {"metadata": {"name": "conf", "namespace": "default"}, "data": {"a": "1"}}
    )
    await state(world, "needs", "running", limit=1.5)  # at once, not after the retry's delay


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"volumes": [{"name": "v", "hostPath": {"path": "/"}}]}, "hostPath is refused"),
        ({"hostNetwork": True}, "hostNetwork is refused"),
        ({"container": {"securityContext": {"privileged": True}}}, "privileged containers are refused"),
        ({"container": {"securityContext": {"capabilities": {"add": ["SYS_ADMIN"]}}}}, "SYS_ADMIN"),
        ({"container": {"readinessProbe": {"grpc": {"port": 1}}}}, "grpc probes are not supported"),
        ({"container": {"securityContext": {"runAsNonRoot": True}}}, "image will run as root"),
        (
            {"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "x"}}]},
            "not supported by the embedded",
        ),
    ],
)
async def test_what_reaches_into_the_machine_is_refused(
    world: World, spec: dict[str, Any], words: str
) -> None:
    await world.objects.create("pods", pod("evil", "test/app:1", **spec))

    async def told() -> list[str]:
        events = [*await world.events("Failed"), *await world.events("FailedMount")]
        return [e["message"] for e in events if words in e["message"]]

    await world.until(told, f"an Event that says {words!r}")
    assert not await world.engine.list({"windlass.dev/pod": "evil"})
    entry = (await world.get("pods", "evil"))["status"]["containerStatuses"][0]
    assert words in entry["state"]["waiting"]["message"]


async def test_a_failed_liveness_probe_restarts_the_container(world: World) -> None:
    probe = {
        "httpGet": {"path": "/", "port": 80},
        "periodSeconds": 1,
        "failureThreshold": 1,
        "initialDelaySeconds": 1,
    }
    await world.objects.create("pods", pod("sick", "test/sick:1", container={"livenessProbe": probe}))

    async def restarted() -> bool:
        status = (await world.get("pods", "sick")).get("status", {})
        return any(c["restartCount"] == 1 for c in status.get("containerStatuses", ()))

    await world.until(restarted, "restarted")
    (told, *_) = await world.until(lambda: world.events("Killing"), "an Event says why")
    assert told["message"] == "Container app failed liveness probe, will be restarted"


async def test_graceful_deletion_finalises_the_object(world: World) -> None:
    await world.objects.create("pods", pod("slow", "test/slow-stop:1"))
    await state(world, "slow", "running")
    await world.objects.delete("pods", "default", "slow")
    held = await world.get("pods", "slow")
    assert held["metadata"]["deletionTimestamp"]

    async def gone() -> bool:
        return not await world.pods() and not await world.engine.list({"windlass.dev/pod": "slow"})

    await world.until(gone, "object and container are gone")


async def test_deletion_without_grace_leaves_no_container(world: World) -> None:
    await world.objects.create("pods", pod("now", "test/slow-stop:1"))
    await state(world, "now", "running")
    await world.objects.delete("pods", "default", "now", grace=0)

    async def gone() -> bool:
        return not await world.engine.list({"windlass.dev/pod": "now"})

    await world.until(gone, "the container is gone")


async def test_a_restart_does_not_flap_readiness_and_ends_strays(world: World) -> None:
    await world.objects.create("services", world.service("app"))
    await world.objects.create("deployments.apps", world.deployment("app", "test/app:1"))
    await world.available("app", 2)
    before = {p["metadata"]["name"]: p["metadata"]["resourceVersion"] for p in await world.pods()}
    await world.stop()
    # a pod that is deleted by force while nobody looks leaves a container without an owner
    stray = min(before)
    await world.objects.delete("pods", "default", stray, grace=0)
    await world.restart_from_stopped()
    await world.available("app", 2)

    async def ended() -> bool:
        return not await world.engine.list({"windlass.dev/pod": stray})

    await world.until(ended, "the stray container is gone")
    survivor = sorted(before)[1]
    assert (await world.get("pods", survivor))["metadata"]["resourceVersion"] == before[survivor]


async def test_a_namespace_goes_with_everything_in_it(world: World) -> None:
    await world.objects.create("namespaces", {"metadata": {"name": "shop"}})
    body = pod("web", "test/app:1")
    body["metadata"]["namespace"] = "shop"
    await world.objects.create("pods", body)

    async def runs() -> bool:
        return bool(await world.engine.list({"windlass.dev/namespace": "shop"}))

    await world.until(runs, "it runs")
    await world.objects.delete("namespaces", None, "shop")

    async def gone() -> bool:
        names = [n["metadata"]["name"] for n in (await world.objects.list("namespaces")).items]
        return "shop" not in names and not await runs()

    await world.until(gone, "namespace and container are gone")
    await world.until(partial(no_network, world), "its network is gone")


async def no_network(world: World) -> bool:
    return not await world.engine.networks({"windlass.dev/namespace": "shop"})


@pytest.mark.parametrize("watched", [True, False])
async def test_the_network_of_a_namespace_without_pods_goes_with_it(world: World, *, watched: bool) -> None:
    await world.objects.create("namespaces", {"metadata": {"name": "shop"}})
    body = pod("web", "test/app:1")
    body["metadata"]["namespace"] = "shop"
    await world.objects.create("pods", body)

    async def has_network() -> bool:
        return not await no_network(world)

    await world.until(has_network, "it has a network")
    await world.objects.delete("pods", "shop", "web", grace=0)

    async def ended() -> bool:
        return not await world.engine.list({"windlass.dev/namespace": "shop"})

    await world.until(ended, "its pod is gone")
    assert await has_network()
    if not watched:
        await world.stop()
    await world.objects.delete("namespaces", None, "shop")
    if not watched:
        await world.restart_from_stopped()
    await world.until(partial(no_network, world), "its network is gone")
