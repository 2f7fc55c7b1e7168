"""A cache of one resource, kept up to date by list and watch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from windlass.kube.following import Follower
from windlass.kube.types import SYNCED, key_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from windlass.kube.types import Cluster, Key, Object, WatchEvent


class Informer:
    """The objects of one resource as they were last seen, and a call for each change.

    `run` lists, watches, and lists again when the server no longer knows the version, until it is cancelled. What is
    cached are shared snapshots: copy before changing. Handlers get the object before and after (None: it was not
    there, it is gone), run on the event loop and must not block.
    """

    def __init__(
        self,
        cluster: Cluster,
        resource: str,
        *,
        namespace: str | None = None,
        labels: str | None = None,
        fields: str | None = None,
    ) -> None:
        self.resource = resource
        self._follower = Follower(cluster, resource, namespace, labels, fields)
        self._cache: dict[Key, Object] = {}
        self._handlers: list[Callable[[Object | None, Object | None], None]] = []
        self._synced = anyio.Event()

    def on_change(self, handler: Callable[[Object | None, Object | None], None]) -> None:
        """Call `handler(before, after)` for each change, also for what is there already at the first list."""
        self._handlers.append(handler)
        for obj in self._cache.values():
            handler(None, obj)

    async def synced(self) -> None:
        """Wait until the first list is in the cache."""
        await self._synced.wait()

    def get(self, namespace: str | None, name: str) -> Object | None:
        """Return one object, None if it is not there."""
        return self._cache.get((namespace or "", name))

    def items(self, namespace: str | None = None) -> list[Object]:
        """Return all objects, or those of one namespace."""
        return [obj for key, obj in self._cache.items() if namespace is None or key[0] == namespace]

    async def run(self) -> None:
        """Keep the cache up to date until cancelled; what fails is tried again, later each time."""
        async for event in self._follower.events():
            if event.type == SYNCED:
                self._synced.set()
            else:
                self._see(event)

    def _see(self, event: WatchEvent) -> None:
        key = key_of(event.object)
        before = self._cache.pop(key, None)
        after = None if event.type == "DELETED" else event.object
        if after is not None:
            self._cache[key] = after
        for handler in self._handlers:
            handler(before, after)
