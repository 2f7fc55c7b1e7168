"""What has just happened, for watchers: a bounded ring of changes in the order of their versions."""

from __future__ import annotations

from collections import deque
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anyio

from windlass.kube.errors import GoneError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

Object = dict[str, Any]
KEPT = 20_000
BACKLOG = 10_000


@dataclass(frozen=True, slots=True)
class Stored:
    """One version of one object, with its JSON, so that it is encoded once however often it is read."""

    obj: Object
    encoded: bytes
    version: int


@dataclass(frozen=True, slots=True)
class Change:
    """One committed write. `before` is None for ADDED; for DELETED `after` is the last state."""

    type: str
    resource: str
    namespace: str
    name: str
    before: Stored | None
    after: Stored


class Subscription:
    """What one watcher has yet to see. Lags it by more than `BACKLOG` changes, it is ended with GoneError."""

    def __init__(self, resources: frozenset[str], first: list[Change]) -> None:
        self._resources = resources
        self._waiting: deque[Change] = deque(first)
        self._wake = anyio.Event()
        self._lost = False

    def offer(self, change: Change) -> None:
        """Take the change if it is about one of the watched resources."""
        if self._resources and change.resource not in self._resources:
            return
        if len(self._waiting) >= BACKLOG:
            self._lost = True
        else:
            self._waiting.append(change)
        self._wake.set()

    @property
    def idle(self) -> bool:
        """Whether the watcher has seen everything."""
        return not self._waiting and not self._lost

    async def take(self) -> list[Change]:
        """Wait until something has happened and return all of it."""
        while not self._waiting and not self._lost:
            self._wake = anyio.Event()
            await self._wake.wait()
        if self._lost:
            raise GoneError(f"this watch fell behind by more than {BACKLOG} changes: list and watch again")
        changes = list(self._waiting)
        self._waiting.clear()
        return changes


class History:
    """The latest changes, and who watches."""

    def __init__(self) -> None:
        self._changes: deque[Change] = deque(maxlen=KEPT)
        self._subscriptions: set[Subscription] = set()
        self._oldest = 0

    def start(self, version: int) -> None:
        """Begin after `version`: what came before it cannot be replayed."""
        self._oldest = version

    def publish(self, change: Change) -> None:
        """Append a change and wake its watchers."""
        if len(self._changes) == KEPT:
            self._oldest = self._changes[0].after.version
        self._changes.append(change)
        for subscription in self._subscriptions:
            subscription.offer(change)

    def since(self, version: int) -> Iterator[Change]:
        """Yield the changes after `version`; GoneError when they are no longer all here."""
        if version < self._oldest:
            raise GoneError(f"too old resource version: {version} ({self._oldest})")
        return (change for change in self._changes if change.after.version > version)

    @asynccontextmanager
    async def subscribe(
        self, resources: frozenset[str], version: int | None = None
    ) -> AsyncIterator[Subscription]:
        """Watch the resources (all if empty) from now, or from just after `version`."""
        first = []
        if version is not None:
            first = [c for c in self.since(version) if not resources or c.resource in resources]
        subscription = Subscription(resources, first)
        self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)
