"""The feed: what was just committed to the ledger, handed to whoever waits for it."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Self

import anyio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from types import TracebackType

BACKLOG = 10_000


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the ledger. `at` is in seconds since the epoch."""

    id: int
    at: float
    kind: str
    subject: str
    actor: str
    data: Mapping[str, Any]


class Feed:
    """One subscriber's view of the ledger, from the moment it subscribed.

    Controllers are level-triggered: an entry wakes them, the state tells them what to do. A subscriber
    that lags by more than `BACKLOG` entries loses the oldest; who needs all of them reads `ledger.since`.
    It lives on the event loop on which it was entered.
    """

    def __init__(self, kinds: tuple[str, ...], subscribers: set[Feed]) -> None:
        self._kinds = kinds
        self._subscribers = subscribers
        self._entries: deque[Entry] = deque(maxlen=BACKLOG)
        self._wake = anyio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def __enter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._subscribers.add(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._subscribers.discard(self)

    def offer(self, entry: Entry) -> None:
        """Take the entry if its kind matches one of the patterns (`fnmatch`); none means all."""
        if not self._kinds or any(fnmatchcase(entry.kind, pattern) for pattern in self._kinds):
            self._entries.append(entry)
            self._wake.set()

    def offer_threadsafe(self, entries: list[Entry]) -> None:
        """`offer` from another thread."""
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop has just been closed: nobody is left to hear it
                for entry in entries:
                    self._loop.call_soon_threadsafe(self.offer, entry)

    async def next(self) -> Entry:
        """Wait for the next entry."""
        while not self._entries:
            self._wake = anyio.Event()
            await self._wake.wait()
        return self._entries.popleft()

    async def wait(self, timeout: float | None = None) -> list[Entry]:
        """Wait until something is there (or `timeout` seconds passed) and take all of it."""
        with anyio.move_on_after(timeout):
            first = await self.next()
            rest = list(self._entries)
            self._entries.clear()
            return [first, *rest]
        return []

    async def __aiter__(self) -> AsyncIterator[Entry]:
        while True:
            yield await self.next()
