"""The throw-away server: the real parts over a data directory that nobody else has, as long as the runs last."""

from __future__ import annotations

import shutil
import time
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread

from windlass import pipelines
from windlass.identity import Identity
from windlass.pipelines.caches import Caches
from windlass.pipelines.plan import Planned
from windlass.pipelines.planner import Cause
from windlass.pipelines.reason import Reason
from windlass.repos import Git, Repositories
from windlass.repos.recording import baseline
from windlass.server.local.secrets import GivenSecrets
from windlass.server.local.snapshot import branches
from windlass.server.local.watch import Watch
from windlass.store import Store

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence
    from pathlib import Path

    from windlass.runner.client import ZygoteClient
    from windlass.server.local.checkout import Checkout
    from windlass.server.local.choose import Chosen
    from windlass.server.local.folders import Folders
    from windlass.server.local.options import Options
    from windlass.server.local.shells import Shells
    from windlass.server.local.snapshot import Snapshot
    from windlass.server.local.watch import Event
    from windlass.store import Transaction

ACTOR = "you"
RUNNABLE = ("[!wWmM]*", "[wW][!i]*", "[mM][!a]*", "w", "W", "m", "M")
"""What this machine takes for its own labels: all but those of Windows and macOS machines."""


class Session:
    """The parts of one `windlass run`, wired. `run` starts what was chosen and yields what happens."""

    def __init__(  # noqa: PLR0917 what it is made of
        self,
        folders: Folders,
        checkout: Checkout,
        options: Options,
        zygote: ZygoteClient,
        listener: socket.socket,
        shells: Shells | None = None,
    ) -> None:
        self._shells = shells
        self._folders = folders
        self._checkout = checkout
        self._options = options
        self._store = Store(folders.run / "windlass.db")
        self._shared = Store(folders.shared / "caches.db")
        self._identity = Identity(self._store)
        self._repositories = Repositories(self._store, folders.run / "repos")
        chosen: dict[str, Any] = {"capacity": options.capacity} if options.capacity else {}
        address = listener.getsockname()
        self._listener = listener
        self.settings = pipelines.Settings(
            directory=folders.run,
            server_url=f"http://{address[0]}:{address[1]}",
            isolation=options.isolation,
            engine=options.engine,
            variables=dict(options.variables),
            labels=RUNNABLE,
            actions_mirror=options.actions_mirror,
            runner_limit=-1.0,
            unserved="skipped",
            **chosen,
        )
        self.runs = pipelines.Pipelines(
            self._store,
            self._repositories,
            Git(self._repositories),
            self._identity,
            GivenSecrets(options.secrets),
            zygote,
            self.settings,
        )
        self.runs.caches = Caches(self._shared, self.settings)
        self._ids: tuple[int, ...] = ()

    async def run(
        self, snapshot: Snapshot, bare: Path, chosen: Sequence[Chosen], tell: Callable[[Event], None]
    ) -> None:
        """Run all that was chosen to its end, telling what happens. `bare` holds the snapshot and is moved away.

        Whatever ends this before the runs are over ends them too: no process of theirs stays behind.
        """
        async with self._going():
            await self._host(snapshot, bare)
            watch = Watch(self.runs, self._store, self.settings.jobs, tell)
            try:
                await watch.follow(lambda: self._start(snapshot, chosen))
                await self._settled()
            except BaseException:
                with anyio.CancelScope(shield=True):
                    await self.cancel(force=True)
                    await self._settled()
                raise

    @asynccontextmanager
    async def _going(self) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            stack.callback(self._shared.close)
            stack.callback(self._store.close)
            tasks = await stack.enter_async_context(anyio.create_task_group())
            tasks.start_soon(partial(self.runs.run, planning=False))
            tasks.start_soon(self._serve)
            if self._shells is not None:
                tasks.start_soon(self._shells.run)
            yield
            tasks.cancel_scope.cancel()

    async def _host(self, snapshot: Snapshot, bare: Path) -> None:
        """Let the repository of the snapshot be hosted under the name that it has on its forge."""
        name = self._checkout.repository
        await self._repositories.create(name, default_branch=self._checkout.default_branch)
        place = self._repositories.path(name)
        await anyio.to_thread.run_sync(shutil.rmtree, place)
        await anyio.Path(bare).rename(place)
        refs = branches(self._checkout, snapshot.sha)
        await self._store.transact(lambda tx: baseline(tx, name, refs))
        for value in dict.fromkeys(self._options.secrets.values()):
            # a checkout with a token of the person's own is a checkout of this very repository all the same
            await self._identity.adopt(value, "robot", "secret", [f"repo:read:{name}"])

    async def _start(self, snapshot: Snapshot, chosen: Sequence[Chosen]) -> list[Event]:
        """Make the runs, and return what is to be told of each first."""
        told: list[Event] = []
        for one in chosen:
            cause = Cause(
                self._checkout.repository,
                one.event,
                snapshot.sha,
                self._checkout.actor,
                snapshot.subject,
                None,
                one.inputs,
            )
            planned = Planned(one.file.path, one.file.source, one.file.parsed)
            [run] = await self.runs.start(cause, [planned], _settling(one.settled))
            self._ids = (*self._ids, run)
            told.append(_beginning(run, one, snapshot))
        return told

    async def cancel(self, *, force: bool = False) -> None:
        """Ask all runs to end: `always()` steps still run. With `force` everything ends at once."""
        for run in self._ids:
            try:
                await self.runs.cancel(run, actor=ACTOR, force=force)
            except pipelines.StateError:
                continue

    async def _settled(self) -> None:
        """Wait until the processes of all jobs are gone: they write to caches and clean up after themselves."""
        with anyio.move_on_after(self.settings.linger):
            while await self._store.read("jobs.living") or await self._store.read("jobs.uncleaned"):  # noqa: ASYNC110 cleaning up is not told of
                await anyio.sleep(0.01)

    async def _serve(self) -> None:
        """Answer jobs that ask for artifacts, caches and the repository. Before the first, nothing is loaded."""
        await anyio.wait_readable(self._listener)
        serving = await anyio.to_thread.run_sync(_load)
        await serving(self.runs, self._identity, self._repositories, self._listener)


def _settling(settled: Mapping[str, tuple[str, str]]) -> Any:
    """Return what records the jobs that are not to be run, in the transaction that makes their run."""

    def also(tx: Transaction, run: int) -> None:
        for key, (conclusion, text) in settled.items():
            row = {"id": f"{run}.{key}.1", "conclusion": conclusion, "outputs": "{}", "at": 0.0}
            tx.run("jobs.finish", reason=Reason("not-chosen", text).to_json(), **row)

    return also


def _beginning(run: int, one: Chosen, snapshot: Snapshot) -> Event:
    workflow = one.file.workflow
    return {
        "kind": "run.started",
        "at": time.time(),
        "run": run,
        "workflow": workflow.name,
        "path": workflow.path,
        "event": one.event.name,
        "ref": one.event.ref,
        "sha": snapshot.sha,
        "jobs": [
            {
                "job": f"{run}.{key}.1",
                "key": key,
                "name": key if "${{" in job.name else job.name,
                "needs": list(job.needs),
                "asked": key not in one.settled,
            }
            for key, job in workflow.jobs.items()
        ],
    }


def _load() -> Any:
    from windlass.server.local.serving import serve

    return serve
