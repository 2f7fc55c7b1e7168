"""List, then watch, and again when the server no longer knows where we were: one endless stream of changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel
import structlog

from windlass.kube.errors import GoneError, KubeError
from windlass.kube.types import SYNCED, WatchEvent, key_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from windlass.kube.types import Cluster, Key, Object

log = structlog.get_logger()
FIRST_RETRY = 0.1
LAST_RETRY = 30.0


class Follower:
    """Yields what is there as ADDED, one SYNCED, and every change after it, until its iterator is closed.

    After a gap (410, a server that was away) it lists again and yields the difference as changes, and SYNCED.
    Failures are logged and tried again, later each time.
    """

    def __init__(
        self, cluster: Cluster, resource: str, namespace: str | None, labels: str | None, fields: str | None
    ) -> None:
        self._cluster, self._resource = cluster, resource
        self._namespace, self._labels, self._fields = namespace, labels, fields
        self.cache: dict[Key, Object] = {}

    async def events(self) -> AsyncIterator[WatchEvent]:
        """Follow the resource."""
        delay = FIRST_RETRY
        while True:
            try:
                listed = await self._cluster.list(
                    self._resource, self._namespace, labels=self._labels, fields=self._fields
                )
                for event in self._difference(listed.items, listed.resource_version):
                    yield event
                delay = FIRST_RETRY
                async for event in self._watch(listed.resource_version):
                    yield event
            except GoneError:
                await anyio.lowlevel.checkpoint()
            except KubeError as error:
                log.warning("watch.retry", resource=self._resource, error=str(error), seconds=delay)
                await anyio.sleep(delay)
                delay = min(LAST_RETRY, delay * 2)

    def _difference(self, items: list[Object], version: str) -> list[WatchEvent]:
        fresh = {key_of(obj): obj for obj in items}
        gone = [
            WatchEvent("DELETED", self._resource, self.cache[key], version)
            for key in self.cache.keys() - fresh
        ]
        events = []
        for key, obj in fresh.items():
            before = self.cache.get(key)
            if before is None:
                events.append(WatchEvent("ADDED", self._resource, obj, version))
            elif _version(before) != _version(obj):
                events.append(WatchEvent("MODIFIED", self._resource, obj, version))
        self.cache = fresh
        return [*gone, *events, WatchEvent(SYNCED, self._resource, {"metadata": {}}, version)]

    async def _watch(self, version: str) -> AsyncIterator[WatchEvent]:
        """Watch, again and again from where the last watch ended, until one fails."""
        while True:
            async with self._cluster.watch_from(
                self._resource, version, namespace=self._namespace, labels=self._labels, fields=self._fields
            ) as events:
                async for event in events:
                    version = event.resource_version
                    if event.type == "DELETED":
                        self.cache.pop(key_of(event.object), None)
                    elif event.type in {"ADDED", "MODIFIED"}:
                        self.cache[key_of(event.object)] = event.object
                    else:
                        continue
                    yield event
            await anyio.lowlevel.checkpoint()


def _version(obj: Object) -> tuple[str, str]:
    return obj["metadata"].get("uid", ""), obj["metadata"].get("resourceVersion", "")
