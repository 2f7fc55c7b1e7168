"""Reading hosted repositories through the git command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from windlass.repos import commands
from windlass.repos.errors import RepositoryNotFoundError, RevisionNotFoundError, TooLargeError
from windlass.repos.export import write_tree_to
from windlass.repos.names import SHA, revision, tree_path
from windlass.repos.parsing import parse_commits, parse_names, parse_refs, parse_tree
from windlass.repos.process import run
from windlass.repos.records import ZERO

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from windlass.repos.records import Commit, TreeEntry
    from windlass.repos.repositories import Repositories

EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"


class Git:
    """Reads hosted repositories. Safe to share between tasks; every method is one or two git processes.

    `repo` is `owner/name`. `rev` is a commit id, a branch, a tag or a full ref; nothing else, no
    expressions. Paths are from the repository's root. A name of the wrong form raises `BadNameError`, a
    repository that is not there `RepositoryNotFoundError`, a git that fails `GitError`.
    """

    def __init__(self, repositories: Repositories) -> None:
        self._repositories = repositories

    def _path(self, repo: str) -> Path:
        path = self._repositories.path(repo)
        if not path.is_dir():
            raise RepositoryNotFoundError(f"No repository {repo} is hosted here.")
        return path

    async def resolve(self, repo: str, rev: str) -> str | None:
        """Return the full id of the commit that `rev` names, or None."""
        code, output = await run(commands.resolve(self._path(repo), revision(rev)), accept=(0, 1, 128))
        return output.decode().strip() if code == 0 else None

    async def _sha(self, repo: str, rev: str) -> str:
        """Resolve a name; a full id is taken as it is (git itself says if it is not there)."""
        if SHA.fullmatch(rev):
            return rev
        sha = await self.resolve(repo, rev)
        if sha is None:
            raise RevisionNotFoundError(f"{repo} has no commit, branch or tag {rev!r}.")
        return sha

    async def read_file(self, repo: str, rev: str, path: str, *, limit: int = 16 << 20) -> bytes | None:
        """Return a file's content, or None if it is not there. Over `limit` bytes: `TooLargeError`."""
        return (await self.read_files(repo, rev, [path], limit=limit)).get(tree_path(path))

    async def read_files(
        self, repo: str, rev: str, paths: Iterable[str], *, limit: int = 64 << 20
    ) -> dict[str, bytes]:
        """Return the content of those of `paths` that are files at `rev`; all of it at most `limit` bytes."""
        wanted = [path for path in map(tree_path, paths) if path and "\n" not in path]
        if not wanted:
            return {}
        rev = revision(rev)
        request = "".join(f"{rev}:{path}\n" for path in wanted).encode(errors="surrogateescape")
        try:
            _, output = await run(commands.batch(self._path(repo)), stdin=request, limit=limit + 4096)
        except TooLargeError:
            raise TooLargeError(f"{repo}: {', '.join(wanted[:3])} at {rev} are over {limit} bytes.") from None
        return dict(_batch_answers(output, wanted))

    async def list_files(
        self, repo: str, rev: str, folder: str = "", *, recursive: bool = True
    ) -> list[TreeEntry]:
        """Return the files in `folder` (all below it if `recursive`), sorted; empty if there is no such folder."""
        sha = await self._sha(repo, rev)
        _, output = await run(commands.tree(self._path(repo), sha, tree_path(folder), recursive=recursive))
        return parse_tree(output)

    async def export(self, repo: str, rev: str, folder: str, into: Path, *, limit: int = 256 << 20) -> str:
        """Write the files of `folder` at `rev` into the directory `into` and return the commit's id.

        `into` must be empty or absent; files keep their path from the root (`into/folder/...`), so that
        relative references keep their meaning. Symbolic links that leave `into` raise `UnsafeTreeError`,
        more than `limit` bytes `TooLargeError`; then what was written is removed. Submodules are left
        out. Attributes (`export-ignore`, `ident`, filters) are not applied.
        """
        sha = await self._sha(repo, rev)
        entries = await self.list_files(repo, sha, folder)
        size = sum(entry.size for entry in entries)
        if size > limit:
            raise TooLargeError(f"{folder or 'the tree'} of {repo} at {sha} is {size} bytes, over {limit}.")
        await anyio.to_thread.run_sync(write_tree_to, commands.batch(self._path(repo)), entries, into)
        return sha

    async def commit_info(self, repo: str, rev: str) -> Commit:
        """Return a commit; `RevisionNotFoundError` if there is none."""
        sha = await self.resolve(repo, rev)
        if sha is None:
            raise RevisionNotFoundError(f"{repo} has no commit {rev!r}.")
        return (await self.log(repo, sha, limit=1))[0]

    async def log(self, repo: str, rev: str, *, limit: int = 50, paths: Iterable[str] = ()) -> list[Commit]:
        """Return at most `limit` commits from `rev` backwards, only those that touch `paths` if given."""
        sha = await self._sha(repo, rev)
        folders = [tree_path(path) or "." for path in paths]
        _, output = await run(commands.log(self._path(repo), sha, limit, folders))
        return parse_commits(output)

    async def changed_paths(self, repo: str, before: str, after: str) -> list[str]:
        """Return the files that differ between two commits (a rename is both paths).

        `before` may be `ZERO` (the ref was created): then all files of `after` are returned.
        """
        old = EMPTY_TREE if before == ZERO else await self._sha(repo, before)
        new = EMPTY_TREE if after == ZERO else await self._sha(repo, after)
        if old == EMPTY_TREE:
            # git knows the empty tree only where something has written it
            _, output = await run(commands.files(self._path(repo), new)) if new != EMPTY_TREE else (0, b"")
        else:
            _, output = await run(commands.diff(self._path(repo), old, new))
        return parse_names(output)

    async def is_ancestor(self, repo: str, ancestor: str, descendant: str) -> bool:
        """Tell whether `descendant` contains `ancestor` (a commit contains itself)."""
        argv = commands.is_ancestor(self._path(repo), revision(ancestor), revision(descendant))
        code, _ = await run(argv, accept=(0, 1, 128))
        return code == 0

    async def refs(self, repo: str) -> dict[str, str]:
        """Return all branches and tags: full ref to the id it holds (a tag object's own id)."""
        _, output = await run(commands.refs(self._path(repo)))
        return parse_refs(output)


def _batch_answers(output: bytes, wanted: list[str]) -> Iterable[tuple[str, bytes]]:
    """Take `cat-file --batch`'s answers apart: a header line, the content, a newline; or a line `… missing`."""
    position = 0
    for path in wanted:
        end = output.index(b"\n", position)
        words = output[position:end].split()
        position = end + 1
        if len(words) == 3 and words[1] in {b"blob", b"tree", b"commit", b"tag"} and words[2].isdigit():
            size = int(words[2])
            if words[1] == b"blob":
                yield path, output[position : position + size]
            position += size + 1
