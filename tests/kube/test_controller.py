from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import pytest

from windlass.kube.controller import Controller, own_key, owner_key
from windlass.kube.informer import Informer
from windlass.kube.local.objects import Objects
from windlass.kube.workqueue import WorkQueue

if TYPE_CHECKING:
    from windlass.kube.types import Key
    from windlass.store import Store


def configmap(name: str, **data: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "default"}, "data": data}


@pytest.fixture
async def objects(store: Store) -> Objects:
    opened = Objects(store)
    await opened.load()
    return opened


async def test_a_key_is_queued_once_and_comes_back_when_it_was_added_meanwhile() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    queue.add("a")
    assert len(queue) == 1
    assert await queue.take() == "a"
    queue.add("a")
    assert len(queue) == 0
    queue.done("a")
    assert len(queue) == 1


async def test_retries_wait_longer_each_time_and_the_earliest_timer_wins() -> None:
    queue: WorkQueue[str] = WorkQueue(first_retry=0.01, last_retry=0.03)
    assert [queue.retry("a"), queue.retry("a"), queue.retry("a")] == [0.01, 0.02, 0.03]
    queue.forget("a")
    assert queue.retry("a") == 0.01
    queue.add_after("b", 30)
    queue.add_after("b", 0.001)
    with anyio.fail_after(2):
        assert {await queue.take(), await queue.take()} == {"a", "b"}
    queue.close()


async def test_informer_follows_and_controller_reconciles_and_retries(objects: Objects) -> None:
    await objects.create("configmaps", configmap("first"))
    informer = Informer(objects, "configmaps", namespace="default")
    seen: list[Key] = []
    done = anyio.Event()

    async def reconcile(key: Key) -> float | None:
        seen.append(key)
        if seen.count(key) < 2:
            raise RuntimeError("not yet")
        if key[1] == "second":
            done.set()
        return None

    controller = Controller("test", reconcile, workers=2)
    controller.watch(informer, own_key)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(informer.run)
        tasks.start_soon(controller.run)
        await informer.synced()
        assert informer.get("default", "first") is not None
        await objects.create("configmaps", configmap("second"))
        with anyio.fail_after(5):
            await done.wait()
        await objects.delete("configmaps", "default", "second")
        with anyio.fail_after(5):
            while informer.get("default", "second") is not None:
                await anyio.sleep(0.005)
        assert [obj["metadata"]["name"] for obj in informer.items("default")] == ["first"]
        tasks.cancel_scope.cancel()


async def test_informer_lists_again_when_the_watch_is_gone(objects: Objects) -> None:
    informer = Informer(objects, "configmaps")
    changes: list[tuple[str | None, str | None]] = []

    def name(obj: dict[str, Any] | None) -> str | None:
        return obj["metadata"]["name"] if obj else None

    informer.on_change(lambda before, after: changes.append((name(before), name(after))))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(informer.run)
        await informer.synced()
        # a backlog beyond what a watcher may lag: the writes do not let it read
        subscription = next(iter(objects._history._subscriptions))
        subscription._lost = True
        await objects.create("configmaps", configmap("after"))
        with anyio.fail_after(5):
            while informer.get("default", "after") is None:
                await anyio.sleep(0.005)
        tasks.cancel_scope.cancel()
    assert changes == [(None, "after")]


def test_owner_key_names_the_owners_of_a_kind() -> None:
    owners = [{"kind": "Deployment", "name": "web"}, {"kind": "Other", "name": "x"}]
    pod = {"metadata": {"name": "p", "namespace": "ns", "ownerReferences": owners}}
    assert list(owner_key("Deployment")(pod)) == [("ns", "web")]
