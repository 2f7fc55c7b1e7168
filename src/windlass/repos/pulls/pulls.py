"""Pull requests of hosted branches."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

import anyio
import structlog

from windlass.repos.errors import (
    MergeBlockedError,
    NotAllowedError,
    PullStateError,
    ReposError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
    StaleBranchError,
)
from windlass.repos.git import Git
from windlass.repos.names import branch_ref
from windlass.repos.pulls.book import Book
from windlass.repos.pulls.decide import blockers, counting, motion, rules_for
from windlass.repos.pulls.merging import Merging
from windlass.repos.pulls.records import Pull, PullView
from windlass.repos.pulls.words import check_body, check_title, identity_of, merge_words
from windlass.repos.writer import GitWriter

if TYPE_CHECKING:
    import builtins
    from collections.abc import Sequence

    from windlass.identity import Principal
    from windlass.repos.pulls.book import Actor
    from windlass.repos.pulls.records import Check, Method
    from windlass.repos.records import Repository
    from windlass.repos.repositories import Repositories
    from windlass.store import Store

LOOK = 300.0
MAX_LIST = 200
MAX_SHOWN_PATHS = 300

log = structlog.get_logger()


class Checks(Protocol):
    """Says what runs say of a commit."""

    async def of_commit(self, repository: str, sha: str) -> Sequence[Check]:
        """Return the newest result of each check on exactly this commit. What is not planned yet is `pending`."""
        ...


class Pulls:
    """Pull requests, with their refs `refs/pull/N/head` and `refs/pull/N/merge`.

    `run()` follows pushes to their branches until cancelled; everything else may be called with or without it.
    Who acts is the principal; reading needs `repo:read`, everything else `repo:write`: `NotAllowedError`.
    Each change is an event (`Repositories.events`).
    """

    def __init__(self, store: Store, repositories: Repositories, *, url: str, checks: Checks) -> None:
        self._store = store
        self._repositories = repositories
        self._url = url
        self._checks = checks
        self._git = Git(repositories)
        self._merging = Merging(repositories, self._git)
        self._book = Book(store, url)
        self._locks: defaultdict[str, anyio.Lock] = defaultdict(anyio.Lock)

    async def run(self) -> None:
        """Follow pushes until cancelled. What moved while nobody looked is found at the start."""
        with self._store.subscribe("push", "repository.deleted") as feed:
            while True:
                try:
                    await self.look()
                except Exception:
                    log.exception("pull requests could not be looked at; trying again")
                await feed.wait(LOOK)

    async def look(self) -> None:
        """Bring all open pull requests up to their branches."""
        refs: dict[str, dict[str, str]] = {}
        for pull in await self._book.open():
            repo = pull.repository
            if repo not in refs:
                refs[repo] = await self._repositories.recorded_refs(repo)
            if motion(pull, refs[repo]) != "rest":
                try:
                    async with self._locks[repo]:
                        await self._advance(await self._book.get(repo, pull.number))
                except (ReposError, OSError):
                    log.exception("a pull request could not be followed", repo=repo, number=pull.number)

    async def _advance(self, pull: Pull) -> Pull:
        """Bring one up to its branches."""
        if pull.state != "open":
            return pull
        refs = await self._repositories.recorded_refs(pull.repository)
        repository = await self._repositories.get(pull.repository)
        what = motion(pull, refs)
        if what == "rest":
            return pull
        if what == "close":
            return await self._book.close(pull, repository, ("windlass", "robot"), None)
        head, base = refs.get(branch_ref(pull.head), ""), refs.get(branch_ref(pull.base), "")
        if pull.merging is not None:
            return await self._settle_merge(pull, repository, base)
        if await self._git.is_ancestor(pull.repository, head, base):
            return await self._end_contained(pull, repository, head, base)
        after = await self._measure(replace(pull, head_sha=head, base_sha=base, updated_at=time.time()))
        actor = await self._book.pusher(pull.repository, pull.head, head)
        paths = await self._paths(after) if head != pull.head_sha else None
        await self._book.moved(pull, after, repository, actor, paths)
        return after

    async def _end_contained(self, pull: Pull, repository: Repository, head: str, base: str) -> Pull:
        """Close what has nothing left to merge: as merged, unless the head was only set back."""
        actor = await self._book.pusher(pull.repository, pull.base, base)
        if not await self._git.is_ancestor(pull.repository, pull.head_sha, base):
            return await self._book.close(pull, repository, actor, None)
        return await self._book.close(
            replace(pull, head_sha=head), repository, actor, None, merged=(base, actor[0])
        )

    async def _settle_merge(self, pull: Pull, repository: Repository, base: str) -> Pull:
        """End a merge that a crash cut off: it counts if its commit is on the base."""
        plan = json.loads(pull.merging or "{}")
        if base and await self._git.is_ancestor(pull.repository, plan["sha"], base):
            actor = (plan["by"], plan["kind"])
            return await self._book.close(pull, repository, actor, None, merged=(plan["sha"], plan["by"]))
        await self._book.begin_merge(pull, None)
        return await self._advance(replace(pull, merging=None))

    async def _measure(self, pull: Pull) -> Pull:
        """Merge head into base to see whether it goes, and set the refs."""
        tried = await self._merging.try_merge(pull.repository, pull.base_sha, pull.head_sha)
        refs, merge = {f"refs/pull/{pull.number}/head": pull.head_sha}, ""
        if tried.tree:
            merge = await self._merging.test_commit(pull.repository, pull.base_sha, pull.head_sha, tried.tree)
            refs[pull.ref] = merge
        await self._merging.set_refs(pull.repository, refs)
        return replace(pull, merge_sha=merge, conflicts=tried.conflicts)

    async def _paths(self, pull: Pull) -> tuple[str, ...]:
        """Return the files that the head changes since it left the base."""
        start = await self._merging.base_of(pull.repository, pull.base_sha, pull.head_sha)
        if start is None:
            return ()
        return tuple(await self._git.changed_paths(pull.repository, start, pull.head_sha))

    async def _allowed(self, repo: str, principal: Principal, right: str) -> Repository:
        """Return the repository if the principal has the right; one that it may not read is not there."""
        if not principal.may("repo:read", repo):
            raise RepositoryNotFoundError(f"No repository {repo} that {principal.name} may read.")
        repository = await self._repositories.get(repo)
        if not principal.may(right, repo):
            raise NotAllowedError(f"{principal.name} may not do this: it needs the scope {right}:{repo}.")
        return repository

    async def _branches(self, repo: str, head: str, base: str) -> tuple[str, str]:
        """Return the commits of two branches that can be merged, or say why not."""
        refs = await self._repositories.recorded_refs(repo)
        for branch in (head, base):
            if branch_ref(branch) not in refs:
                raise RevisionNotFoundError(f"{repo} has no branch {branch!r}. Push it first.")
        shas = refs[branch_ref(head)], refs[branch_ref(base)]
        if await self._merging.base_of(repo, *shas) is None:
            raise PullStateError(
                f"{head} and {base} have no commit in common, so that nothing can be merged."
            )
        if await self._git.is_ancestor(repo, *shas):
            raise PullStateError(f"{base} has every commit of {head} already: there is nothing to merge.")
        return shas

    async def create(
        self,
        repo: str,
        *,
        principal: Principal,
        head: str,
        base: str | None = None,
        title: str | None = None,
        body: str = "",
        draft: bool = False,
    ) -> Pull:
        """Open a pull request. Without a title it has the subject of its last commit."""
        repository = await self._allowed(repo, principal, "repo:write")
        head = branch_ref(head).removeprefix("refs/heads/")
        base = branch_ref(base or repository.default_branch).removeprefix("refs/heads/")
        if place := await self._repositories.follows(repo):
            raise PullStateError(f"{repo} follows {place}: open the pull request there.")
        async with self._locks[repo]:
            head_sha, base_sha = await self._branches(repo, head, base)
            if found := await self._book.open_of(repo, head, base):
                raise PullStateError(f"Pull request {found} is open for {head} into {base} already.")
            if title is None:
                title = (await self._git.commit_info(repo, head_sha)).subject[:256]
            now = time.time()
            pull = Pull(
                repository=repo,
                number=await self._book.next_number(repo),
                title=check_title(title),
                body=check_body(body),
                draft=draft,
                head=head,
                base=base,
                head_sha=head_sha,
                base_sha=base_sha,
                merge_sha="",
                conflicts=(),
                state="open",
                author=principal.name,
                author_kind=principal.kind,
                created_at=now,
                updated_at=now,
            )
            pull = await self._measure(pull)
            await self._book.insert(pull, repository, await self._paths(pull))
        return pull

    async def list(
        self, repo: str, *, principal: Principal, state: str = "open", before: int = 0, limit: int = 50
    ) -> builtins.list[Pull]:
        """Return pull requests (`open`, `closed` or `all`), the newest first."""
        await self._allowed(repo, principal, "repo:read")
        return await self._book.list(repo, state, before, max(1, min(limit, MAX_LIST)))

    async def show(self, repo: str, number: int, *, principal: Principal) -> PullView:
        """Return a pull request with its checks, approvals and what keeps it from being merged."""
        await self._allowed(repo, principal, "repo:read")
        return await self._view(await self._book.get(repo, number))

    async def _view(self, pull: Pull) -> PullView:
        checks = await self._checks_of(pull)
        pusher, _ = await self._book.pusher(pull.repository, pull.head, pull.head_sha)
        approvals = counting(await self._book.approvals(pull), pull.author, pusher)
        protections = await self._book.protections(pull.repository)
        required = dict.fromkeys(n for rule in rules_for(pull.base, protections) for n in rule.checks)
        why = blockers(pull, protections, checks, approvals)
        paths = (await self._paths(pull))[:MAX_SHOWN_PATHS]
        url = f"{self._url}/{pull.repository}/pull/{pull.number}"
        return PullView(pull, url, tuple(checks), approvals, tuple(required), tuple(why), paths)

    async def _checks_of(self, pull: Pull) -> builtins.list[Check]:
        """Return what runs say of the head: on the commit itself, and on its merges, of each workflow the newest."""
        found = list(await self._checks.of_commit(pull.repository, pull.head_sha))
        seen: set[str] = set()
        for sha in await self._book.merges_of(pull.repository, pull.head_sha):
            checks = await self._checks.of_commit(pull.repository, sha)
            found += [check for check in checks if check.workflow not in seen]
            seen |= {check.workflow for check in checks}
        return found

    async def edit(
        self,
        repo: str,
        number: int,
        *,
        principal: Principal,
        title: str | None = None,
        body: str | None = None,
        base: str | None = None,
        draft: bool | None = None,
    ) -> Pull:
        """Change words, the base, or whether it is a draft."""
        repository = await self._allowed(repo, principal, "repo:write")
        async with self._locks[repo]:
            before = await self._open(repo, number)
            after = replace(
                before,
                title=before.title if title is None else check_title(title),
                body=before.body if body is None else check_body(body),
                draft=before.draft if draft is None else draft,
                updated_at=time.time(),
            )
            if base is not None:
                base = branch_ref(base).removeprefix("refs/heads/")
                head_sha, base_sha = await self._branches(repo, before.head, base)
                after = await self._measure(replace(after, base=base, head_sha=head_sha, base_sha=base_sha))
            actor = (principal.name, principal.kind)
            await self._book.edited(before, after, repository, actor, await self._paths(after))
        return after

    async def _open(self, repo: str, number: int) -> Pull:
        """Return an open pull request, up to its branches."""
        pull = await self._advance(await self._book.get(repo, number))
        if pull.state != "open":
            raise PullStateError(f"Pull request {number} is {'merged' if pull.merged_at else 'closed'}.")
        return pull

    async def close(self, repo: str, number: int, *, principal: Principal) -> Pull:
        """Close it without merging."""
        repository = await self._allowed(repo, principal, "repo:write")
        async with self._locks[repo]:
            pull = await self._open(repo, number)
            paths = await self._paths(pull)
            return await self._book.close(pull, repository, (principal.name, principal.kind), paths)

    async def reopen(self, repo: str, number: int, *, principal: Principal) -> Pull:
        """Open it again, with its branches as they are now."""
        repository = await self._allowed(repo, principal, "repo:write")
        async with self._locks[repo]:
            pull = await self._book.get(repo, number)
            if pull.state == "open" or pull.merged_at:
                what = "merged" if pull.merged_at else "open"
                raise PullStateError(f"Pull request {number} is {what}: only what was closed is reopened.")
            head_sha, base_sha = await self._branches(repo, pull.head, pull.base)
            if found := await self._book.open_of(repo, pull.head, pull.base):
                raise PullStateError(f"Pull request {found} is open for the same branches.")
            pull = await self._measure(replace(pull, head_sha=head_sha, base_sha=base_sha))
            actor = (principal.name, principal.kind)
            return await self._book.reopen(pull, repository, actor, await self._paths(pull))

    async def approve(self, repo: str, number: int, *, principal: Principal, sha: str | None = None) -> Pull:
        """Approve the head as it is now (`sha`: only if it is this); whatever is pushed later is not approved."""
        repository = await self._allowed(repo, principal, "repo:write")
        if principal.kind != "user":
            raise NotAllowedError(f"{principal.name} is a {principal.kind}: only people approve.")
        async with self._locks[repo]:
            pull = await self._open(repo, number)
            _check_head(pull, sha)
            pusher, _ = await self._book.pusher(repo, pull.head, pull.head_sha)
            if principal.name in {pull.author, pusher}:
                what = "opened it" if principal.name == pull.author else "pushed its last commit"
                raise NotAllowedError(f"{principal.name} {what}: somebody else has to approve.")
            await self._book.approved(pull, repository, (principal.name, principal.kind))
        return pull

    async def merge(
        self,
        repo: str,
        number: int,
        *,
        principal: Principal,
        method: Method = "merge",
        sha: str | None = None,
        title: str | None = None,
        message: str | None = None,
    ) -> Pull:
        """Merge it into its base; `sha`: only if this is the head.

        `MergeBlockedError` names every reason why not. The base moves by compare-and-swap, as a push of `principal`.
        """
        repository = await self._allowed(repo, principal, "repo:write")
        async with self._locks[repo]:
            pull = await self._open(repo, number)
            _check_head(pull, sha)
            view = await self._view(pull)
            if view.blockers:
                reasons = "".join(f"\n- {reason}" for reason in view.blockers)
                raise MergeBlockedError(f"Pull request {number} of {repo} is not merged:{reasons}")
            words = merge_words(pull, method, title, message)
            made = await self._commit(pull, method, words, principal)
            paths = await self._paths(pull)
            with anyio.CancelScope(shield=True):
                pull = await self._land(pull, repository, made, principal, paths)
        return pull

    async def _commit(self, pull: Pull, method: Method, words: str, principal: Principal) -> str:
        who = identity_of(principal)
        shas = pull.repository, pull.base_sha, pull.head_sha
        if method == "rebase":
            return await self._merging.rebase(*shas, who)
        make = self._merging.squash_commit if method == "squash" else self._merging.merge_commit
        return await make(*shas, words, who)

    async def _land(
        self, pull: Pull, repository: Repository, made: str, principal: Principal, paths: tuple[str, ...]
    ) -> Pull:
        """Move the base and close; what is about to happen is written down first, for whoever comes after a crash."""
        actor: Actor = (principal.name, principal.kind)
        await self._book.begin_merge(pull, {"sha": made, "by": principal.name, "kind": principal.kind})
        try:
            writer = GitWriter(self._repositories, principal)
            await writer.move(pull.repository, pull.base, pull.base_sha, made)
        except StaleBranchError:
            await self._book.begin_merge(pull, None)
            raise
        return await self._book.close(pull, repository, actor, paths, merged=(made, principal.name))


def _check_head(pull: Pull, sha: str | None) -> None:
    if sha is not None and sha != pull.head_sha:
        raise PullStateError(
            f"{pull.head} is at {pull.head_sha[:12]}, not at {sha[:12]}: somebody pushed. Look at it again."
        )
