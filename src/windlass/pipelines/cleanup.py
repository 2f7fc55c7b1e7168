"""What is done after a job's end, and what is thrown away in time."""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from windlass.pipelines.ingest import EVENTS
from windlass.pipelines.launch import SPEC
from windlass.pipelines.permissions import principal
from windlass.pipelines.process import KILL

if TYPE_CHECKING:
    from pathlib import Path

    from windlass.identity import Identity
    from windlass.pipelines.process import Processes
    from windlass.pipelines.records import Job
    from windlass.pipelines.settings import Settings
    from windlass.store import Store

KEPT = {SPEC, EVENTS, "log", "runner.log"}


def sweep(directory: Path) -> None:
    """Delete everything in a job's directory but its record and its logs."""
    if not directory.is_dir():
        return
    for entry in directory.iterdir():
        if entry.name in KEPT:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)


class Cleaner:
    """Ends what is left of finished jobs: token, process, work directory. Each may be done again."""

    def __init__(self, store: Store, identity: Identity, processes: Processes, settings: Settings) -> None:
        self._store = store
        self._identity = identity
        self._processes = processes
        self._settings = settings

    async def clean(self, job: Job) -> None:
        """Clean up after one job."""
        await self._identity.revoke(principal(job.id))
        if job.pid is not None and job.pid_started is not None:
            with anyio.move_on_after(self._settings.linger) as waited:
                await self._processes.gone(job.pid, job.pid_started)
            if waited.cancelled_caught:
                self._processes.signal(job.pid, job.pid_started, KILL, group=True)
                with anyio.move_on_after(5):
                    await self._processes.gone(job.pid, job.pid_started)
        await anyio.to_thread.run_sync(sweep, self._settings.jobs / job.id)
        await self._store.transact(lambda tx: tx.run("jobs.cleaned", id=job.id, at=time.time()))

    async def expire(self) -> int:
        """Delete runs older than the retention, with their logs and artifacts; returns how many."""
        rows = await self._store.read("pipelines.expired_runs", before=time.time() - self._settings.retention)
        for row in rows:
            await self.delete(row["id"])
        return len(rows)

    async def delete(self, run: int) -> None:
        """Delete one completed run: files first, so that a crash between leaves the row to do it again."""
        jobs = [row["id"] for row in await self._store.read("jobs.of_run", run=run)]
        paths = [self._settings.jobs / job for job in jobs] + [self._settings.artifacts / str(run)]

        def remove() -> None:
            for path in paths:
                shutil.rmtree(path, ignore_errors=True)

        await anyio.to_thread.run_sync(remove)

        def work(tx: object) -> None:
            if tx.run("pipelines.delete_run", run=run):  # type: ignore[attr-defined]
                tx.record("run.deleted", f"run/{run}")  # type: ignore[attr-defined]

        await self._store.transact(work)
