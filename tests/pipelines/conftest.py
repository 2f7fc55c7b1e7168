from __future__ import annotations

import os
import subprocess
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import anyio
import pytest

from windlass.identity import Identity, Principal, Secrets
from windlass.pipelines import FakeLauncher, Pipelines, Settings
from windlass.pipelines.occurrences import Occurrence
from windlass.repos import ZERO, Git, Repositories
from windlass.repos.recording import Update

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
    from pathlib import Path

    from windlass.pipelines import FakeJob, Run, RunDetail
    from windlass.store import Store
    from windlass.workflow.jobs import JobSpec

ENV = {
    **os.environ,
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "Anna",
    "GIT_AUTHOR_EMAIL": "anna@acme.test",
    "GIT_COMMITTER_NAME": "Anna",
    "GIT_COMMITTER_EMAIL": "anna@acme.test",
}


class House:
    """A server's worth of rooms over one store, with a real bare repository and scripted job processes."""

    def __init__(self, store: Store, tmp_path: Path) -> None:
        self.store = store
        self.data = tmp_path
        self.repositories = Repositories(store, tmp_path / "repos")
        self.git = Git(self.repositories)
        self.identity = Identity(store)
        self.secrets = Secrets(store, tmp_path / "keys" / "secrets.key")
        self.launcher = FakeLauncher()
        self.settings = self.settle()
        self.work = tmp_path / "checkout"
        self.clock: Callable[[], float] = time.time

    def settle(self, **changes: Any) -> Settings:
        defaults: dict[str, Any] = {
            "capacity": 4,
            "resync": 0.5,
            "linger": 0.5,
            "isolation": "host",
            "engine": "fake",
        }
        self.settings = Settings(self.data, **(defaults | changes))
        return self.settings

    def pipelines(self) -> Pipelines:
        return Pipelines(
            self.store,
            self.repositories,
            self.git,
            self.identity,
            self.secrets,
            self.launcher,
            self.settings,
            processes=self.launcher,
            clock=self.clock,
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Pipelines]:
        """A server that is up; leaving it is a `kill -9`: nothing is told, nothing is waited for."""
        pipelines = self.pipelines()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(pipelines.run)
            yield pipelines
            tasks.cancel_scope.cancel()

    async def repository(self, name: str = "acme/app") -> None:
        await self.repositories.create(name)
        self.run_git("init", "-q", "-b", "main", str(self.work), cwd=self.data)
        self.run_git("remote", "add", "origin", str(self.repositories.path(name)))

    def run_git(self, *argv: str, cwd: Path | None = None) -> str:
        done = subprocess.run(
            ["git", *argv], cwd=cwd or self.work, env=ENV, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    async def push(
        self,
        files: Mapping[str, str],
        message: str = "A change",
        *,
        branch: str = "main",
        pusher: tuple[str, str] = ("user", "anna"),
        force: bool = False,
    ) -> int:
        """Commit, push, record; returns the push's id."""
        for name, text in files.items():
            path = self.work / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.run_git("add", "-A")
        self.run_git("commit", "-q", "--allow-empty", "-m", message)
        self.run_git("push", "-q", *(["-f"] if force else []), "origin", f"HEAD:refs/heads/{branch}")
        return await self.record(pusher)

    @staticmethod
    async def until(check: Callable[[], Awaitable[Any]], seconds: float = 10.0) -> Any:
        """Wait for a truthy answer."""
        begin = time.monotonic()
        while not (answer := await check()):
            assert time.monotonic() - begin < seconds, f"not within {seconds} s"
            await anyio.sleep(0.01)
        return answer

    async def over(self, pipelines: Pipelines, run: int = 1, seconds: float = 10.0) -> RunDetail:
        """Wait for the run's end."""

        async def check() -> bool:
            found = await pipelines.run_record(run)
            return found is not None and found.status == "completed"

        await self.until(check, seconds)
        return await pipelines.detail(run)

    async def commit(
        self,
        files: Mapping[str, str | None] | None = None,
        *,
        branch: str = "main",
        message: str = "A change",
        pusher: tuple[str, str] = ("user", "anna"),
    ) -> str:
        """Commit and push as an authenticated principal, as the git server records it; returns the commit.

        A file whose text is None is deleted.
        """
        for name, text in (files or {}).items():
            path = self.work / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            if text is not None:
                path.write_text(text)
        self.run_git("add", "-A")
        self.run_git("commit", "-q", "--allow-empty", "-m", message)
        await self.move(f"refs/heads/{branch}", "HEAD", pusher=pusher)
        return self.run_git("rev-parse", "HEAD")

    async def move(self, ref: str, to: str, *, pusher: tuple[str, str] = ("user", "anna")) -> None:
        """Push one ref (`to` empty: delete it) and record it."""
        before = (await self.git.refs("acme/app")).get(ref, ZERO)
        self.run_git("push", "-q", "-f", "origin", f"{to}:{ref}")
        after = (await self.git.refs("acme/app")).get(ref, ZERO)
        kind, name = pusher
        update = Update(ref, before, after, pusher=name, pusher_kind=kind, session=uuid4().hex)
        await self.repositories.record("acme/app", [update])

    async def planned(self, event: str, count: int = 1) -> list[Occurrence]:
        """Wait until so many occurrences of the event are planned; returns them, oldest first."""

        async def found() -> list[Occurrence]:
            rows = await self.store.read("occurrences.list", repository=None, before=None, limit=500)
            done = [Occurrence.of(row) for row in reversed(rows) if row["event"] == event]
            return done if len(done) >= count and all(item.planned_at for item in done) else []

        return await self.until(found)  # type: ignore[no-any-return]

    @staticmethod
    async def runs_of(pipelines: Pipelines, event: str) -> list[Run]:
        """Return the runs that an event started, oldest first."""
        return [run for run in reversed(await pipelines.runs()) if run.event == event]

    async def spec(self, run: int, job: str = "it") -> JobSpec:
        """Wait until a run's job has started, and return what it was told."""

        async def started() -> FakeJob | None:
            return self.launcher.jobs.get(f"{run}.{job}.1")

        return (await self.until(started)).spec  # type: ignore[no-any-return]

    async def record(self, pusher: tuple[str, str] = ("user", "anna")) -> int:
        kind, name = pusher
        pushes = await self.repositories.record_unseen()
        if (kind, name) != ("user", "anna"):
            raise AssertionError(Principal(kind, name))  # type: ignore[arg-type]
        return pushes[-1].id


@pytest.fixture
async def house(store: Store, tmp_path: Path) -> AsyncIterator[House]:
    made = House(store, tmp_path)
    async with made.launcher:
        yield made
