"""Payloads of events as GitHub's webhooks have them. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from windlass.repos.pulls.records import Pull
    from windlass.repos.records import Repository

USERS = {"user": "User", "robot": "Bot", "job": "Bot"}


def stamp(at: float | None) -> str | None:
    """Return a time as GitHub writes it."""
    return None if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def person(name: str, kind: str = "user") -> dict[str, Any]:
    """Return a principal as GitHub's `user`."""
    return {"login": name, "type": USERS.get(kind, "User"), "site_admin": False}


def repository_payload(repository: Repository, url: str) -> dict[str, Any]:
    """Return `github.event.repository`; `url` is the server's own address."""
    owner, _, name = repository.name.partition("/")
    home = f"{url}/{repository.name}"
    return {
        "name": name,
        "full_name": repository.name,
        "owner": {"login": owner, "name": owner, "type": "User"},
        "private": True,
        "fork": False,
        "visibility": "private",
        "default_branch": repository.default_branch,
        "html_url": home,
        "url": home,
        "clone_url": f"{home}.git",
        "created_at": stamp(repository.created),
    }


def event_payload(repository: Repository, url: str, actor: tuple[str, str], **more: Any) -> dict[str, Any]:
    """Return what every payload has, and `more`."""
    return {**more, "repository": repository_payload(repository, url), "sender": person(*actor)}


def _side(repository: Repository, url: str, branch: str, sha: str) -> dict[str, Any]:
    owner = repository.owner
    return {
        "label": f"{owner}:{branch}",
        "ref": branch,
        "sha": sha,
        "user": person(owner),
        "repo": repository_payload(repository, url),
    }


def pull_payload(pull: Pull, repository: Repository, url: str) -> dict[str, Any]:
    """Return `github.event.pull_request`."""
    home = f"{url}/{pull.repository}/pull/{pull.number}"
    api = f"{url}/api/v1/repositories/{pull.repository}/pulls/{pull.number}"
    merged = pull.merged_at is not None
    return {
        "id": pull.number,
        "number": pull.number,
        "url": api,
        "html_url": home,
        "state": pull.state,
        "locked": False,
        "title": pull.title,
        "body": pull.body or None,
        "user": person(pull.author, pull.author_kind),
        "draft": pull.draft,
        "labels": [],
        "assignees": [],
        "requested_reviewers": [],
        "author_association": "COLLABORATOR",
        "head": _side(repository, url, pull.head, pull.head_sha),
        "base": _side(repository, url, pull.base, pull.base_sha),
        "merged": merged,
        "mergeable": None if pull.state == "closed" else pull.mergeable,
        "merged_by": person(pull.merged_by) if pull.merged_by else None,
        "merge_commit_sha": pull.merged_sha or pull.merge_sha or None,
        "maintainer_can_modify": False,
        "created_at": stamp(pull.created_at),
        "updated_at": stamp(pull.updated_at),
        "closed_at": stamp(pull.closed_at),
        "merged_at": stamp(pull.merged_at),
    }
