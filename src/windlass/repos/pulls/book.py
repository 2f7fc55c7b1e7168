"""Pull requests in the store: each change is a row, an event and a ledger entry of one transaction."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from windlass.repos.errors import PullNotFoundError, PullStateError
from windlass.repos.events import NewEvent, write_event
from windlass.repos.names import branch_ref
from windlass.repos.payloads import event_payload, pull_payload
from windlass.repos.pulls.records import Protection, Pull

if TYPE_CHECKING:
    import builtins

    from windlass.repos.records import Repository
    from windlass.store import Store, Transaction

Actor = tuple[str, str]
"""A principal's name and kind."""


class Book:
    """Rows in and out. `url` is the server's own address, for the links in payloads."""

    def __init__(self, store: Store, url: str) -> None:
        self._store = store
        self._url = url

    async def get(self, repo: str, number: int) -> Pull:
        """Return one; `PullNotFoundError`."""
        row = await self._store.one("pulls.get", repository=repo, number=number)
        if row is None:
            raise PullNotFoundError(
                f"{repo} has no pull request {number}: `windlass pr list --state all -R {repo}` shows all."
            )
        return Pull.of(row)

    async def list(self, repo: str, state: str, before: int, limit: int) -> builtins.list[Pull]:
        """Return those of a state (`open`, `closed`, `all`), the newest first."""
        rows = await self._store.read("pulls.list", repository=repo, state=state, before=before, limit=limit)
        return [Pull.of(row) for row in rows]

    async def open(self, repo: str | None = None) -> builtins.list[Pull]:
        """Return all that are open, of one repository or of all."""
        return [Pull.of(row) for row in await self._store.read("pulls.open", repository=repo)]

    async def next_number(self, repo: str) -> int:
        """Return the number of the next one."""
        row = await self._store.one("pulls.next_number", repository=repo)
        return int(row["number"]) if row else 1

    async def open_of(self, repo: str, head: str, base: str) -> int | None:
        """Return the number of the open one of these branches."""
        row = await self._store.one("pulls.open_of", repository=repo, head=head, base=base)
        return int(row["number"]) if row else None

    async def pusher(self, repo: str, branch: str, sha: str) -> Actor:
        """Return who pushed `sha` to a branch."""
        ref = branch_ref(branch)
        row = await self._store.one("pulls.pusher", repository=repo, ref=ref, sha=sha)
        return (row["pusher"], row["pusher_kind"]) if row else ("unknown", "unknown")

    async def approvals(self, pull: Pull) -> builtins.list[str]:
        """Return who approved the head as it is now."""
        where = {"repository": pull.repository, "number": pull.number, "sha": pull.head_sha}
        return [row["principal"] for row in await self._store.read("pulls.approvals", **where)]

    async def merges_of(self, repo: str, head: str) -> builtins.list[str]:
        """Return the merge commits on which runs of this head may have been, the newest first."""
        rows = await self._store.read("pulls.merges_of", repository=repo, head_sha=head)
        return [row["merge_sha"] for row in rows]

    async def protections(self, repo: str) -> builtins.list[Protection]:
        """Return the rules of a repository's branches."""
        return [Protection.of(row) for row in await self._store.read("pulls.protections", repository=repo)]

    def _tell(
        self,
        tx: Transaction,
        repository: Repository,
        pull: Pull,
        action: str,
        *,
        actor: Actor,
        paths: tuple[str, ...] | None,
        **more: Any,
    ) -> None:
        shown = pull_payload(pull, repository, self._url)
        payload = event_payload(
            repository, self._url, actor, action=action, number=pull.number, pull_request=shown, **more
        )
        name = "pull_request_review" if "review" in more else "pull_request"
        merged = pull.merged_sha is not None
        ref = branch_ref(pull.base) if merged else pull.ref
        sha = (pull.merged_sha if merged else pull.merge_sha) or ""
        if pull.merge_sha:
            where = {"repository": pull.repository, "number": pull.number, "at": time.time()}
            tx.run("pulls.add_merge", head_sha=pull.head_sha, merge_sha=pull.merge_sha, **where)
        write_event(tx, pull.repository, NewEvent(name, action, ref, sha, *actor, payload, paths))

    async def insert(self, pull: Pull, repository: Repository, paths: tuple[str, ...]) -> None:
        """Record a new one: `opened`."""
        columns = (
            "repository",
            "number",
            "title",
            "body",
            "head",
            "base",
            "head_sha",
            "base_sha",
            "merge_sha",
        )
        row = {name: getattr(pull, name) for name in columns}
        who = {"author": pull.author, "author_kind": pull.author_kind}
        conflicts = json.dumps(pull.conflicts)

        def work(tx: Transaction) -> None:
            tx.run(
                "pulls.insert", **row, **who, draft=int(pull.draft), conflicts=conflicts, at=pull.created_at
            )
            self._tell(tx, repository, pull, "opened", actor=(pull.author, pull.author_kind), paths=paths)

        await self._store.transact(work)

    async def moved(
        self,
        before: Pull,
        after: Pull,
        repository: Repository,
        actor: Actor,
        paths: tuple[str, ...] | None,
    ) -> None:
        """Record that head or base moved; `synchronize` if it was the head."""
        columns = ("base", "head_sha", "base_sha", "merge_sha", "repository", "number")
        row = {name: getattr(after, name) for name in columns}
        conflicts, old, new = json.dumps(after.conflicts), before.head_sha, after.head_sha

        def work(tx: Transaction) -> None:
            tx.run("pulls.move", **row, conflicts=conflicts, at=after.updated_at)
            if old != new:
                self._tell(
                    tx, repository, after, "synchronize", actor=actor, paths=paths, before=old, after=new
                )
            else:
                tx.record("pull.moved", f"repo/{after.repository}", number=after.number)

        await self._store.transact(work)

    async def edited(
        self, before: Pull, after: Pull, repository: Repository, actor: Actor, paths: tuple[str, ...]
    ) -> None:
        """Record other words, another base, or that it is a draft no longer."""
        changes: dict[str, Any] = {
            name: {"from": getattr(before, name)}
            for name in ("title", "body")
            if getattr(before, name) != getattr(after, name)
        }
        if before.base != after.base:
            changes["base"] = {"ref": {"from": before.base}, "sha": {"from": before.base_sha}}
        columns = ("base", "head_sha", "base_sha", "merge_sha", "repository", "number")
        moved = {name: getattr(after, name) for name in columns}
        key = {"repository": after.repository, "number": after.number, "at": after.updated_at}
        words = {"title": after.title, "body": after.body, "draft": int(after.draft)}

        def work(tx: Transaction) -> None:
            tx.run("pulls.move", **moved, conflicts=json.dumps(after.conflicts), at=after.updated_at)
            tx.run("pulls.edit", **key, **words)
            if changes:
                self._tell(tx, repository, after, "edited", actor=actor, paths=paths, changes=changes)
            if before.draft != after.draft:
                action = "converted_to_draft" if after.draft else "ready_for_review"
                self._tell(tx, repository, after, action, actor=actor, paths=paths)

        await self._store.transact(work)

    async def approved(self, pull: Pull, repository: Repository, actor: Actor) -> None:
        """Record an approval of the head as it is now, and tell of it as GitHub does."""
        key = {"repository": pull.repository, "number": pull.number, "sha": pull.head_sha}
        review = {"state": "approved", "commit_id": pull.head_sha, "user": {"login": actor[0]}, "body": None}

        def work(tx: Transaction) -> None:
            tx.run("pulls.approve", **key, principal=actor[0], at=time.time())
            self._tell(tx, repository, pull, "submitted", actor=actor, paths=None, review=review)

        await self._store.transact(work)

    async def begin_merge(self, pull: Pull, merging: dict[str, Any] | None) -> None:
        """Write down what a merge is about to do (None: it did not)."""
        key = {"repository": pull.repository, "number": pull.number}
        text = None if merging is None else json.dumps(merging)
        await self._store.transact(lambda tx: tx.run("pulls.begin_merge", **key, merging=text))

    async def close(
        self,
        pull: Pull,
        repository: Repository,
        actor: Actor,
        paths: tuple[str, ...] | None,
        *,
        merged: tuple[str, str] | None = None,
    ) -> Pull:
        """Close it; `merged` is the commit on the base that holds it and who brought it there."""
        now = time.time()
        facts: dict[str, Any] = {"merged_at": None, "merged_by": None, "merged_sha": None}
        if merged:
            facts = {"merged_at": now, "merged_by": merged[1], "merged_sha": merged[0]}
        closed = replace(pull, state="closed", closed_at=now, updated_at=now, merging=None, **facts)

        def work(tx: Transaction) -> None:
            key = {"repository": pull.repository, "number": pull.number}
            if not tx.run("pulls.close", **key, **facts, at=now):
                raise PullStateError(f"Pull request {pull.number} is closed already.")
            self._tell(tx, repository, closed, "closed", actor=actor, paths=paths)

        await self._store.transact(work)
        return closed

    async def reopen(self, pull: Pull, repository: Repository, actor: Actor, paths: tuple[str, ...]) -> Pull:
        """Open it again, with head and base as they are now."""
        columns = ("base", "head_sha", "base_sha", "merge_sha", "repository", "number")
        moved = {name: getattr(pull, name) for name in columns}
        again = replace(pull, state="open", closed_at=None, updated_at=time.time())

        def work(tx: Transaction) -> None:
            key = {"repository": pull.repository, "number": pull.number, "at": again.updated_at}
            if not tx.run("pulls.reopen", **key):
                raise PullStateError(f"Pull request {pull.number} is merged or open, and not to be reopened.")
            tx.run("pulls.move", **moved, conflicts=json.dumps(again.conflicts), at=again.updated_at)
            self._tell(tx, repository, again, "reopened", actor=actor, paths=paths)

        await self._store.transact(work)
        return again
