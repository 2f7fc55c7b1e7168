"""Logs for readers: from the end, whole, or followed while steps write them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from windlass.pipelines.errors import NotFoundError
from windlass.pipelines.logfiles import read_block, tail_offset
from windlass.pipelines.records import Job

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from windlass.pipelines.settings import Settings
    from windlass.store import Store

FALLBACK = 0.25  # seconds; what a follower waits at most for lines whose writer sent no nudge


@dataclass(frozen=True, slots=True)
class LogFile:
    """One log: of which step it is, where it lies, how many bytes it has."""

    step: int
    path: Path
    size: int


class Followers:
    """Who follows which job's logs. The nudges of the job wake them."""

    def __init__(self) -> None:
        self._events: dict[str, anyio.Event] = {}

    def wake(self, job: str) -> None:
        """Wake the followers of a job; all of them for an empty id."""
        for key in [job] if job else list(self._events):
            if event := self._events.pop(key, None):
                event.set()

    def ticket(self, job: str) -> anyio.Event:
        """Return an event for the job's next nudge. To be taken before reading, so that no nudge is missed."""
        return self._events.setdefault(job, anyio.Event())


class Logs:
    """Reads `jobs/ID/log/NNN.log`. Holds at most a block of it in memory."""

    def __init__(self, store: Store, settings: Settings, followers: Followers) -> None:
        self._store = store
        self._settings = settings
        self._followers = followers

    def directory(self, job: str) -> Path:
        """Where a job's logs lie."""
        return self._settings.jobs / job / "log"

    async def index(self, job: str) -> list[LogFile]:
        """Return the logs that a job has so far, in the order of its steps."""
        return await anyio.to_thread.run_sync(_index, self.directory(job))

    async def read(
        self, run: int, job: str, step: int | None = None, *, follow: bool = False, tail: int | None = None
    ) -> AsyncIterator[bytes]:
        """Yield a job's log in blocks of whole lines; of all its steps in order where `step` is None.

        `job` is its id or, in the run's latest attempt, its key. `tail` begins that many lines before the
        end of the (last) log. With `follow` it goes on until the job is over. Raises `NotFoundError`.
        """
        found = await self.find(run, job)
        directory = self.directory(found.id)
        number = step if step is not None else await self._first(found.id, tail)
        offset = await self._start(directory, number, tail)
        while True:
            ticket = self._followers.ticket(found.id)
            over = not follow or await self._over(found.id, step)
            block = await anyio.to_thread.run_sync(read_block, _path(directory, number), offset)
            if block:
                offset += len(block)
                yield block
            elif (
                step is None
                and (following := await anyio.to_thread.run_sync(_next, directory, number)) is not None
            ):
                number, offset = following, 0
            elif over:
                return
            else:
                with anyio.move_on_after(FALLBACK):
                    await ticket.wait()

    async def find(self, run: int, job: str) -> Job:
        """Return a job by its id, or by its key in the run's latest attempt. Raises `NotFoundError`."""
        rows = await self._store.read("jobs.of_run", run=run)
        for row in sorted(rows, key=lambda row: -row["attempt"]):
            if job in {row["id"], row["key"]}:
                return Job.of(row)
        raise NotFoundError(f"run {run} has no job {job!r}: see `windlass runs show {run}`")

    async def _first(self, job: str, tail: int | None) -> int:
        index = await self.index(job)
        return 0 if not index else index[-1].step if tail is not None else index[0].step

    @staticmethod
    async def _start(directory: Path, number: int, tail: int | None) -> int:
        if tail is None:
            return 0
        return await anyio.to_thread.run_sync(tail_offset, _path(directory, number), tail)

    async def _over(self, job: str, step: int | None) -> bool:
        row = await self._store.one("jobs.job", id=job)
        if row is None or row["status"] == "completed":
            return True
        if step is None:
            return False
        own = await self._store.one("jobs.step", job=job, step=step)
        return own is not None and own["status"] == "completed"


def _path(directory: Path, step: int) -> Path:
    return directory / f"{step:03d}.log"


def _index(directory: Path) -> list[LogFile]:
    if not directory.is_dir():
        return []
    paths = sorted(path for path in directory.glob("*.log") if path.stem.isdecimal())
    return [LogFile(int(path.stem), path, path.stat().st_size) for path in paths]


def _next(directory: Path, after: int) -> int | None:
    return next((item.step for item in _index(directory) if item.step > after), None)
