"""Releases of hosted repositories: a tag with words, and the events that workflows run on."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from windlass.repos.errors import (
    NotAllowedError,
    PullStateError,
    ReleaseNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from windlass.repos.events import NewEvent, write_event
from windlass.repos.git import Git
from windlass.repos.names import branch_ref
from windlass.repos.payloads import event_payload, person, stamp
from windlass.repos.pulls.words import check_body, check_title
from windlass.repos.records import ZERO
from windlass.repos.writer import GitWriter

if TYPE_CHECKING:
    import builtins

    from windlass.identity import Principal
    from windlass.repos.records import Repository
    from windlass.repos.repositories import Repositories
    from windlass.store import Row, Store, Transaction


@dataclass(frozen=True, slots=True)
class Release:
    """A release. A draft has no commit yet (`sha` is empty) and starts nothing. Times in seconds since the epoch."""

    id: int
    repository: str
    tag: str
    title: str
    notes: str
    draft: bool
    prerelease: bool
    target: str
    sha: str
    author: str
    author_kind: str
    created_at: float
    published_at: float | None

    @classmethod
    def of(cls, row: Row) -> Release:
        """Return the record of a row."""
        given = {field.name: row[field.name] for field in fields(cls)}
        return cls(**{**given, "draft": bool(row["draft"]), "prerelease": bool(row["prerelease"])})


def actions_of(before: Release | None, after: Release | None) -> list[str]:
    """Return what GitHub tells of a change, in its order; of drafts it tells nothing. Pure."""
    if after is None:
        return ["deleted"] if before and not before.draft else []
    if before is None or before.draft:
        if after.draft:
            return []
        kind = "prereleased" if after.prerelease else "released"
        return [*(["created"] if before is None else []), "published", kind]
    if after.draft:
        return ["unpublished"]
    return ["edited", *(["released"] if before.prerelease and not after.prerelease else [])]


class Releases:
    """Reading needs `repo:read`, everything else `repo:write`. Each change is an event `release`."""

    def __init__(self, store: Store, repositories: Repositories, *, url: str) -> None:
        self._store = store
        self._repositories = repositories
        self._git = Git(repositories)
        self._url = url

    async def _allowed(self, repo: str, principal: Principal, right: str) -> Repository:
        if not principal.may("repo:read", repo):
            raise RepositoryNotFoundError(f"No repository {repo} that {principal.name} may read.")
        repository = await self._repositories.get(repo)
        if not principal.may(right, repo):
            raise NotAllowedError(f"{principal.name} may not do this: it needs the scope {right}:{repo}.")
        return repository

    async def list(self, repo: str, *, principal: Principal, limit: int = 50) -> builtins.list[Release]:
        """Return releases, the newest first; drafts only to who may write."""
        await self._allowed(repo, principal, "repo:read")
        rows = await self._store.read("releases.list", repository=repo, limit=max(1, min(limit, 200)))
        found = [Release.of(row) for row in rows]
        writer = principal.may("repo:write", repo)
        return [release for release in found if writer or not release.draft]

    async def _get(self, repo: str, tag: str) -> Release:
        row = await self._store.one("releases.get", repository=repo, tag=tag)
        if row is None:
            raise ReleaseNotFoundError(f"{repo} has no release {tag!r}: `windlass release list` shows all.")
        return Release.of(row)

    async def create(
        self,
        repo: str,
        tag: str,
        *,
        principal: Principal,
        title: str = "",
        notes: str = "",
        target: str | None = None,
        draft: bool = False,
        prerelease: bool = False,
    ) -> Release:
        """Make a release. A tag that is not there is put on `target`, by default the default branch."""
        repository = await self._allowed(repo, principal, "repo:write")
        tag = branch_ref(tag, "tag").removeprefix("refs/heads/")
        release = Release(
            id=0,
            repository=repo,
            tag=tag,
            title=check_title(title or tag),
            notes=check_body(notes),
            draft=draft,
            prerelease=prerelease,
            target=target or repository.default_branch,
            sha="",
            author=principal.name,
            author_kind=principal.kind,
            created_at=time.time(),
            published_at=None,
        )
        if await self._store.one("releases.get", repository=repo, tag=tag):
            raise PullStateError(f"{repo} has a release {tag} already.")
        release = release if draft else await self._published(release, principal)
        return await self._write(repository, None, release, principal)

    async def _published(self, release: Release, principal: Principal) -> Release:
        """Have the tag, and return the release with its commit."""
        ref = f"refs/tags/{release.tag}"
        sha = await self._git.resolve(release.repository, ref)
        if sha is None:
            sha = await self._git.resolve(release.repository, release.target)
            if sha is None:
                raise RevisionNotFoundError(
                    f"{release.repository} has no branch or commit {release.target!r}."
                )
            if place := await self._repositories.follows(release.repository):
                raise PullStateError(f"{release.repository} follows {place}: make the tag there.")
            await GitWriter(self._repositories, principal).move_ref(release.repository, ref, ZERO, sha)
        return replace(release, draft=False, sha=sha, published_at=time.time())

    async def change(
        self,
        repo: str,
        tag: str,
        *,
        principal: Principal,
        title: str | None = None,
        notes: str | None = None,
        draft: bool | None = None,
        prerelease: bool | None = None,
    ) -> Release:
        """Change words or kind, publish a draft (`draft=False`), or take back (`draft=True`)."""
        repository = await self._allowed(repo, principal, "repo:write")
        before = await self._get(repo, tag)
        after = replace(
            before,
            title=before.title if title is None else check_title(title),
            notes=before.notes if notes is None else check_body(notes),
            prerelease=before.prerelease if prerelease is None else prerelease,
            draft=before.draft if draft is None else draft,
        )
        if before.draft and not after.draft:
            after = await self._published(after, principal)
        return await self._write(repository, before, after, principal)

    async def delete(self, repo: str, tag: str, *, principal: Principal) -> None:
        """Delete a release; its tag stays."""
        repository = await self._allowed(repo, principal, "repo:write")
        before = await self._get(repo, tag)
        await self._write(repository, before, None, principal)

    async def _write(
        self, repository: Repository, before: Release | None, after: Release | None, principal: Principal
    ) -> Release:
        shown = after or before
        assert shown is not None  # noqa: S101 for the type checker: one of them is given
        row: dict[str, Any] = {
            **asdict(shown),
            "draft": int(shown.draft),
            "prerelease": int(shown.prerelease),
        }
        query = (
            "releases.delete" if after is None else "releases.add" if before is None else "releases.change"
        )
        columns = {name: value for name, value in row.items() if name != "id"}
        actor = (principal.name, principal.kind)

        def work(tx: Transaction) -> Release:
            found = tx.one(query, **columns)
            if found is None:
                raise PullStateError(
                    f"The release {shown.tag} was made or deleted by somebody else just now."
                )
            made = replace(shown, id=int(found["id"]))
            for action in actions_of(before, after):
                payload = event_payload(
                    repository, self._url, actor, action=action, release=self._payload(made)
                )
                ref = f"refs/tags/{made.tag}"
                write_event(tx, made.repository, NewEvent("release", action, ref, made.sha, *actor, payload))
            return made

        return await self._store.transact(work)

    def _payload(self, release: Release) -> dict[str, Any]:
        """Return `github.event.release`."""
        api = f"{self._url}/api/v1/repositories/{release.repository}/releases"
        return {
            "id": release.id,
            "tag_name": release.tag,
            "target_commitish": release.target,
            "name": release.title,
            "body": release.notes,
            "draft": release.draft,
            "prerelease": release.prerelease,
            "author": person(release.author, release.author_kind),
            "assets": [],
            "url": api,
            "html_url": api,
            "created_at": stamp(release.created_at),
            "published_at": stamp(release.published_at),
        }
