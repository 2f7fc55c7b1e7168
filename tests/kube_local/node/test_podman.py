"""The node over podman: real containers, a real edge."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from kube_local.conftest import World

pytestmark = pytest.mark.integration


async def http(world: World, service: str, path: str = "/") -> tuple[int, str]:
    host, port = await world.address(service)
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read(-1)
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), body.decode()


def app(
    world: World, name: str = "app", *, env: dict[str, str] | None = None, **fields: Any
) -> dict[str, Any]:
    container = {
        "command": ["python3", "-c", world.program],
        "env": [{"name": key, "value": value} for key, value in (env or {}).items()],
        **fields.pop("container", {}),
    }
    return world.deployment(name, world.image, container=container, **fields)


async def test_everything_a_pod_asks_for(podman_world: World) -> None:
    world = podman_world
    await world.objects.create(
        "configmaps",
        {
            "metadata": {"name": "settings", "namespace": "default"},
            "data": {"COLOUR": "blue", "a.txt": "first"},
        },
    )
    await world.objects.create(
        "secrets", {"metadata": {"name": "key", "namespace": "default"}, "stringData": {"token": "s3cret"}}
    )
    container = {
        "envFrom": [{"configMapRef": {"name": "settings"}}],
        "env": [
            {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "key", "key": "token"}}},
            {"name": "ME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "BOTH", "value": "$(COLOUR)-$(TOKEN)-$$(X)"},
        ],
        "volumeMounts": [
            {"name": "conf", "mountPath": "/conf"},
            {"name": "keys", "mountPath": "/keys", "readOnly": True},
        ],
        "securityContext": {
            "runAsUser": 1234,
            "runAsNonRoot": True,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "resources": {"limits": {"memory": "128Mi", "cpu": "500m"}},
    }
    volumes = [
        {"name": "conf", "configMap": {"name": "settings"}},
        {"name": "keys", "secret": {"secretName": "key"}},
    ]
    await world.objects.create("services", world.service("app"))
    began = time.monotonic()
    await world.objects.create(
        "deployments.apps", app(world, replicas=1, container=container, pod={"volumes": volumes})
    )
    await world.available("app", 1, 30)
    sys.stdout.write(f"create to available {time.monotonic() - began:.2f} s\n")
    await world.until(lambda: world.serving("default_app_80", 1), "the pod is in the edge")
    pod = (await world.pods(app="app"))[0]
    assert await http(world, "app", "/env/BOTH") == (200, "blue-s3cret-$(X)")
    assert await http(world, "app", "/env/ME") == (200, pod["metadata"]["name"])
    assert await http(world, "app", "/id") == (200, f"1234 {pod['metadata']['name']}")
    assert await http(world, "app", "/file/conf/a.txt") == (200, "first")
    assert await http(world, "app", "/file/keys/token") == (200, "s3cret")
    status = pod["status"]["containerStatuses"][0]
    assert status["ready"]
    assert status["containerID"].startswith("podman://")

    await world.merge("configmaps", "settings", {"data": {"a.txt": "second"}})

    async def updated() -> bool:
        return (await http(world, "app", "/file/conf/a.txt"))[1] == "second"

    await world.until(updated, "the mounted file follows the ConfigMap")
    # inside the pod the Service is reached by its name
    answer = await http(world, "app", "/fetch/app/env/COLOUR")
    assert answer == (200, "blue")
    assert await http(world, "app", "/fetch/app.default.svc.cluster.local/env/COLOUR") == (200, "blue")


async def test_a_restart_of_the_server_adopts_and_ends(podman_world: World) -> None:
    world = podman_world
    await world.objects.create("services", world.service("app"))
    await world.objects.create("deployments.apps", app(world))
    await world.available("app", 2, 30)
    await world.until(lambda: world.serving("default_app_80", 2), "both pods are in the edge")
    before = {
        p["metadata"]["name"]: p["status"]["containerStatuses"][0]["containerID"] for p in await world.pods()
    }
    versions = {p["metadata"]["resourceVersion"] for p in await world.pods()}
    await world.stop()
    # while nobody looks one container dies
    victim, survivor = sorted(before)
    await world.engine.kill(before[victim].partition("://")[2])
    assert (await http(world, "app"))[0] == 200  # HAProxy goes on alone, past the dead one
    await world.restart_from_stopped()

    async def restarted() -> bool:
        pod = await world.get("pods", victim)
        return bool(pod["status"]["containerStatuses"][0]["restartCount"] == 1)

    await world.until(restarted, "the dead container was started again", 20)
    await world.available("app", 2, 30)
    after = await world.get("pods", survivor)
    assert after["status"]["containerStatuses"][0]["containerID"] == before[survivor]
    assert after["status"]["containerStatuses"][0]["restartCount"] == 0
    assert after["metadata"]["resourceVersion"] in versions, "the one that lived was not touched"
    last = (await world.get("pods", victim))["status"]["containerStatuses"][0]["lastState"]["terminated"]
    assert last["exitCode"] == 137
    assert last["reason"] == "Error"


async def test_deleting_ends_containers_and_keeps_their_log(podman_world: World) -> None:
    world = podman_world
    await world.objects.create("deployments.apps", app(world, replicas=1))
    await world.available("app", 1, 30)
    name = (await world.pods())[0]["metadata"]["name"]
    await world.objects.delete("deployments.apps", "default", "app")

    async def gone() -> bool:
        containers = await world.engine.list({"windlass.dev/instance": world.cluster.settings.instance})
        return not containers and not await world.pods()

    await world.until(gone, "pod and container are gone", 20)
    log = b"".join([line async for line in world.cluster.node.logs("default", name, "app")])
    assert log.splitlines() == [b"listening", b"ending"]
    assert not list((world.directory / "kube" / "pods").iterdir())


async def test_two_containers_share_a_network(podman_world: World) -> None:
    world = podman_world
    side = {
        "name": "side",
        "image": world.image,
        "command": ["python3", "-c", world.program],
        "env": [{"name": "PORT", "value": "9000"}, {"name": "SAYS", "value": "side"}],
    }
    init: dict[str, Any] = {
        "name": "init",
        "image": world.image,
        "command": ["python3", "-c", "open('/work/x','w').write('made')"],
    }
    init["volumeMounts"] = [{"name": "work", "mountPath": "/work"}]
    body = app(world, replicas=1, container={"volumeMounts": [{"name": "work", "mountPath": "/work"}]})
    spec = body["spec"]["template"]["spec"]
    spec["containers"].append(side)
    spec["initContainers"] = [init]
    spec["volumes"] = [{"name": "work", "emptyDir": {}}]
    await world.objects.create("services", world.service("app"))
    await world.objects.create("deployments.apps", body)
    await world.available("app", 1, 40)
    await world.until(lambda: world.serving("default_app_80", 1), "the pod is in the edge")

    async def together() -> bool:
        return await http(world, "app", "/fetch/localhost:9000/") == (200, "side")

    await world.until(together, "one container reaches the other at localhost")
    assert await http(world, "app", "/file/work/x") == (200, "made")
    status = (await world.pods())[0]["status"]
    assert status["initContainerStatuses"][0]["state"]["terminated"]["reason"] == "Completed"
    assert [entry["ready"] for entry in status["containerStatuses"]] == [True, True]
