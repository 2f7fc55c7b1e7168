"""The hosted repositories: bare repositories in a folder, and what is known of them in the store."""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import anyio
import anyio.to_thread
import structlog

from windlass.repos import commands
from windlass.repos.errors import ReposError, RepositoryExistsError, RepositoryNotFoundError
from windlass.repos.events import RepoEvent, event_from_row
from windlass.repos.forges.records import Remote
from windlass.repos.importing import check_source, copy_from
from windlass.repos.names import branch_ref, repository_name, tree_path
from windlass.repos.parsing import parse_refs
from windlass.repos.process import run
from windlass.repos.recording import Recorder, baseline, push_from_row
from windlass.repos.records import Push, Repository

if TYPE_CHECKING:
    import builtins
    from pathlib import Path

    from windlass.repos.recording import Update
    from windlass.store import Store, Transaction

log = structlog.get_logger()
ABSORBERS = 4
FORGET = (
    "repo_events.delete",
    "pulls.forget",
    "releases.forget",
    "pulls.forget_merges",
    "pulls.forget_approvals",
    "pulls.forget_protections",
    "remotes.forget",
    "remotes.forget_deliveries",
    "remotes.forget_told",
)


class Repositories:
    """Bare repositories `root/OWNER/NAME.git`, their records and their pushes.

    Ledger: `repository.created`, `repository.deleted` (subject `repo/OWNER/NAME`), and for each ref update
    `push` with data `{id, ref, before, after, pusher, pusher_kind}`, in the same transaction as its row; for
    everything else that happens to a repository `forge.event` with `{id, name, action, ref}`.
    """

    def __init__(self, store: Store, root: Path) -> None:
        self._store = store
        self._root = root
        self._recorder = Recorder(store)
        self._creating = anyio.Lock()

    @property
    def root(self) -> Path:
        """The folder that holds all repositories."""
        return self._root

    def path(self, name: str) -> Path:
        """Return where the bare repository lies; `BadNameError` if `name` is not of the form `owner/name`."""
        return self._root / f"{repository_name(name)}.git"

    async def create(
        self, name: str, *, default_branch: str = "main", applications: str | None = None
    ) -> Repository:
        """Create an empty repository. `BadNameError`, `RepositoryExistsError`."""
        branch = branch_ref(default_branch).removeprefix("refs/heads/")
        async with self._creating:
            await self._check_free(name)
            fresh = await self._fresh(branch)
            return await self._settle(fresh, name, branch, applications, {})

    async def import_(
        self,
        source: str,
        name: str,
        *,
        credentials: tuple[str, str] | None = None,
        applications: str | None = None,
    ) -> Repository:
        """Create a repository with the branches and tags of another (`https://…` or a local path).

        `credentials` are user and password for `https`; they never stand in an argument vector, nor are
        they kept. Imported refs count as seen: they are no pushes. `ImportFailedError` leaves nothing.
        """
        url, found = check_source(source)
        await self._check_free(name)
        fresh = await self._fresh("main")
        try:
            branch = await copy_from(url, fresh, credentials or found)
        except BaseException:
            await _remove(fresh)
            raise
        _, output = await run(commands.refs(fresh))
        async with self._creating:
            await self._check_free(name)
            return await self._settle(fresh, name, branch, applications, parse_refs(output))

    async def _check_free(self, name: str) -> None:
        taken = await self._store.one("repos.like", folded=repository_name(name).lower())
        if taken:
            raise RepositoryExistsError(f"{taken['name']} is hosted here already. Choose another name.")

    async def _fresh(self, branch: str) -> Path:
        """Make an empty bare repository beside the others, from where it moves to its name in one step."""
        fresh = self._root / ".new" / uuid4().hex
        await anyio.Path(fresh.parent).mkdir(parents=True, exist_ok=True)
        await run(commands.init(fresh, branch))
        return fresh

    async def _settle(
        self, fresh: Path, name: str, branch: str, applications: str | None, refs: dict[str, str]
    ) -> Repository:
        folder = None if applications is None else tree_path(applications.strip("/"))
        repository = Repository(name, branch, folder, time.time())
        target = self.path(name)
        await anyio.to_thread.run_sync(self._move, fresh, target)

        def work(tx: Transaction) -> None:
            row: dict[str, Any] = {"name": name, "default_branch": branch, "applications": folder}
            tx.run("repos.create", **row, folded=name.lower(), created=repository.created)
            baseline(tx, name, refs)
            tx.record("repository.created", f"repo/{name}", **row)

        try:
            await self._store.transact(work)
        except BaseException:
            await _remove(target)
            raise
        return repository

    def _move(self, fresh: Path, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():
            # Known to no record: a crash between this move and the record. It is kept, out of the way.
            aside = self._root / ".orphans" / uuid4().hex
            aside.parent.mkdir(exist_ok=True)
            target.rename(aside)
            log.warning(
                "moved a folder that belongs to no repository aside", found=str(target), to=str(aside)
            )
        fresh.rename(target)

    async def get(self, name: str) -> Repository:
        """Return a repository, or raise `RepositoryNotFoundError`."""
        row = await self._store.one("repos.get", name=repository_name(name))
        if row is None:
            raise RepositoryNotFoundError(
                f"No repository {name} is hosted here. `windlass repo list` shows all, "
                f"`windlass repo create {name}` makes it."
            )
        return Repository(**row)

    async def list(self) -> list[Repository]:
        """Return all repositories by name."""
        return [Repository(**row) for row in await self._store.read("repos.list")]

    async def delete(self, name: str) -> None:
        """Delete a repository with its files and the record of its pushes; the ledger keeps its entries."""
        await self.get(name)

        def work(tx: Transaction) -> None:
            for query in ("repos.delete", "repos.delete_pushes", "repos.delete_refs"):
                tx.run(query, name=name)
            for query in FORGET:
                tx.run(query, repository=name)
            tx.record("repository.deleted", f"repo/{name}")

        await self._store.transact(work)
        trash = self._root / ".trash" / uuid4().hex
        await anyio.Path(trash.parent).mkdir(exist_ok=True)
        await anyio.Path(self.path(name)).rename(trash)
        self._recorder.forget(name)
        await _remove(trash)

    async def push(self, push_id: int) -> Push | None:
        """Return one push."""
        row = await self._store.one("repos.push", id=push_id)
        return push_from_row(row) if row else None

    async def pushes(
        self, name: str | None = None, *, after: int = 0, limit: int = 1000
    ) -> builtins.list[Push]:
        """Return pushes (of one repository if `name`) with an id greater than `after`, oldest first."""
        rows = await self._store.read("repos.pushes", repo=name, after=after, limit=limit)
        return [push_from_row(row) for row in rows]

    async def event(self, event_id: int) -> RepoEvent | None:
        """Return one event."""
        row = await self._store.one("repo_events.get", id=event_id)
        return event_from_row(row) if row else None

    async def events(
        self, name: str | None = None, *, after: int = 0, limit: int = 1000
    ) -> builtins.list[RepoEvent]:
        """Return events (of one repository if `name`) with an id greater than `after`, oldest first."""
        rows = await self._store.read("repo_events.after", repository=name, after=after, limit=limit)
        return [event_from_row(row) for row in rows]

    async def recorded_refs(self, name: str) -> dict[str, str]:
        """Return the branches and tags as the record has them: full ref to id. git may be a moment ahead."""
        return {row["ref"]: row["sha"] for row in await self._store.read("repos.refs", repo=name)}

    async def follows(self, name: str) -> str | None:
        """Return the address whose movements this repository follows; nobody pushes to one that does."""
        row = await self._store.one("remotes.get", repository=name)
        remote = Remote.of(row) if row else None
        return remote.url if remote and remote.follows else None

    async def push_rules(self, name: str) -> builtins.list[str]:
        """Return what the pre-receive hook goes by: lines `closed PATTERN` and `kept PATTERN` for branches.

        Nobody deletes what matches; `closed` branches are moved by pull requests only. `follows URL`: nothing is
        pushed, for it comes from there.
        """
        if place := await self.follows(name):
            return [f"follows {place}"]
        rows = await self._store.read("pulls.protections", repository=name)
        return [f"{'kept' if row['direct_pushes'] else 'closed'} {row['pattern']}" for row in rows]

    async def record(self, name: str, updates: builtins.list[Update]) -> builtins.list[Push]:
        """Record what one push moved (for `GitHTTP` and `GitWriter`) and return its records."""
        return await self._recorder.record(name, self.path(name), updates)

    async def record_changes(self, name: str) -> builtins.list[Push]:
        """Compare one repository's refs with the record, record what is missing, and return it."""
        return await self._recorder.absorb(name, self.path(name))

    async def record_unseen(self) -> builtins.list[Push]:
        """Compare the refs of all repositories with what was recorded, record what is new, and return it.

        To be called at start, when the hook's socket is open: finds ref updates whose event was lost
        (`kill -9` between update and record), each intermediate one with its pusher from the reflog. May be
        called again at any time. A repository that cannot be read is logged, and does not stop the others.
        """
        for left in (".new", ".trash"):
            await _remove(self._root / left)
        found: builtins.list[Push] = []
        limiter = anyio.CapacityLimiter(ABSORBERS)

        async def absorb(name: str) -> None:
            async with limiter:
                try:
                    found.extend(await self.record_changes(name))
                except (ReposError, OSError, ValueError):
                    log.exception("could not compare a repository with the record", repo=name)

        async with anyio.create_task_group() as tasks:
            for repository in await self.list():
                tasks.start_soon(absorb, repository.name)
        return sorted(found, key=lambda push: push.id)

    async def maintain(self, name: str) -> None:
        """Let git pack what is loose, where there is much of it. Slow; safe beside pushes."""
        await self.get(name)
        await run(commands.collect_garbage(self.path(name)))


async def _remove(path: Path) -> None:
    await anyio.to_thread.run_sync(lambda: shutil.rmtree(path, ignore_errors=True))
