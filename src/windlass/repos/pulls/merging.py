"""Merges in bare repositories, by git's plumbing: no work tree, no index, no hooks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from windlass.repos import commands
from windlass.repos.errors import MergeBlockedError, PullStateError
from windlass.repos.process import environment, run
from windlass.repos.records import ZERO

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from windlass.repos.git import Git
    from windlass.repos.records import Commit, Identity
    from windlass.repos.repositories import Repositories

MAX_REBASED = 250
MAX_CONFLICTS = 100
"""Paths of a conflict that are kept."""


@dataclass(frozen=True, slots=True)
class Tried:
    """What merging two commits gives: a tree, or the paths that conflict."""

    tree: str
    conflicts: tuple[str, ...]


class Merging:
    """Makes commits; moves only `refs/pull/*`."""

    def __init__(self, repositories: Repositories, git: Git) -> None:
        self._repositories = repositories
        self._git = git

    def _path(self, repo: str) -> Path:
        return self._repositories.path(repo)

    async def base_of(self, repo: str, one: str, other: str) -> str | None:
        """Return the best common ancestor of two commits, or None."""
        code, output = await run(commands.merge_base(self._path(repo), one, other), accept=(0, 1))
        return output.decode().strip() if code == 0 else None

    async def try_merge(self, repo: str, ours: str, theirs: str) -> Tried:
        """Merge two commits that have a common ancestor into a tree."""
        code, output = await run(commands.merge_tree(self._path(repo), ours, theirs), accept=(0, 1))
        tree, *paths = output.decode(errors="surrogateescape").split("\0")
        if code == 0:
            return Tried(tree, ())
        found = tuple(dict.fromkeys(path for path in paths if path))
        return Tried("", found[:MAX_CONFLICTS] or ("(the whole tree)",))

    async def test_commit(self, repo: str, base: str, head: str, tree: str) -> str:
        """Make what `refs/pull/N/merge` holds. The same two commits give the same id, whenever it is made."""
        dates = [(await self._git.log(repo, sha, limit=1))[0].date for sha in (base, head)]
        date = f"@{int(max(dates))} +0000"
        who = people("Windlass", "windlass@localhost", date)
        return await self._commit(repo, tree, (base, head), f"Merge {head} into {base}\n", who)

    async def merge_commit(self, repo: str, base: str, head: str, message: str, who: Identity) -> str:
        """Make a merge of `head` into `base`; `MergeBlockedError` where they conflict."""
        tree = await self._clean(repo, base, head)
        return await self._commit(repo, tree, (base, head), message, people(who.name, who.email))

    async def squash_commit(self, repo: str, base: str, head: str, message: str, who: Identity) -> str:
        """Make one commit on `base` of all that `head` changes; `MergeBlockedError` where they conflict."""
        tree = await self._clean(repo, base, head)
        return await self._commit(repo, tree, (base,), message, people(who.name, who.email))

    async def rebase(self, repo: str, base: str, head: str, who: Identity) -> str:
        """Put the commits that `head` has and `base` has not on `base`, and return the last.

        Their authors and messages are kept, `who` becomes their committer. `PullStateError` for merges among them.
        """
        argv = commands.commits_between(self._path(repo), base, head, MAX_REBASED + 1)
        lines = [line.split() for line in (await run(argv))[1].decode().splitlines()]
        if len(lines) > MAX_REBASED or any(len(line) != 2 for line in lines):
            raise PullStateError(
                f"It cannot be rebased: it has merges, a root, or more than {MAX_REBASED} commits. "
                "Merge it with --squash or as a merge commit."
            )
        tip = base
        for sha, parent in lines:
            tip = await self._pick(repo, tip, sha, parent, who)
        return tip

    async def _pick(self, repo: str, tip: str, sha: str, parent: str, who: Identity) -> str:
        """Put one commit on `tip`.

        git 2.39 cannot be told the merge base, so commits are made whose history is just that: the parent's tree,
        and on it the tip's and the commit's.
        """
        if parent == tip:
            return sha
        neutral = people("Windlass", "windlass@localhost", "@0 +0000")
        old, ours, theirs = [await self._tree(repo, one) for one in (parent, tip, sha)]
        root = await self._commit(repo, old, (), "base\n", neutral)
        sides = [await self._commit(repo, tree, (root,), "side\n", neutral) for tree in (ours, theirs)]
        tried = await self.try_merge(repo, *sides)
        commit = await self._git.commit_info(repo, sha)
        if tried.conflicts:
            listed = ", ".join(tried.conflicts[:5])
            raise MergeBlockedError(
                f"{sha[:12]} ({commit.subject[:80]}) conflicts in {listed} when it is put on {tip[:12]}. "
                "Rebase the branch yourself and push it, or merge with --squash."
            )
        env = _authored(commit, who)
        return await self._commit(repo, tried.tree, (tip,), f"{commit.subject}\n\n{commit.body}\n", env)

    async def _clean(self, repo: str, base: str, head: str) -> str:
        tried = await self.try_merge(repo, base, head)
        if tried.conflicts:
            raise MergeBlockedError(f"The two conflict in {', '.join(tried.conflicts[:5])}.")
        return tried.tree

    async def _tree(self, repo: str, sha: str) -> str:
        return (await run(commands.tree_of(self._path(repo), sha)))[1].decode().strip()

    async def _commit(
        self, repo: str, tree: str, parents: Sequence[str], message: str, who: Mapping[str, str]
    ) -> str:
        argv = commands.commit_with(self._path(repo), tree, parents)
        _, output = await run(argv, stdin=message.encode(errors="replace"), env=environment(who))
        return output.decode().strip()

    async def set_refs(self, repo: str, refs: Mapping[str, str]) -> None:
        """Make refs under `refs/pull/` hold these commits (`ZERO`: gone), whatever they held; all or none."""
        lines = [f"update {ref}\0{sha}\0\0" for ref, sha in refs.items() if sha != ZERO]
        lines += [f"delete {ref}\0\0" for ref, sha in refs.items() if sha == ZERO]
        env = environment(people("windlass", "windlass@localhost"))
        await run(commands.update_refs(self._path(repo)), stdin="".join(lines).encode(), env=env)


def people(name: str, email: str, date: str | None = None) -> dict[str, str]:
    """Return the environment that makes somebody author and committer."""
    both = {
        f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER") for what, value in _who(name, email)
    }
    return both | ({"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date} if date else {})


def _who(name: str, email: str) -> tuple[tuple[str, str], ...]:
    return ("NAME", name), ("EMAIL", email)


def _authored(commit: Commit, who: Identity) -> dict[str, str]:
    author = {
        "GIT_AUTHOR_NAME": commit.author.name or "unknown",
        "GIT_AUTHOR_EMAIL": commit.author.email,
        "GIT_AUTHOR_DATE": f"@{int(commit.date)} +0000",
    }
    return people(who.name, who.email) | author
