"""The node: pods bound to this machine run as the engine's containers, and are found again after a restart."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sys
import time
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import anyio
import structlog

from windlass.engine.errors import EngineError
from windlass.kube.errors import (
    AlreadyExistsError,
    BadRequestError,
    GoneError,
    KubeError,
    NotFoundError,
    UnavailableError,
)
from windlass.kube.local.controllers.effects import EVENT_NORMAL
from windlass.kube.local.controllers.endpoints import target_port
from windlass.kube.local.controllers.events import Recorder
from windlass.kube.local.controllers.meta import deleting, labels_of, name_of, namespace_of, uid_of
from windlass.kube.local.node import machine
from windlass.kube.local.node.ending import destroy
from windlass.kube.local.node.environment import Sources
from windlass.kube.local.node.images import Images
from windlass.kube.local.node.logs import Archive, archived, no_log, read
from windlass.kube.local.node.names import INSTANCE, POD_UID
from windlass.kube.local.node.networks import Networks
from windlass.kube.local.node.pod_status import is_ours
from windlass.kube.local.node.sweeping import end_orphans, networked, remove_strays
from windlass.kube.local.node.worker import PodWorker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from windlass.engine.port import Container, Engine, Network
    from windlass.kube.local.controllers.meta import Object
    from windlass.kube.local.node.settings import NodeSettings
    from windlass.kube.local.objects import Objects
    from windlass.kube.types import WatchEvent

WATCHED = ("pods", "services", "configmaps", "secrets", "namespaces")
log = structlog.get_logger()


async def _undrained(namespace: str, pod: str) -> None:
    """Stand in for the edge where there is none."""


class Node:
    """Runs pods. Implements `kube.local.ports.NodePort`. `run` until cancelled; containers go on after that.

    `drained` waits until no request is on its way to a pod any more (`Edge.drained`); `network_changed` is called
    when `gateways` has (`Edge.wake`).
    """

    def __init__(self, objects: Objects, engine: Engine, settings: NodeSettings) -> None:
        self.objects = objects
        self.engine = engine
        self.settings = settings
        self.archive = Archive(settings.directory / "logs")
        self.images = Images(
            engine, mirrors=settings.mirrors, auth_file=settings.auth_file, changed=self._wake_all
        )
        self.drained: Callable[[str, str], Awaitable[None]] = _undrained
        self.network_changed: Callable[[], None] = lambda: None
        self.told: set[str] = set()
        self.adopted = asyncio.Event()
        """Set once the containers that were running already are known, and with them where pods are reached."""
        self._recorder = Recorder(objects, "kubelet")
        self._news: asyncio.Queue[tuple[Object, str, str, str]] = asyncio.Queue(10_000)
        self._workers: dict[str, PodWorker] = {}
        self.networks = Networks(engine, settings.instance, self._networks_changed)
        self._direct = False
        self._group: Any = None

    # -- for workers

    def tell(self, pod: Object, kind: str, reason: str, message: str) -> None:
        """Record an Event, soon; when there are too many, the newest are dropped."""
        with contextlib.suppress(asyncio.QueueFull):
            self._news.put_nowait((pod, kind, reason, message))

    async def sources(self, pod: Object) -> Sources:
        """Return what the pod's environment and volumes refer to."""
        namespace = namespace_of(pod)
        maps = {name_of(obj): obj for obj in (await self.objects.list("configmaps", namespace)).items}
        secrets = {name_of(obj): obj for obj in (await self.objects.list("secrets", namespace)).items}
        return Sources(pod, maps.get, secrets.get, capacity=machine.capacity())

    async def network(self, namespace: str) -> Network:
        """Return the namespace's network, made when it is not there."""
        return await self.networks.ensure(namespace)

    def gateways(self) -> dict[str, str]:
        """Addresses at which this machine is seen from the pods of each namespace; none with a rootless engine."""
        return self.networks.gateways() if self._direct else {}

    def service_names(self, namespace: str) -> list[str]:
        """Return the names under which pods of the namespace reach Services."""
        return self.networks.service_names(namespace)

    async def wanted_ports(self, pod: Object) -> list[int]:
        """Return the pod's ports that Services ask for."""
        found = []
        for service in (await self.objects.list("services", namespace_of(pod))).items:
            selector = service["spec"].get("selector")
            if selector and selector.items() <= labels_of(pod).items():
                numbers = (
                    target_port(port, pod)
                    for port in service["spec"].get("ports") or ()
                    if port.get("protocol", "TCP") == "TCP"
                )
                found += [number for number in numbers if number]
        return found

    def reach(self, worker: PodWorker, port: int) -> tuple[str, int] | None:
        """Where a probe reaches a pod's port: its own address where that can be routed, else the published port."""
        if (holder := worker.holder) is None:
            return None
        if self._direct and any(holder.addresses.values()):
            return worker.address, port
        return ("127.0.0.1", host) if (host := holder.ports.get(port)) else None

    def remove_files(self, uid: str) -> None:
        """Remove a pod's directory."""
        shutil.rmtree(self.settings.directory / "pods" / uid, ignore_errors=True)

    # -- NodePort

    async def address(self, namespace: str, pod: str, port: int) -> tuple[str, int]:
        """Return where the pod's port is reached from this machine."""
        worker = await self._find(namespace, pod)
        if worker is None:
            raise NotFoundError.of("pods", pod)
        if (holder := worker.holder) is None:
            raise UnavailableError(f'pod "{pod}" has no running container')
        if port in holder.ports:
            return "127.0.0.1", holder.ports[port]
        if self._direct and any(holder.addresses.values()):
            return worker.address, port
        raise BadRequestError(
            f'port {port} of pod "{pod}" is not published: declare it as containerPort (published: '
            f"{sorted(holder.ports)})"
        )

    async def logs(
        self,
        namespace: str,
        pod: str,
        container: str,
        *,
        follow: bool = False,
        tail: int | None = None,
        since_seconds: float | None = None,
        timestamps: bool = False,
        previous: bool = False,
    ) -> AsyncIterator[bytes]:
        """Yield a container's log; of a pod that is gone from the archive."""
        since = None if since_seconds is None else time.time() - since_seconds
        worker = await self._find(namespace, pod)
        found = None
        if worker is not None:
            found = worker.previous(container) if previous else worker.container(container)
        if found is not None:
            lines = read(
                self.engine, found.id, follow=follow, tail=tail, since=since or 0.0, timestamps=timestamps
            )
        else:
            file = self.archive.find(namespace, pod, container, previous=previous)
            if file is None:
                waiting = worker.reason(container) if worker is not None else None
                raise no_log(pod, container, waiting, previous=previous)
            lines = archived(file, tail=tail, since=since, timestamps=timestamps)
        async with aclosing(lines):
            async for line in lines:
                yield line

    async def _find(self, namespace: str, pod: str) -> PodWorker | None:
        """Return the worker of a pod; who asks while the node is starting waits for what it will find running."""
        with anyio.move_on_after(10):  # an engine that hangs must not hang who asks
            await self.adopted.wait()
        asked = (namespace, pod)
        return next(
            (w for w in self._workers.values() if (namespace_of(w.pod), name_of(w.pod)) == asked), None
        )

    # -- its life

    async def run(self) -> None:
        """Adopt what runs, end what belongs to nobody, then follow pods and engine for ever."""
        self._direct = sys.platform == "linux" and os.getuid() == 0 and self.engine.name != "fake"
        async with anyio.create_task_group() as group:
            self._group = group
            group.start_soon(self._introduce)
            group.start_soon(self._tell)
            group.start_soon(self._housekeeping)
            try:
                await self._follow()
            finally:
                await self.images.close()

    async def _follow(self) -> None:
        first = True
        while True:
            try:
                async with self.objects.watch(*WATCHED) as events:
                    if first:
                        await self._adopt()
                        self.adopted.set()
                        self._group.start_soon(self._follow_engine)
                        first = False
                    else:
                        await self._look_again()
                    async for event in events:
                        await self._see(event)
            except GoneError:
                log.warning("the node lagged behind the watch and looks at everything again")

    async def _adopt(self) -> None:
        found: dict[str, list[Container]] = {}
        for container in await self.engine.list({INSTANCE: self.settings.instance}):
            found.setdefault(container.labels.get(POD_UID, ""), []).append(container)
        await self._learn_services()
        self._group.start_soon(self._sweep_networks)
        pods = (await self.objects.list("pods")).items
        for namespace in {namespace_of(pod) for pod in pods if found.get(uid_of(pod))}:
            await self.network(namespace)
        for pod in pods:
            await self._pod(pod, found.pop(uid_of(pod), []))
        for uid, containers in found.items():
            self._group.start_soon(end_orphans, self.engine, self.archive, uid, containers)
        directory = self.settings.directory / "pods"
        await anyio.to_thread.run_sync(remove_strays, directory, {uid_of(pod) for pod in pods})

    async def _sweep_networks(self) -> None:
        """Remove the networks of namespaces that went while nobody looked."""
        for namespace in await networked(self.engine, self.settings.instance):
            await self._leave_network(namespace)

    async def _look_again(self) -> None:
        pods = {uid_of(pod): pod for pod in (await self.objects.list("pods")).items}
        for uid in set(self._workers) - set(pods):
            self._gone(self._workers[uid].pod)
        for pod in pods.values():
            await self._pod(pod, [])
        await self._learn_services()

    async def _see(self, event: WatchEvent) -> None:
        if event.resource == "pods":
            if event.type == "DELETED":
                self._gone(event.object)
            else:
                await self._pod(event.object, [])
        elif event.resource == "services":
            await self._learn_services()
        elif event.resource == "namespaces":
            if event.type == "DELETED":
                self._group.start_soon(self._leave_network, name_of(event.object))
        else:
            for worker in self._workers.values():
                if namespace_of(worker.pod) == namespace_of(event.object):
                    worker.wake(files=True)

    async def _pod(self, pod: Object, containers: list[Container]) -> None:
        """Bind a new pod, begin with one that is ours, or pass on its change."""
        if not pod["spec"].get("nodeName") and not deleting(pod):
            self._group.start_soon(self._bind, pod)
        elif is_ours(pod, self.settings.name):
            worker = self._workers.get(uid_of(pod))
            if worker is not None:
                worker.see(pod)
                return
            worker = self._workers[uid_of(pod)] = PodWorker(self, pod, containers)
            self._group.start_soon(self._work, worker)

    async def _work(self, worker: PodWorker) -> None:
        while True:
            try:
                await worker.run()
                break
            except Exception as error:  # a fault of ours must not lose the pod
                log.exception("pod worker failed", pod=name_of(worker.pod), error=repr(error))
                await anyio.sleep(5)
                worker = PodWorker(self, worker.pod, await self._containers_of(worker.pod))
                self._workers[uid_of(worker.pod)] = worker
        if worker.scope.cancelled_caught:  # deleted without grace
            await self._destroy(worker)
        self._workers.pop(uid_of(worker.pod), None)
        await self._leave_network(namespace_of(worker.pod))

    async def _containers_of(self, pod: Object) -> list[Container]:
        return await self.engine.list({POD_UID: uid_of(pod)})

    async def _destroy(self, worker: PodWorker) -> None:
        try:
            await destroy(worker)
        except EngineError as error:
            log.warning("containers not removed; they go at the next start", error=str(error))

    async def _leave_network(self, namespace: str) -> None:
        """Remove the network of a namespace that is gone, with its last pod."""
        if any(namespace_of(worker.pod) == namespace for worker in self._workers.values()):
            return
        try:
            if not deleting(await self.objects.get("namespaces", None, namespace)):
                return
        except NotFoundError:
            pass
        await self.networks.remove(namespace)

    def _gone(self, pod: Object) -> None:
        worker = self._workers.get(uid_of(pod))
        if worker is not None:
            worker.scope.cancel()

    async def _bind(self, pod: Object) -> None:
        def change(obj: Object) -> Object | None:
            if obj["spec"].get("nodeName") or uid_of(obj) != uid_of(pod):
                return None
            return {**obj, "spec": {**obj["spec"], "nodeName": self.settings.name}}

        try:
            bound = await self.objects.modify(
                "pods", namespace_of(pod), name_of(pod), change, manager="kube-scheduler"
            )
        except KubeError as error:
            if not isinstance(error, NotFoundError):
                log.warning("pod not bound", pod=name_of(pod), error=str(error))
            return
        if bound is not None:
            where = f"{namespace_of(pod)}/{name_of(pod)}"
            text = f"Successfully assigned {where} to {self.settings.name}"
            self.tell(bound, EVENT_NORMAL, "Scheduled", text)

    async def _follow_engine(self) -> None:
        labels = {INSTANCE: self.settings.instance}
        while True:
            try:
                async with aclosing(self.engine.events(labels)) as events:
                    async for event in events:
                        uid = event.labels.get(POD_UID, "")
                        if event.kind == "resync" or not uid:
                            self._wake_all(containers=True)
                        elif uid in self._workers and event.kind in {"exited", "oom", "removed"}:
                            self._workers[uid].wake(containers=True)
            except EngineError as error:
                log.warning("the engine's events broke off", error=str(error))
            await anyio.sleep(1)

    def _wake_all(self, *, containers: bool = False) -> None:
        for worker in self._workers.values():
            worker.wake(containers=containers)

    async def _learn_services(self) -> None:
        self.networks.learn((await self.objects.list("services")).items)
        self._refresh_hosts()

    def _networks_changed(self) -> None:
        self._refresh_hosts()
        self.network_changed()

    def _refresh_hosts(self) -> None:
        for worker in self._workers.values():
            worker.refresh_hosts()

    async def _tell(self) -> None:
        while True:
            await self._recorder.tell(*await self._news.get())

    async def _housekeeping(self) -> None:
        while True:
            await anyio.to_thread.run_sync(self.archive.clean)
            self.told.clear()
            await anyio.sleep(600)

    async def _introduce(self) -> None:
        """Ask the engine about itself beside everything else: that can take a second."""
        info = await self.engine.info()
        self._direct = sys.platform == "linux" and not info.rootless and info.name != "fake"
        await self._register(info.version)

    async def _register(self, engine_version: str) -> None:
        """Show the machine as a Node, so that `kubectl get nodes` has an answer."""
        fresh = machine.node(self.settings.name, f"{self.engine.name}://{engine_version}")
        with contextlib.suppress(AlreadyExistsError):
            await self.objects.create("nodes", fresh, manager="kubelet")

        def change(obj: Object) -> Object:
            return {**obj, "status": fresh["status"]}

        await self.objects.modify("nodes", None, self.settings.name, change, subresource="status")
