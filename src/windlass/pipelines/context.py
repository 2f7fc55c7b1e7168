"""The `github` context and the payload of events, as GitHub has them. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from windlass.pipelines.records import ZERO

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from windlass.pipelines.records import Run
    from windlass.repos import Commit, Push, Repository

SKIP = re.compile(r"\[(?:skip ci|ci skip|no ci|skip actions|actions skip)\]", re.IGNORECASE)
SKIP_TRAILER = re.compile(r"^skip-checks:\s*true\s*$", re.IGNORECASE | re.MULTILINE)
MAX_COMMITS = 20


def asks_to_skip(commit: Commit) -> bool:
    """Whether the commit's message asks for no runs (`[skip ci]` and its siblings)."""
    message = f"{commit.subject}\n\n{commit.body}"
    return bool(SKIP.search(message) or SKIP_TRAILER.search(message))


def ref_name(ref: str) -> str:
    """Return the short name of a branch, tag or pull request."""
    for prefix in ("refs/heads/", "refs/tags/", "refs/pull/"):
        if ref.startswith(prefix):
            return ref.removeprefix(prefix)
    return ref


def repository_payload(repository: Repository, server_url: str) -> dict[str, Any]:
    """`github.event.repository`."""
    owner, _, name = repository.name.partition("/")
    url = f"{server_url}/{repository.name}"
    return {
        "name": name,
        "full_name": repository.name,
        "owner": {"login": owner, "name": owner, "type": "User"},
        "private": True,
        "visibility": "private",
        "default_branch": repository.default_branch,
        "master_branch": repository.default_branch,
        "html_url": url,
        "url": url,
        "clone_url": f"{url}.git",
        "git_url": f"{url}.git",
        "created_at": int(repository.created),
    }


def sender_payload(actor: str, kind: str) -> dict[str, Any]:
    """`github.event.sender`: the principal who caused the event."""
    return {"login": actor, "id": actor, "type": "User" if kind in {"user", "forge"} else "Bot"}


def _person(who: Any) -> dict[str, str]:
    return {"name": who.name, "email": who.email, "username": who.name}


def commit_payload(commit: Commit, url: str) -> dict[str, Any]:
    """One entry of `github.event.commits`, and `head_commit`."""
    return {
        "id": commit.sha,
        "message": f"{commit.subject}\n\n{commit.body}".strip(),
        "timestamp": datetime.fromtimestamp(commit.date, UTC).isoformat(),
        "url": f"{url}/commit/{commit.sha}",
        "author": _person(commit.author),
        "committer": _person(commit.committer),
        "distinct": True,
    }


def push_payload(
    push: Push, repository: Repository, commits: Sequence[Commit], *, forced: bool, server_url: str
) -> dict[str, Any]:
    """Return the payload of `push`. `commits` are newest first, the head in front; GitHub lists the oldest first."""
    url = f"{server_url}/{repository.name}"
    listed = [commit_payload(commit, url) for commit in reversed(commits)]
    return {
        "ref": push.ref,
        "before": push.before,
        "after": push.after,
        "created": push.before == ZERO,
        "deleted": push.after == ZERO,
        "forced": forced,
        "base_ref": None,
        "compare": f"{url}/compare/{push.before[:12]}...{push.after[:12]}",
        "commits": listed,
        "head_commit": listed[-1] if listed else None,
        "repository": repository_payload(repository, server_url),
        "pusher": {"name": push.pusher, "email": ""},
        "sender": sender_payload(push.pusher, push.pusher_kind),
    }


def withheld(event: str, payload: Mapping[str, Any]) -> bool:
    """Whether a run gets no secrets and a token that only reads: code of a fork, which anybody may have written.

    `pull_request_target` runs the base's own file and commit, so it gets both, as on GitHub.
    """
    if event == "pull_request_target" or not event.startswith("pull_request"):
        return False
    pull = payload.get("pull_request") or {}
    head, base = (((pull.get(side) or {}).get("repo") or {}).get("full_name") for side in ("head", "base"))
    return head is None or head != base


def github_context(run: Run, payload: dict[str, Any], server_url: str) -> dict[str, Any]:
    """`github`, without what only the job's process knows (token, job, workspace, action…)."""
    owner = run.repository.partition("/")[0]
    pull = payload.get("pull_request") or {}
    repository = payload.get("repository") or {}
    return {
        "event": payload,
        "event_name": run.event,
        "sha": run.sha,
        "ref": run.ref,
        "ref_name": ref_name(run.ref),
        "ref_type": "tag" if run.ref.startswith("refs/tags/") else "branch",
        "ref_protected": False,
        "base_ref": (pull.get("base") or {}).get("ref", ""),
        "head_ref": (pull.get("head") or {}).get("ref", ""),
        "repository": run.repository,
        "repository_id": str(repository.get("id", run.repository)),
        "repository_owner": owner,
        "repository_owner_id": owner,
        "repository_visibility": "private",
        "repositoryUrl": f"{server_url.replace('http', 'git', 1)}/{run.repository}.git",
        "run_id": str(run.id),
        "run_number": str(run.number),
        "run_attempt": str(run.attempt),
        "retention_days": "90",
        "actor": run.actor,
        "actor_id": run.actor,
        "triggering_actor": run.actor,
        "workflow": run.workflow,
        "workflow_ref": f"{run.repository}/{run.path}@{run.ref}",
        "workflow_sha": run.sha,
        "server_url": server_url,
        "api_url": f"{server_url}/api/v3",
        "graphql_url": f"{server_url}/api/graphql",
        "secret_source": "Actions",
    }
