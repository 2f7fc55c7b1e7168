"""What a webhook told besides pushes, as events of the repository: pull requests and releases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from windlass.repos.errors import ReposError
from windlass.repos.events import NewEvent
from windlass.repos.git import Git
from windlass.repos.names import SHA, branch_ref
from windlass.repos.pulls.merging import Merging
from windlass.repos.records import ZERO

if TYPE_CHECKING:
    from collections.abc import Mapping

    from windlass.repos.forges.mirror import Mirror
    from windlass.repos.forges.records import Remote
    from windlass.repos.forges.remotes import Credential
    from windlass.repos.repositories import Repositories
    from windlass.store import Store

REFS = {"gitlab": "refs/merge-requests"}
"""Where forges keep the heads of pull requests; `refs/pull` where nothing else is said."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """An event to be recorded; `merge` are number, head and merge commit of a pull request."""

    event: NewEvent
    merge: tuple[int, str, str] | None = None


class Arrivals:
    """Fetches what an event is about, and makes the event."""

    def __init__(self, store: Store, repositories: Repositories, mirror: Mirror) -> None:
        self._store = store
        self._repositories = repositories
        self._git = Git(repositories)
        self._mirror = mirror
        self._merging = Merging(repositories, self._git)

    async def event_of(
        self, remote: Remote, credential: Credential | None, item: Mapping[str, Any], source: str
    ) -> Arrival | None:
        """Return the event of one piece of work; pushes have been recorded before."""
        if item["kind"] == "pull":
            return await self._pull(remote, credential, item, source)
        if item["kind"] == "event":
            return await self._release(remote, item, source)
        return None

    async def _release(self, remote: Remote, item: Mapping[str, Any], source: str) -> Arrival:
        refs = await self._repositories.recorded_refs(remote.repository)
        ref = f"refs/tags/{item['tag']}"
        sha = await self._git.resolve(remote.repository, ref) if ref in refs else None
        actor = _login(item["payload"])
        event = NewEvent(
            "release", item["action"], ref, sha or "", actor, "forge", item["payload"], None, source
        )
        return Arrival(event)

    async def _pull(
        self, remote: Remote, credential: Credential | None, item: Mapping[str, Any], source: str
    ) -> Arrival:
        """Fetch a pull request's head; take the forge's merge if it is one of that head, else make it."""
        payload: dict[str, Any] = item["payload"]
        request, number = payload["pull_request"], int(item["number"])
        head = str((request.get("head") or {}).get("sha") or "")
        base = branch_ref(str((request.get("base") or {}).get("ref") or ""))
        if not SHA.fullmatch(head):
            raise ReposError(f"Pull request {number} names no head commit.")
        theirs = await self._fetch(remote, credential, item["forge"], number)
        if await self._git.resolve(remote.repository, head) is None:
            raise ReposError(
                f"Pull request {number}: its head {head[:12]} cannot be fetched from {remote.url}."
            )
        tip = (await self._repositories.recorded_refs(remote.repository)).get(base, "")
        merge = await self._merge(remote.repository, tip, head, theirs)
        refs = {f"refs/pull/{number}/head": head, f"refs/pull/{number}/merge": merge or ZERO}
        await self._merging.set_refs(remote.repository, refs)
        _complete(remote, payload, head, tip, merge)
        ref, sha = f"refs/pull/{number}/merge", merge
        if request.get("merged"):
            ref, sha = base, str(request.get("merge_commit_sha") or tip)
            if await self._git.resolve(remote.repository, sha) is None:
                sha = tip
        paths = await self._paths(remote.repository, tip, head)
        action, actor = str(payload.get("action") or ""), _login(payload)
        event = NewEvent("pull_request", action, ref, sha, actor, "forge", payload, paths, source)
        return Arrival(event, (number, head, merge) if merge else None)

    async def _fetch(self, remote: Remote, credential: Credential | None, forge: str, number: int) -> str:
        """Fetch head and merge as far as the forge has them; returns the forge's merge commit, or nothing."""
        folder = f"{REFS.get(forge, 'refs/pull')}/{number}"
        there = await self._mirror.there(remote, credential, f"{folder}/head", f"{folder}/merge")
        specs = [f"+{ref}:refs/forge/pull/{number}/{ref.rpartition('/')[2]}" for ref in sorted(there)]
        if specs:
            await self._mirror.fetch(remote, credential, specs)
        return there.get(f"{folder}/merge", "")

    async def _merge(self, repo: str, tip: str, head: str, theirs: str) -> str:
        """Return the merge commit to run on; empty where head and base conflict."""
        if theirs and await self._git.resolve(repo, theirs):
            parents = (await self._git.commit_info(repo, theirs)).parents
            if len(parents) == 2 and parents[1] == head:
                return theirs
        if not tip or await self._merging.base_of(repo, tip, head) is None:
            return ""
        tried = await self._merging.try_merge(repo, tip, head)
        return await self._merging.test_commit(repo, tip, head, tried.tree) if tried.tree else ""

    async def _paths(self, repo: str, tip: str, head: str) -> tuple[str, ...] | None:
        if not tip:
            return None
        start = await self._merging.base_of(repo, tip, head)
        return tuple(await self._git.changed_paths(repo, start, head)) if start else None


def _login(payload: Mapping[str, Any]) -> str:
    """Return who did it, as the forge says."""
    found = (payload.get("sender") or {}).get("login")
    return found if isinstance(found, str) and found.isprintable() and len(found) <= 100 else "unknown"


def _complete(remote: Remote, payload: dict[str, Any], head: str, tip: str, merge: str) -> None:
    """Put in what the forge left out, and mark what comes from a fork."""
    request = payload["pull_request"]
    base = request.setdefault("base", {})
    base["sha"] = base.get("sha") or tip
    request.setdefault("mergeable", bool(merge))
    source = (request.get("head") or {}).get("repo")
    target = (base.get("repo") or {}).get("full_name") or remote.full_name
    # A head whose repository is gone was a fork's: its own would be here.
    fork = source is None or source.get("full_name") != target
    payload["windlass"] = {"fork": fork, "head": head, "merge": merge}
