"""The controllers of the embedded cluster, woken by the watch, each deciding from the state as it is."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

import anyio
import structlog

from windlass.kube.errors import GoneError, NotFoundError
from windlass.kube.local.controllers import deployment, endpoints, replicaset
from windlass.kube.local.controllers.events import Recorder
from windlass.kube.local.controllers.executor import Executor
from windlass.kube.local.controllers.meta import controller_of, labels_of, name_of, namespace_of, selects
from windlass.kube.workqueue import WorkQueue

if TYPE_CHECKING:
    from collections.abc import Callable

    from windlass.kube.local.controllers.effects import Effect
    from windlass.kube.local.controllers.meta import Object
    from windlass.kube.local.objects import Objects
    from windlass.kube.types import WatchEvent

DEPLOYMENTS, REPLICA_SETS, PODS = "deployments.apps", "replicasets.apps", "pods"
SERVICES, ENDPOINTS = "services", "endpoints"
RESYNC = 300.0
WORKERS = 4
log = structlog.get_logger()


class Key(NamedTuple):
    """An object that a controller looks at."""

    resource: str
    namespace: str
    name: str


def _of(resource: str, obj: Object) -> Key:
    return Key(resource, namespace_of(obj), name_of(obj))


class Controllers:
    """Deployments, ReplicaSets and EndpointSlices. `run` until cancelled; state lives in the objects alone."""

    def __init__(self, objects: Objects, *, clock: Callable[[], float] = time.time) -> None:
        self._objects = objects
        self._clock = clock
        self._executor = Executor(objects, Recorder(objects, "deployment-controller", clock=clock))
        self._queue: WorkQueue[Key] = WorkQueue()

    async def run(self) -> None:
        """Reconcile for ever. A watch that lags is begun anew with everything looked at again."""
        async with anyio.create_task_group() as group:
            for _ in range(WORKERS):
                group.start_soon(self._work)
            group.start_soon(self._resync)
            try:
                await self._follow()
            finally:
                self._queue.close()

    async def _follow(self) -> None:
        watched = (DEPLOYMENTS, REPLICA_SETS, PODS, SERVICES, endpoints.SLICES, ENDPOINTS)
        while True:
            try:
                async with self._objects.watch(*watched) as events:
                    await self._everything()
                    async for event in events:
                        await self._route(event)
            except GoneError:
                log.warning("the controllers lagged behind the watch and look at everything again")

    async def _everything(self) -> None:
        for resource in (DEPLOYMENTS, REPLICA_SETS, SERVICES):
            for obj in (await self._objects.list(resource)).items:
                self._queue.add(_of(resource, obj))

    async def _resync(self) -> None:
        while True:
            await anyio.sleep(RESYNC)
            await self._everything()

    async def _route(self, event: WatchEvent) -> None:
        """Say who has to look because of this change."""
        obj, namespace = event.object, namespace_of(event.object)
        match event.resource:
            case "deployments.apps" | "services":
                self._queue.add(_of(event.resource, obj))
            case "replicasets.apps":
                self._queue.add(_of(REPLICA_SETS, obj))
                await self._owners(DEPLOYMENTS, "Deployment", obj)
            case "pods":
                await self._owners(REPLICA_SETS, "ReplicaSet", obj)
                if event.type == "DELETED":
                    await self._recreating(namespace)
                await self._services(namespace, obj)
            case _:  # slices and endpoints that others changed are set right again
                name = labels_of(obj).get(endpoints.SERVICE_NAME) or name_of(obj)
                self._queue.add(Key(SERVICES, namespace, name))

    async def _owners(self, resource: str, kind: str, obj: Object) -> None:
        owner = controller_of(obj)
        if owner is not None:
            if owner["kind"] == kind:
                self._queue.add(Key(resource, namespace_of(obj), owner["name"]))
            return
        for candidate in (await self._objects.list(resource, namespace_of(obj))).items:
            if selects(candidate["spec"].get("selector"), labels_of(obj)):
                self._queue.add(_of(resource, candidate))

    async def _recreating(self, namespace: str) -> None:
        for item in (await self._objects.list(DEPLOYMENTS, namespace)).items:
            if (item["spec"].get("strategy") or {}).get("type") == "Recreate":
                self._queue.add(_of(DEPLOYMENTS, item))

    async def _services(self, namespace: str, pod: Object) -> None:
        labels = labels_of(pod)
        for service in (await self._objects.list(SERVICES, namespace)).items:
            selector = service["spec"].get("selector")
            if selector and selector.items() <= labels.items():
                self._queue.add(_of(SERVICES, service))

    async def _work(self) -> None:
        while True:
            key = await self._queue.take()
            try:
                again = await self._executor.perform(await self._decide(key))
                self._queue.forget(key)
                if again is not None:
                    self._queue.add_after(key, again)
            except Exception as error:  # noqa: BLE001 one object's trouble must not stop the others
                delay = self._queue.retry(key)
                log.warning("reconcile failed", object=key, error=repr(error), again_in=delay)
            finally:
                self._queue.done(key)

    async def _decide(self, key: Key) -> list[Effect]:
        try:
            obj = await self._objects.get(key.resource, key.namespace, key.name)
        except NotFoundError:
            return []
        pods = (await self._objects.list(PODS, key.namespace)).items
        if key.resource == DEPLOYMENTS:
            sets = (await self._objects.list(REPLICA_SETS, key.namespace)).items
            return deployment.decide(obj, sets, pods, self._clock())
        if key.resource == REPLICA_SETS:
            return replicaset.decide(obj, pods, self._clock())
        slices = (await self._objects.list(endpoints.SLICES, key.namespace)).items
        found = await self._objects.list(ENDPOINTS, key.namespace, fields=f"metadata.name={key.name}")
        return endpoints.decide(obj, pods, slices, found.items[0] if found.items else None)
