"""Writing commits into hosted repositories, without a working tree."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import anyio

from windlass.repos import commands
from windlass.repos.errors import BadNameError, GitError, StaleBranchError
from windlass.repos.git import Git
from windlass.repos.names import branch_ref, inside, tree_path
from windlass.repos.process import environment, run
from windlass.repos.recording import Update, committer
from windlass.repos.records import ZERO, Conflict, Reverted
from windlass.repos.reverting import Blob, plan_revert

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from windlass.identity import Principal
    from windlass.repos.records import Identity
    from windlass.repos.repositories import Repositories

MAX_MESSAGE = 1 << 20
REGULAR = "100644"


class GitWriter:
    """Writes commits straight into the bare repository; each is recorded as a push of `principal`.

    The branch moves by compare-and-swap: if somebody pushed meanwhile `StaleBranchError` is raised and
    nothing changed.
    """

    def __init__(self, repositories: Repositories, principal: Principal) -> None:
        self._repositories = repositories
        self._principal = principal
        self._git = Git(repositories)

    async def commit_files(
        self,
        repo: str,
        branch: str,
        files: Mapping[str, bytes | None],
        message: str,
        author: Identity,
        *,
        expected: str | None = None,
    ) -> str:
        """Commit `files` (None deletes) on top of `branch` and return the new commit's id.

        `expected` is the tip the caller has seen (None: whatever it is now; the branch is created if
        absent). A file that exists keeps its mode. No difference: no commit, the tip is returned.
        """
        tip = await self._tip(repo, branch, expected)
        changes = {_file_path(path): content for path, content in files.items()}
        modes = await self._modes(repo, tip, list(changes))
        path = self._repositories.path(repo)
        blobs: dict[str, Blob | None] = {}
        for name, content in changes.items():
            if content is None:
                blobs[name] = None
            else:
                _, sha = await run(commands.hash_object(path), stdin=content)
                blobs[name] = Blob(modes.get(name, REGULAR), sha.decode().strip())
        return await self._commit(repo, branch, tip, blobs, message, author)

    async def revert_paths(  # noqa: PLR0917 the order of commit_files
        self,
        repo: str,
        branch: str,
        bad: str,
        paths: Sequence[str],
        message: str,
        author: Identity,
        *,
        good: str | None = None,
    ) -> Reverted | Conflict:
        """Put `paths` (files or folders) back to what they were before `bad`, as a commit on `branch`.

        `good` is the commit before (by default `bad`'s first parent), so that `good..bad` may be several
        commits. Three-way: where the tip still has what `bad` wrote, it gets what `good` had; where it has
        what `good` had, nothing is to do; anything else under `paths` that was written after `bad` is
        somebody else's work: `Conflict`, and nothing changes. `bad` must be in the branch.
        """
        tip = await self._tip(repo, branch, None)
        parents = (await self._git.commit_info(repo, bad)).parents
        before = good or (parents[0] if parents else ZERO)
        if tip == ZERO or not await self._git.is_ancestor(repo, bad, tip):
            return Conflict(
                tuple(paths), f"{bad[:12]} is not part of {branch}, so there is nothing to revert."
            )
        folders = [tree_path(path) for path in paths]
        trees = [await self._blobs(repo, sha, folders) for sha in (before, bad, tip)]
        plan = plan_revert(*trees)
        if isinstance(plan, Conflict):
            return plan
        sha = await self._commit(repo, branch, tip, plan, message, author) if plan else tip
        return Reverted(sha, tuple(sorted(plan)))

    async def move(self, repo: str, branch: str, old: str, new: str) -> None:
        """Move a branch from `old` to `new` and record it; `StaleBranchError` if it is not at `old`."""
        await self._move(repo, branch_ref(branch), old, new)

    async def move_ref(self, repo: str, ref: str, old: str, new: str) -> None:
        """Move any ref under `refs/heads/` or `refs/tags/`, as `move` does."""
        checked = branch_ref(ref.removeprefix("refs/tags/")).removeprefix("refs/heads/")
        await self._move(repo, f"refs/tags/{checked}" if ref.startswith("refs/tags/") else ref, old, new)

    async def _tip(self, repo: str, branch: str, expected: str | None) -> str:
        await self._repositories.get(repo)
        tip = await self._git.resolve(repo, branch_ref(branch)) or ZERO
        if expected is not None and tip != expected:
            raise StaleBranchError(
                f"{repo}: {branch} is at {tip[:12]}, not at {expected[:12]} as expected. Read it again."
            )
        return tip

    async def _modes(self, repo: str, tip: str, paths: list[str]) -> dict[str, str]:
        if tip == ZERO:
            return {}
        blobs = await self._blobs(repo, tip, paths)
        return {path: blob.mode for path, blob in blobs.items() if blob.mode in {REGULAR, "100755"}}

    async def _blobs(self, repo: str, sha: str, folders: Sequence[str]) -> dict[str, Blob]:
        if sha == ZERO:
            return {}
        entries = await self._git.list_files(repo, sha)
        return {e.path: Blob(e.mode, e.sha) for e in entries if inside(e.path, folders)}

    async def _commit(  # noqa: PLR0917 all of a commit
        self,
        repo: str,
        branch: str,
        tip: str,
        blobs: Mapping[str, Blob | None],
        message: str,
        author: Identity,
    ) -> str:
        path = self._repositories.path(repo)
        tree = await self._tree(path, tip, blobs)
        if tip != ZERO and tree == (await run(commands.tree_of(path, tip)))[1].decode().strip():
            return tip
        parent = None if tip == ZERO else tip
        env = environment(_people(author))
        text = message.encode()[:MAX_MESSAGE]
        _, output = await run(commands.commit_tree(path, tree, parent), stdin=text, env=env)
        sha = output.decode().strip()
        await self._move(repo, branch_ref(branch), tip, sha)
        return sha

    async def _tree(self, path: Path, tip: str, blobs: Mapping[str, Blob | None]) -> str:
        """Write the tree of `tip` with `blobs` put in, through an index of its own."""
        with tempfile.TemporaryDirectory(prefix="windlass-index-") as folder:
            env = environment({"GIT_INDEX_FILE": str(Path(folder) / "index")})
            if tip != ZERO:
                await run(commands.read_tree(path, tip), env=env)
            if blobs:
                await run(commands.update_index(path), stdin=index_info(blobs), env=env)
            _, tree = await run(commands.write_tree(path), env=env)
        return tree.decode().strip()

    async def _move(self, repo: str, ref: str, old: str, new: str) -> None:
        """Move the branch and record it; a cancelled caller does not come between the two."""
        path, session = self._repositories.path(repo), uuid4().hex
        kind, name = self._principal.kind, self._principal.name
        with anyio.CancelScope(shield=True):
            try:
                env = environment(committer(kind, name, session))
                await run(commands.update_ref(path, ref, new, old), env=env)
            except GitError as error:
                if await self._git.resolve(repo, ref) == (None if old == ZERO else old):
                    raise
                raise StaleBranchError(f"{repo}: {ref} moved while the commit was written. {error}") from None
            await self._repositories.record(repo, [Update(ref, old, new, name, kind, session)])


def _people(author: Identity) -> dict[str, str]:
    return {
        "GIT_AUTHOR_NAME": author.name,
        "GIT_AUTHOR_EMAIL": author.email,
        "GIT_COMMITTER_NAME": author.name,
        "GIT_COMMITTER_EMAIL": author.email,
    }


def _file_path(path: str) -> str:
    checked = tree_path(path)
    if not checked or any(part.lower() == ".git" for part in checked.split("/")):
        raise BadNameError(f"{path!r} names no file of a repository.")
    return checked


def index_info(blobs: Mapping[str, Blob | None]) -> bytes:
    """Return the input of `update-index -z --index-info`: deletions first, so that a folder may become a file."""
    gone = [f"0 {ZERO}\t{path}\0" for path, blob in blobs.items() if blob is None]
    there = [f"{blob.mode} {blob.sha}\t{path}\0" for path, blob in blobs.items() if blob]
    return "".join([*gone, *there]).encode(errors="surrogateescape")
