"""Garbage collection by owner references, the end of namespaces, and events that have had their time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import anyio
import structlog

from windlass.kube.errors import ConflictError, GoneError, KubeError, NotFoundError
from windlass.kube.local.deletion import FOREGROUND, ORPHAN
from windlass.kube.workqueue import WorkQueue

if TYPE_CHECKING:
    from windlass.kube.local.memory import Place
    from windlass.kube.local.objects import Objects

log = structlog.get_logger()
Object = dict[str, Any]
EVENT_SECONDS = 3600.0
EVENTS_KEPT = 2000
SWEEP_SECONDS = 60.0
WORKERS = 4


class GarbageCollector:
    """Deletes what has lost all its owners, lets owners go after their dependents, and empties dying namespaces.

    Level-triggered: at the start it looks at everything, then at what changes. `run` works until cancelled.
    """

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._queue: WorkQueue[Place] = WorkQueue()

    async def run(self) -> None:
        """Collect until cancelled."""
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._watch)
                tasks.start_soon(self._sweep)
                for _ in range(WORKERS):
                    tasks.start_soon(self._work)
        finally:
            self._queue.close()

    async def _watch(self) -> None:
        while True:
            try:
                async with self._objects.watch() as events:
                    self._queue_everything()
                    async for event in events:
                        meta = event.object["metadata"]
                        self._changed(event.resource, meta, gone=event.type == "DELETED")
            except GoneError:
                continue

    def _queue_everything(self) -> None:
        for place in self._objects.places():
            self._queue.add(place)

    def _changed(self, resource: str, meta: Object, *, gone: bool) -> None:
        if meta.get("ownerReferences") or "deletionTimestamp" in meta:
            self._queue.add((resource, meta.get("namespace", ""), meta["name"]))
        if gone:
            for place in self._objects.dependents(meta["uid"]):
                self._queue.add(place)
            for owner in meta.get("ownerReferences") or ():
                if (home := self._objects.place_of(owner["uid"])) is not None:
                    self._queue.add(home)
            if namespace := meta.get("namespace"):
                self._queue_if_dying(namespace)

    def _queue_if_dying(self, namespace: str) -> None:
        if self._objects.has("namespaces", None, namespace):
            meta = self._objects.stored("namespaces", None, namespace).obj["metadata"]
            if "deletionTimestamp" in meta:
                self._queue.add(("namespaces", "", namespace))

    async def _work(self) -> None:
        while True:
            place = await self._queue.take()
            try:
                await self._look(place)
                self._queue.forget(place)
            except (NotFoundError, ConflictError):
                pass  # it went or changed meanwhile; the change brings it back
            except KubeError as error:
                seconds = self._queue.retry(place)
                log.warning("gc.retry", place=place, error=str(error), seconds=seconds)
            finally:
                self._queue.done(place)

    async def _look(self, place: Place) -> None:
        resource, namespace, name = place
        if not self._objects.has(resource, namespace, name):
            return
        obj = self._objects.stored(resource, namespace, name).obj
        finalizers = obj["metadata"].get("finalizers") or ()
        dying = "deletionTimestamp" in obj["metadata"]
        if dying and ORPHAN in finalizers:
            await self._orphan(place, obj)
        elif dying and FOREGROUND in finalizers:
            await self._foreground(place, obj)
        elif dying and resource == "namespaces":
            await self._empty(name)
        elif not dying:
            await self._collect(place, obj)

    async def _collect(self, place: Place, obj: Object) -> None:
        """Delete an object all of whose owners are gone; a dead one among living ones is struck off."""
        owners = obj["metadata"].get("ownerReferences") or []
        living = [owner for owner in owners if self._objects.exists(owner["uid"])]
        if not owners or len(living) == len(owners):
            return
        resource, namespace, name = place
        if not living:
            await self._objects.delete(resource, namespace or None, name, uid=obj["metadata"]["uid"])
            return
        uids = {owner["uid"] for owner in living}
        await self._strike(place, lambda owner: owner["uid"] in uids)

    async def _strike(self, place: Place, keeps: Any) -> None:
        def change(obj: Object) -> Object:
            kept = [owner for owner in obj["metadata"].get("ownerReferences") or () if keeps(owner)]
            obj["metadata"]["ownerReferences"] = kept
            return obj

        await self._objects.modify(place[0], place[1] or None, place[2], change, manager="garbage-collector")

    async def _release(self, place: Place, finalizer: str) -> None:
        def change(obj: Object) -> Object:
            left = [name for name in obj["metadata"].get("finalizers") or () if name != finalizer]
            obj["metadata"]["finalizers"] = left
            return obj

        await self._objects.modify(place[0], place[1] or None, place[2], change, manager="garbage-collector")

    async def _orphan(self, place: Place, obj: Object) -> None:
        uid = obj["metadata"]["uid"]
        for dependent in self._objects.dependents(uid):
            await self._strike(dependent, lambda owner: owner["uid"] != uid)
        await self._release(place, ORPHAN)

    async def _foreground(self, place: Place, obj: Object) -> None:
        """Delete the dependents that hold the owner back, then let it go. Each that is gone brings us back here."""
        uid = obj["metadata"]["uid"]
        holding = []
        for resource, namespace, name in self._objects.dependents(uid):
            dependent = self._objects.stored(resource, namespace, name).obj
            references = dependent["metadata"].get("ownerReferences") or ()
            if any(owner["uid"] == uid and owner.get("blockOwnerDeletion") for owner in references):
                holding.append((resource, namespace, name, dependent))
        if not holding:
            await self._release(place, FOREGROUND)
        for resource, namespace, name, dependent in holding:
            if "deletionTimestamp" not in dependent["metadata"]:
                await self._objects.delete(resource, namespace or None, name, propagation="Foreground")

    async def _empty(self, namespace: str) -> None:
        """Delete what is in a dying namespace; let it go when nothing is."""
        left = self._objects.resources_with(namespace)
        if not left:
            await self._objects.finalize_namespace(namespace)
        for resource, name in left:
            if "deletionTimestamp" in self._objects.stored(resource, namespace, name).obj["metadata"]:
                continue
            try:
                await self._objects.delete(resource, namespace, name)
            except NotFoundError:
                continue

    async def _sweep(self) -> None:
        while True:
            for place in self._old_events(datetime.now(UTC).timestamp()):
                try:
                    await self._objects.delete(*place)
                except NotFoundError:
                    continue
            await anyio.sleep(SWEEP_SECONDS)

    def _old_events(self, now: float) -> list[Place]:
        """Return the events that are older than an hour, or beyond how many are kept."""
        aged = []
        for (namespace, name), stored in self._objects.stored_list("events", None):
            event = stored.obj
            seen = (
                event.get("lastTimestamp") or event.get("eventTime") or event["metadata"]["creationTimestamp"]
            )
            aged.append((datetime.fromisoformat(seen).timestamp(), ("events", namespace, name)))
        aged.sort()
        surplus = max(0, len(aged) - EVENTS_KEPT)
        return [
            place for index, (at, place) in enumerate(aged) if index < surplus or at < now - EVENT_SECONDS
        ]
