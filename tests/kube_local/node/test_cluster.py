from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import anyio
import httpx2
import pytest

if TYPE_CHECKING:
    from kube_local.conftest import World

pytestmark = pytest.mark.integration


async def test_a_deployment_becomes_ready_and_answers_at_its_address(world: World) -> None:
    await world.objects.create("services", world.service("app"))
    await world.objects.create("deployments.apps", world.deployment("app", "test/app:1"))
    await world.available("app", 2)
    host, _port = await world.address("app")
    assert host == "127.0.0.1"


async def test_a_restart_takes_no_server_from_the_edge_while_the_engine_is_still_being_asked(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.objects.create("services", world.service("app"))
    await world.objects.create("deployments.apps", world.deployment("app", "test/app:1"))
    await world.available("app", 2)
    host, port = await world.address("app")
    await world.until(lambda: world.serving("default_app_80", 2), "both pods are behind the edge")
    asked = world.engine.list

    async def slowly(labels: Any) -> Any:
        await anyio.sleep(0.5)
        return await asked(labels)

    await world.stop()
    monkeypatch.setattr(world.engine, "list", slowly)
    await world.restart_from_stopped()
    until, answers = time.monotonic() + 1.2, set()
    async with httpx2.AsyncClient(trust_env=False) as client:
        while time.monotonic() < until:
            answers.add((await client.get(f"http://{host}:{port}/")).status_code)
            assert await world.serving("default_app_80", 2)
            await anyio.sleep(0.01)
    assert answers == {200}
    assert world.cluster.node.adopted.is_set()


async def test_who_asks_for_a_log_right_after_a_restart_waits_for_what_runs_to_be_known(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.objects.create("deployments.apps", world.deployment("app", "test/app:1", replicas=1))
    await world.available("app", 1)
    (pod,) = await world.pods(app="app")
    name, container = pod["metadata"]["name"], pod["spec"]["containers"][0]["name"]
    asked = world.engine.list

    async def slowly(labels: Any) -> Any:
        await anyio.sleep(0.3)
        return await asked(labels)

    await world.stop()
    monkeypatch.setattr(world.engine, "list", slowly)
    await world.restart_from_stopped()
    node = world.cluster.node
    assert not node.adopted.is_set()
    assert [line async for line in node.logs("default", name, container, tail=1)]
    host, _port = await node.address("default", name, 8080)
    assert host
