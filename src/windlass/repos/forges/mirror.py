"""Fetches from a forge, and moves our refs as the forge's have moved."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING
from uuid import uuid4

import anyio

from windlass.repos import commands
from windlass.repos.errors import GitError, ReposError
from windlass.repos.forges.moves import Move, hops, plan_moves
from windlass.repos.git import Git
from windlass.repos.importing import fetch_environment
from windlass.repos.names import SHA
from windlass.repos.parsing import parse_refs
from windlass.repos.process import environment, run
from windlass.repos.recording import Update, committer
from windlass.repos.records import ZERO

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from windlass.repos.forges.records import Remote
    from windlass.repos.forges.remotes import Credential
    from windlass.repos.records import Push
    from windlass.repos.repositories import Repositories
    from windlass.repos.webhooks import RemotePush

FETCH_SECONDS = 900.0
LIST_SECONDS = 60.0
MAX_REFS = 50_000
BRANCHES_AND_TAGS = ("refs/heads/*", "refs/tags/*")
SPECS = ("+refs/heads/*:refs/forge/heads/*", "+refs/tags/*:refs/forge/tags/*")


class ForgeError(ReposError):
    """The forge does not answer, or not as it should."""


class ApartError(ReposError):
    """Branches here have commits that the forge's have not."""


class Mirror:
    """One look at a time for each repository; who calls sees to that."""

    def __init__(self, repositories: Repositories) -> None:
        self._repositories = repositories
        self._git = Git(repositories)

    async def there(self, remote: Remote, credential: Credential | None, *patterns: str) -> dict[str, str]:
        """List the forge's refs: full ref to id."""
        env = fetch_environment(remote.url, credential)
        argv = commands.ls_remote(remote.url, *(patterns or BRANCHES_AND_TAGS))
        try:
            with anyio.fail_after(LIST_SECONDS):
                _, output = await run(argv, env=env)
        except TimeoutError:
            raise ForgeError(f"{remote.url} did not answer within {LIST_SECONDS:.0f} s.") from None
        except GitError as error:
            raise ForgeError(f"{remote.url} cannot be read. {error}") from None
        return {ref: sha for ref, sha in parse_refs(output).items() if SHA.fullmatch(sha)}

    async def fetch(self, remote: Remote, credential: Credential | None, specs: Iterable[str]) -> None:
        """Fetch refs; every object is checked."""
        env = fetch_environment(remote.url, credential)
        argv = commands.fetch_into(self._repositories.path(remote.repository), remote.url, specs)
        try:
            with anyio.fail_after(FETCH_SECONDS):
                await run(argv, env=env)
        except TimeoutError:
            raise ForgeError(f"{remote.url} did not arrive within {FETCH_SECONDS:.0f} s.") from None
        except GitError as error:
            raise ForgeError(f"{remote.url} could not be fetched. {error}") from None

    async def _refs(self, path: Path, prefix: str) -> dict[str, str]:
        _, output = await run(commands.refs_under(path, f"{prefix}heads", f"{prefix}tags"))
        return {f"refs/{ref.removeprefix(prefix)}": sha for ref, sha in parse_refs(output).items()}

    async def follow(
        self, remote: Remote, credential: Credential | None, told: Sequence[RemotePush]
    ) -> list[Push]:
        """Bring our branches and tags to where the forge's are, and record each movement as a push.

        Who pushed is who the forge told of, of the kind `forge`. `ApartError` where ours have commits of their
        own: they stay, everything else has moved.
        """
        repo, path = remote.repository, self._repositories.path(remote.repository)
        there = await self.there(remote, credential)
        if len(there) > MAX_REFS:
            raise ForgeError(
                f"{remote.url} has {len(there)} branches and tags; at most {MAX_REFS} are followed."
            )
        agreed = await self._refs(path, "refs/agreed/")
        if there == agreed:
            return []
        await self.fetch(remote, credential, SPECS)
        there, local = await self._refs(path, "refs/forge/"), await self._refs(path, "refs/")
        doubtful = [
            ref for ref in there if ref in local and len({local[ref], agreed.get(ref), there[ref]}) == 3
        ]
        inside = {ref for ref in doubtful if await self._git.is_ancestor(repo, local[ref], there[ref])}
        ahead = {(local[ref], there[ref]) for ref in inside}
        moves = plan_moves(local, agreed, there, lambda ours, theirs: (ours, theirs) in ahead)
        pushes = await self._apply(remote, moves, told)
        if apart := [move.ref for move in moves if move.what == "apart"]:
            raise ApartError(
                f"{', '.join(apart[:5])} moved here and on {remote.host}, and stay as they are here: push them to "
                f"{remote.url}, or `windlass repo unfollow {repo}`."
            )
        return pushes

    async def _apply(self, remote: Remote, moves: Sequence[Move], told: Sequence[RemotePush]) -> list[Push]:
        """Move refs and what is agreed together, one transaction for each pusher; then record."""
        repo = remote.repository
        agreed = [move for move in moves if move.what == "agree"]
        if agreed:
            await self._write(repo, agreed, "forge", uuid4().hex)
        by_pusher: defaultdict[str, list[tuple[Move, list[tuple[str, str, str]]]]] = defaultdict(list)
        for move in moves:
            if move.what == "move":
                way = await self._hops(remote, move, told)
                by_pusher[way[-1][2]].append((move, way))
        pushes = []
        for pusher, found in by_pusher.items():
            session = uuid4().hex
            with anyio.CancelScope(shield=True):
                await self._write(repo, [move for move, _ in found], pusher, session)
                pushes += await self._record(repo, session, found)
        return pushes

    async def _record(
        self, repo: str, session: str, found: Sequence[tuple[Move, list[tuple[str, str, str]]]]
    ) -> list[Push]:
        """Record the pushes of one movement: the last hop bears the session that stands in the reflog."""
        updates = []
        for move, way in found:
            for number, (before, after, pusher) in enumerate(way, 1):
                name = session if number == len(way) else f"{session}:{number}"
                updates.append(Update(move.ref, before, after, pusher, "forge", name))
        return await self._repositories.record(repo, updates)

    async def _hops(
        self, remote: Remote, move: Move, told: Sequence[RemotePush]
    ) -> list[tuple[str, str, str]]:
        mine = [push for push in told if push.ref == move.ref][-100:]
        on_the_way = {
            push.after
            for push in mine
            if SHA.fullmatch(push.after)
            and ZERO not in {push.after, move.after}
            and await self._git.is_ancestor(remote.repository, push.after, move.after)
        }
        found = hops(move, mine, remote.host, on_the_way.__contains__)
        return [(hop.before, hop.after, hop.pusher) for hop in found]

    async def _write(self, repo: str, moves: Sequence[Move], pusher: str, session: str) -> None:
        lines = []
        for move in moves:
            agreed = f"refs/agreed/{move.ref.removeprefix('refs/')}"
            if move.what == "move":
                lines.append(_line(move.ref, move.after, move.before))
            lines.append(_line(agreed, move.after, None))
        env = environment(committer("forge", pusher, session))
        argv = commands.update_refs(self._repositories.path(repo))
        await run(argv, stdin="".join(lines).encode(errors="surrogateescape"), env=env)


def _line(ref: str, new: str, old: str | None) -> str:
    """Return one line of `update-ref -z --stdin`."""
    if new == ZERO:
        return f"delete {ref}\0{'' if old is None else old}\0"
    return f"update {ref}\0{new}\0{'' if old is None else old}\0"
