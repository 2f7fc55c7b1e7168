"""From a forge's payload to what is to be done about it. Pure.

Pull requests become payloads as GitHub has them, whatever forge they come from, since workflows are written for
these.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from windlass.repos.webhooks import (
    Ping,
    RemoteImage,
    RemotePullRequest,
    RemotePush,
    WebhookError,
    parse_webhook,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

Work = list[dict[str, Any]]
"""What is to be done, as it is kept until it is done: each has a `kind` (`push`, `pull`, `event`)."""

MAX_PAYLOAD = 1 << 20
"""Bytes of a payload that is kept for runs."""
GITEA_ACTIONS = {"synchronized": "synchronize", "label_updated": "labeled", "label_cleared": "unlabeled"}
GITLAB_ACTIONS = {
    "open": "opened",
    "close": "closed",
    "merge": "closed",
    "reopen": "reopened",
    "approved": "",
}
RELEASES = frozenset({"published", "unpublished", "created", "edited", "deleted", "prereleased", "released"})


def work_of(body: bytes) -> Work:
    """Return what a payload asks for; empty for a ping. `WebhookError` says why there is nothing to do."""
    data = _object(body)
    if isinstance(data.get("release"), dict) and isinstance(data.get("repository"), dict):
        return [_release(data, len(body))]
    work: Work = []
    for event in parse_webhook(body):
        if isinstance(event, RemotePush):
            work.append({"kind": "push", **asdict(event)})
        elif isinstance(event, RemotePullRequest):
            work.append(_pull(event, data, len(body)))
        elif isinstance(event, RemoteImage):
            raise WebhookError("An image was pushed elsewhere: nothing here follows that registry.")
        elif not isinstance(event, Ping):
            raise WebhookError("Nothing here knows what to do with it.")
    return work


def _object(body: bytes) -> dict[str, Any]:
    try:
        data = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise WebhookError(f"The payload is not JSON: {error}.") from None
    if not isinstance(data, dict):
        raise WebhookError("The payload is not a JSON object.")
    return data


def _fits(size: int) -> None:
    if size > MAX_PAYLOAD:
        raise WebhookError(f"The payload has more than {MAX_PAYLOAD} bytes, too much to give to a run.")


def _release(data: dict[str, Any], size: int) -> dict[str, Any]:
    _fits(size)
    action, tag = data.get("action"), data["release"].get("tag_name")
    if action == "updated":  # as Gitea says it
        action = "edited"
    if action not in RELEASES or not isinstance(tag, str) or not tag.isprintable():
        raise WebhookError(f"A release of which {action!r} is told starts nothing here.")
    return {
        "kind": "event",
        "name": "release",
        "action": action,
        "tag": tag,
        "payload": {**data, "action": action},
    }


def _pull(event: RemotePullRequest, data: dict[str, Any], size: int) -> dict[str, Any]:
    _fits(size)
    payload = _from_gitlab(event, data) if event.forge == "gitlab" else _from_github(event, data)
    return {"kind": "pull", "forge": event.forge, "number": event.number, "payload": payload}


def _from_github(event: RemotePullRequest, data: dict[str, Any]) -> dict[str, Any]:
    if event.forge not in {"github", "gitea"}:
        raise WebhookError(f"Pull requests of {event.forge} are not followed yet: its pushes are.")
    return {**data, "action": GITEA_ACTIONS.get(event.action, event.action)}


def _side(branch: str, sha: str, project: Mapping[str, Any]) -> dict[str, Any]:
    name = str(project.get("path_with_namespace") or "")
    owner = name.partition("/")[0]
    repo = {
        "full_name": name,
        "name": name.rpartition("/")[2],
        "owner": {"login": owner},
        "html_url": project.get("web_url"),
        "clone_url": project.get("git_http_url"),
        "default_branch": project.get("default_branch"),
    }
    return {"ref": branch, "sha": sha, "label": f"{owner}:{branch}", "repo": repo, "user": {"login": owner}}


def _from_gitlab(event: RemotePullRequest, data: dict[str, Any]) -> dict[str, Any]:
    request = data["object_attributes"]
    action = GITLAB_ACTIONS.get(event.action, event.action)
    if event.action == "update":
        action = "synchronize" if request.get("oldrev") else "edited"
    if not action:
        raise WebhookError(f"A merge request that was {event.action!r} starts nothing here.")
    source, target = request.get("source") or {}, request.get("target") or data["project"]
    user = {"login": str((data.get("user") or {}).get("username") or "unknown")}
    head, base = _side(event.source, event.head, source), _side(event.target, "", target)
    head["repo"]["fork"] = head["repo"]["full_name"] != base["repo"]["full_name"]
    merged = event.action == "merge"
    shown = {
        "number": event.number,
        "title": request.get("title"),
        "body": request.get("description") or None,
        "html_url": request.get("url"),
        "draft": bool(request.get("draft") or request.get("work_in_progress")),
        "state": "closed" if action == "closed" else "open",
        "merged": merged,
        "merge_commit_sha": request.get("merge_commit_sha"),
        "user": user,
        "labels": [
            {"name": label.get("title")} for label in data.get("labels") or [] if isinstance(label, dict)
        ],
        "head": head,
        "base": base,
    }
    payload = {"action": action, "number": event.number, "pull_request": shown, "sender": user}
    if action == "synchronize":
        payload |= {"before": request.get("oldrev"), "after": event.head}
    return {**payload, "repository": base["repo"]}
