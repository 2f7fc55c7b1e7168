"""A queue of keys to look at: each key once, never by two workers at a time, later or again with growing delay."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Generic, TypeVar

K = TypeVar("K")
FIRST_RETRY = 0.05
LAST_RETRY = 60.0


class WorkQueue(Generic[K]):
    """Keys that wait for a worker. Lives on one event loop; `add` never blocks.

    A key that is added while a worker has it comes round again once the worker is `done` with it.
    """

    def __init__(self, *, first_retry: float = FIRST_RETRY, last_retry: float = LAST_RETRY) -> None:
        self._first, self._last = first_retry, last_retry
        self._waiting: deque[K] = deque()
        self._dirty: set[K] = set()
        self._working: set[K] = set()
        self._failures: dict[K, int] = {}
        self._timers: dict[K, asyncio.TimerHandle] = {}
        self._there = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, key: K) -> None:
        """Let a worker look at the key soon."""
        if timer := self._timers.pop(key, None):
            timer.cancel()
        if key in self._dirty:
            return
        self._dirty.add(key)
        if key not in self._working:
            self._waiting.append(key)
            self._there.set()

    def add_after(self, key: K, seconds: float) -> None:
        """Let a worker look at the key after `seconds`; the earliest of several wins."""
        loop = asyncio.get_running_loop()
        due = loop.time() + max(0.0, seconds)
        timer = self._timers.get(key)
        if timer is not None and timer.when() <= due:
            return
        if timer is not None:
            timer.cancel()
        self._timers[key] = loop.call_at(due, self._due, key)

    def _due(self, key: K) -> None:
        self._timers.pop(key, None)
        self.add(key)

    def retry(self, key: K) -> float:
        """Let a worker try the key again, later each time; return in how many seconds."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        seconds = min(self._last, self._first * 2.0 ** min(failures, 30))
        self.add_after(key, seconds)
        return seconds

    def forget(self, key: K) -> None:
        """Let the next failure of the key be its first."""
        self._failures.pop(key, None)

    async def take(self) -> K:
        """Wait for a key. Whoever takes it calls `done` when finished with it."""
        while not self._waiting:
            self._there.clear()
            await self._there.wait()
        key = self._waiting.popleft()
        self._dirty.discard(key)
        self._working.add(key)
        return key

    def done(self, key: K) -> None:
        """Give the key back."""
        self._working.discard(key)
        if key in self._dirty:
            self._waiting.append(key)
            self._there.set()

    def close(self) -> None:
        """Cancel what is timed."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
