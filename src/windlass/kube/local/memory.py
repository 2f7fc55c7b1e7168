"""What is in memory: all objects by resource, who owns whom, and the latest changes for watchers."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from windlass.kube.errors import BadRequestError, GoneError, NotFoundError
from windlass.kube.local.history import Change, History, Stored, Subscription
from windlass.kube.local.kinds import resource_of
from windlass.kube.local.views import events_of
from windlass.kube.selectors import selects
from windlass.kube.types import Object, ObjectList, WatchEvent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable
    from contextlib import AbstractAsyncContextManager

Place = tuple[str, str, str]  # resource, namespace, name
Places = list[Place]
Pairs = list[tuple[str, str]]
Entries = list[tuple[tuple[str, str], Stored]]  # (namespace, name), object


def _by_key(entry: tuple[tuple[str, str], Stored]) -> tuple[str, str]:
    return entry[0]


class Memory:
    """The reading half of `Objects`."""

    def __init__(self) -> None:
        self._tables: dict[str, dict[tuple[str, str], Stored]] = {}
        self._dependents: dict[str, set[Place]] = {}
        self._uids: dict[str, Place] = {}
        self._version = 0
        self._history = History()

    @property
    def version(self) -> str:
        """The version of the latest write."""
        return str(self._version)

    def stored(self, resource: str, namespace: str | None, name: str) -> Stored:
        """Return an object with its JSON, or raise NotFoundError."""
        found = self._tables.get(resource_of(resource).key, {}).get((namespace or "", name))
        if found is None:
            raise NotFoundError.of(resource, name)
        return found

    def stored_list(
        self, resource: str, namespace: str | None, labels: str | None = None, fields: str | None = None
    ) -> Entries:
        """Return what matches, by namespace and name."""
        table = self._tables.get(resource_of(resource).key, {})
        found: Iterable[tuple[tuple[str, str], Stored]] = table.items()
        if namespace is not None:
            found = (entry for entry in found if entry[0][0] == namespace)
        if labels or fields:
            chosen = selects(labels, fields)
            found = (entry for entry in found if chosen(entry[1].obj))
        return sorted(found, key=_by_key)

    async def get(self, resource: str, namespace: str | None, name: str) -> Object:
        """Return one object, or raise NotFoundError."""
        return self.stored(resource, namespace, name).obj

    async def list(
        self,
        resource: str,
        namespace: str | None = None,
        *,
        labels: str | None = None,
        fields: str | None = None,
    ) -> ObjectList:
        """List a resource, in one namespace or all, filtered by label and field selectors."""
        items = self.stored_list(resource, namespace, labels, fields)
        return ObjectList([stored.obj for _, stored in items], self.version)

    def dependents(self, uid: str) -> Places:
        """Return resource, namespace and name of what names this owner."""
        return sorted(self._dependents.get(uid, ()))

    def exists(self, uid: str) -> bool:
        """Whether an object of this uid is there."""
        return uid in self._uids

    def place_of(self, uid: str) -> Place | None:
        """Return where the object of this uid is, None if it is not there."""
        return self._uids.get(uid)

    def places(self) -> Places:
        """Return where everything is."""
        return list(self._uids.values())

    def has(self, resource: str, namespace: str | None, name: str) -> bool:
        """Whether an object of this name is there."""
        return (namespace or "", name) in self._tables.get(resource, {})

    def resources_with(self, namespace: str) -> Pairs:
        """Return resource and name of everything in a namespace."""
        return [
            (resource, key[1])
            for resource, table in self._tables.items()
            for key in table
            if key[0] == namespace
        ]

    def _fill(self, place: Place, stored: Stored) -> None:
        """Put in an object that was read from SQL."""
        resource, namespace, name = place
        self._tables.setdefault(resource, {})[namespace, name] = stored
        self._index(place, None, stored)

    def _begin(self, version: int) -> None:
        """Go on from the version of the latest write there ever was."""
        self._version = version
        self._history.start(version)

    def _take(self, change: Change) -> None:
        """Make a committed change visible, and tell the watchers."""
        place = (change.resource, change.namespace, change.name)
        self._version = change.after.version
        if change.type == "DELETED":
            self._tables[change.resource].pop(place[1:])
            self._index(place, change.before, None)
        else:
            self._tables.setdefault(change.resource, {})[place[1:]] = change.after
            self._index(place, change.before, change.after)
        self._history.publish(change)

    def _index(self, place: Place, before: Stored | None, after: Stored | None) -> None:
        if before is not None:
            self._uids.pop(before.obj["metadata"]["uid"], None)
            for owner in before.obj["metadata"].get("ownerReferences") or ():
                places = self._dependents.get(owner["uid"], set())
                places.discard(place)
                if not places:
                    self._dependents.pop(owner["uid"], None)
        if after is not None:
            self._uids[after.obj["metadata"]["uid"]] = place
            for owner in after.obj["metadata"].get("ownerReferences") or ():
                self._dependents.setdefault(owner["uid"], set()).add(place)

    # Watching

    def watch(self, *resources: str) -> AbstractAsyncContextManager[AsyncIterator[WatchEvent]]:
        """Watch resources (all when none are named) from now on: what happens after entering is seen.

        The iterator ends with GoneError when the watcher lags by more than 10,000 events.
        """
        return self._watch(frozenset(resource_of(name).key for name in resources), None, None, None, None)

    def watch_from(
        self,
        resource: str,
        version: str,
        *,
        namespace: str | None = None,
        labels: str | None = None,
        fields: str | None = None,
    ) -> AbstractAsyncContextManager[AsyncIterator[WatchEvent]]:
        """Watch one resource after `version`, with selectors; GoneError when that is too old."""
        return self._watch(
            frozenset({resource_of(resource).key}), self._number(version), namespace, labels, fields
        )

    def _number(self, version: str) -> int:
        """Read a version; one that has not been yet comes from another life of this server."""
        if not version.isdigit():
            raise BadRequestError(f"invalid resource version {version!r}")
        if int(version) > self._version:
            raise GoneError(f"too large resource version: {version}, current: {self._version}")
        return int(version)

    @asynccontextmanager
    async def _watch(
        self,
        resources: frozenset[str],
        version: int | None,
        namespace: str | None,
        labels: str | None,
        fields: str | None,
    ) -> AsyncIterator[AsyncIterator[WatchEvent]]:
        async with self._history.subscribe(resources, version) as subscription:
            yield events_of(subscription, namespace, selects(labels, fields))

    def subscribe(self, resource: str, version: str | None) -> AbstractAsyncContextManager[Subscription]:
        """Watch raw changes of one resource, for the API server, which encodes them itself."""
        since = None if version is None else self._number(version)
        return self._history.subscribe(frozenset({resource_of(resource).key}), since)
