"""What is in the cluster, as it was last seen or last written by us."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from windlass.kube import Informer, NotFoundError
from windlass.manifests import CLUSTER_SCOPED, identify

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from anyio.abc import TaskGroup

    from windlass.kube import Kube
    from windlass.manifests import Object

APPLICATION = ("argoproj.io", "Application")
DEPLOYMENT, REPLICA_SET = ("apps", "Deployment"), ("apps", "ReplicaSet")
POD, SERVICE = ("", "Pod"), ("", "Service")
ALWAYS = {
    APPLICATION: "argoproj.io/v1alpha1",
    DEPLOYMENT: "apps/v1",
    REPLICA_SET: "apps/v1",
    POD: "v1",
    SERVICE: "v1",
}
Kind = tuple[str, str]


def kind_of(item: Object) -> Kind:
    """Return group and kind."""
    found = identify(item)
    return found.group, found.kind


def _version(item: Object) -> int:
    text = str(item["metadata"].get("resourceVersion", ""))
    return int(text) if text.isdigit() else 0


class Mirror:
    """Informers by group and kind, begun when a kind is first wanted, and what we wrote until they have seen it.

    Objects are shared snapshots: copy before changing. `notify(before, after)` is called for each change.
    """

    def __init__(self, kube: Kube, notify: Callable[[Object | None, Object | None], None]) -> None:
        self._kube = kube
        self._notify = notify
        self._informers: dict[Kind, Informer] = {}
        self._written: dict[tuple[Kind, str, str], Object] = {}
        self._tasks: TaskGroup | None = None

    async def start(self, tasks: TaskGroup) -> None:
        """Begin to watch what is always needed, and wait for the first lists."""
        self._tasks = tasks
        for (_, kind), version in ALWAYS.items():
            await self.want(version, kind)

    async def want(self, api_version: str, kind: str) -> None:
        """Watch a kind from now on; NotFoundError where the cluster does not have it."""
        group = api_version.rpartition("/")[0]
        key = (group, kind)
        found = self._informers.get(key)
        if found is None:
            if self._tasks is None:
                raise RuntimeError("the mirror has not been started")
            info = await self._kube.find(f"{api_version}/{kind}")
            found = self._informers.get(key)
            if found is None:  # nobody else began while we asked
                found = self._informers[key] = Informer(self._kube, info.key)
                found.on_change(self._changed)
                self._tasks.start_soon(found.run)
        with anyio.fail_after(30):
            await found.synced()

    async def want_all(self, items: list[Object]) -> None:
        """Watch the kinds of these objects; a kind that the cluster lacks shows when it is applied."""
        for api_version, kind in {(str(item["apiVersion"]), str(item["kind"])) for item in items}:
            if (api_version.rpartition("/")[0], kind) not in self._informers:
                try:
                    await self.want(api_version, kind)
                except NotFoundError:
                    continue

    def _changed(self, before: Object | None, after: Object | None) -> None:
        item = after or before
        if item is None:
            return
        found = identify(item)
        key = ((found.group, found.kind), item["metadata"].get("namespace", ""), found.name)
        written = self._written.get(key)
        if written is not None and (after is None or _version(after) >= _version(written)):
            del self._written[key]
        self._notify(before, after)

    def wrote(self, item: Object) -> None:
        """Note the answer to a write of ours, until the watch has seen it."""
        found = identify(item)
        space = item["metadata"].get("namespace", "")
        seen = self._informers.get((found.group, found.kind))
        there = seen.get(space, found.name) if seen else None
        if there is None or _version(there) < _version(item):
            self._written[(found.group, found.kind), space, found.name] = item

    def deleted(self, item: Object) -> None:
        """Note that we deleted an object."""
        found = identify(item)
        self._written.pop(
            ((found.group, found.kind), item["metadata"].get("namespace", ""), found.name), None
        )

    def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """Return an object, or None."""
        space = "" if kind[1] in CLUSTER_SCOPED else namespace
        written = self._written.get((kind, space, name))
        if written is not None:
            return written
        informer = self._informers.get(kind)
        return informer.get(space, name) if informer else None

    def same(self, item: Object) -> Object | None:
        """Return the live object of the same identity."""
        found = identify(item)
        return self.get((found.group, found.kind), found.namespace, found.name)

    def items(self, kind: Kind, namespace: str | None = None) -> list[Object]:
        """Return all objects of a kind, or those of one namespace."""
        informer = self._informers.get(kind)
        items = informer.items(namespace) if informer else []
        return [
            self._written.get((kind, i["metadata"].get("namespace", ""), i["metadata"]["name"]), i)
            for i in items
        ]

    def everything(self) -> Iterator[Object]:
        """Yield the objects of all kinds that are watched."""
        for kind in list(self._informers):
            yield from self.items(kind)
