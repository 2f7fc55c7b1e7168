"""A small controller runtime: informers feed keys into a queue, workers reconcile what the keys name.

async def reconcile(key: Key) -> float | None: ...   # seconds until it wants to look again, None: when it changes

controller = Controller("deployments", reconcile, workers=4)
controller.watch(deployments, own_key)
controller.watch(replicasets, owner_key("Deployment"))
async with anyio.create_task_group() as tasks:
    tasks.start_soon(deployments.run); tasks.start_soon(replicasets.run)
    tasks.start_soon(controller.run)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import structlog

from windlass.kube.errors import ConflictError, KubeError
from windlass.kube.types import Key, Object, key_of
from windlass.kube.workqueue import WorkQueue

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from windlass.kube.informer import Informer

log = structlog.get_logger()


def own_key(obj: Object) -> Iterable[Key]:
    """Look at the object itself."""
    return [key_of(obj)]


def owner_key(kind: str) -> Callable[[Object], Iterable[Key]]:
    """Look at the object's owners of this kind (in its namespace)."""

    def keys(obj: Object) -> Iterable[Key]:
        meta = obj["metadata"]
        owners = meta.get("ownerReferences") or ()
        return [(meta.get("namespace", ""), owner["name"]) for owner in owners if owner["kind"] == kind]

    return keys


class Controller:
    """Calls `reconcile(key)` whenever what the key stands for may have changed, with retries and growing delays.

    One key is never reconciled by two workers at a time. What `reconcile` raises is logged and tried again; a
    conflict is tried again without noise. Level-triggered: `reconcile` reads the state, not the event.
    """

    def __init__(
        self, name: str, reconcile: Callable[[Key], Awaitable[float | None]], *, workers: int = 1
    ) -> None:
        self.name = name
        self.queue: WorkQueue[Key] = WorkQueue()
        self._reconcile = reconcile
        self._workers = workers
        self._informers: list[Informer] = []

    def watch(self, informer: Informer, keys: Callable[[Object], Iterable[Key]] = own_key) -> None:
        """Queue `keys(obj)` for the object before and after each change that the informer sees."""
        self._informers.append(informer)

        def seen(before: Object | None, after: Object | None) -> None:
            for obj in (before, after):
                for key in keys(obj) if obj is not None else ():
                    self.queue.add(key)

        informer.on_change(seen)

    async def run(self) -> None:
        """Wait for the informers' first lists, then work until cancelled."""
        for informer in self._informers:
            await informer.synced()
        try:
            async with anyio.create_task_group() as tasks:
                for _ in range(self._workers):
                    tasks.start_soon(self._work)
        finally:
            self.queue.close()

    async def _work(self) -> None:
        while True:
            key = await self.queue.take()
            try:
                await self._once(key)
            finally:
                self.queue.done(key)

    async def _once(self, key: Key) -> None:
        try:
            again = await self._reconcile(key)
        except ConflictError as error:
            log.debug("controller.conflict", controller=self.name, key=key, error=str(error))
            self.queue.retry(key)
        except KubeError as error:
            seconds = self.queue.retry(key)
            log.warning("controller.retry", controller=self.name, key=key, error=str(error), seconds=seconds)
        except Exception:
            seconds = self.queue.retry(key)
            log.exception("controller.failed", controller=self.name, key=key, seconds=seconds)
        else:
            self.queue.forget(key)
            if again is not None:
                self.queue.add_after(key, again)
