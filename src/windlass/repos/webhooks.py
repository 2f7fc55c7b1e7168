"""Reads what forges and registries send when something happened there. Pure.

The body's own shape tells who sent it; headers are not needed. Nothing is trusted: every field is checked for its
type, and a payload that lacks what makes it an event is refused with the name of what is missing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from windlass.repos.errors import ReposError
from windlass.repos.records import ZERO

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MAX_BODY = 25 << 20  # GitHub's own limit
T = TypeVar("T")


class WebhookError(ReposError):
    """The payload is of no forge that is known, or lacks what makes it an event."""


@dataclass(frozen=True, slots=True)
class RemotePush:
    """A ref moved on a forge. `before` and `after` are `ZERO` where the ref was made or deleted, or not told."""

    forge: str
    repository: str
    url: str
    ref: str
    before: str
    after: str
    pusher: str


@dataclass(frozen=True, slots=True)
class RemotePullRequest:
    """A pull or merge request was opened, changed or closed. `head` is the commit that it asks to merge."""

    forge: str
    repository: str
    url: str
    number: int
    action: str
    source: str
    target: str
    head: str


@dataclass(frozen=True, slots=True)
class RemoteImage:
    """An image was pushed to a registry. `digest` is empty where the registry does not tell it."""

    registry: str
    repository: str
    tag: str
    digest: str


@dataclass(frozen=True, slots=True)
class Ping:
    """The forge only tries whether anybody listens."""

    forge: str
    repository: str


Event = RemotePush | RemotePullRequest | RemoteImage | Ping


def parse_webhook(body: bytes) -> tuple[Event, ...]:
    """Return the events of one payload; `WebhookError` says why there is none."""
    if len(body) > MAX_BODY:
        raise WebhookError(f"The payload has more than {MAX_BODY} bytes.")
    try:
        data = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise WebhookError(f"The payload is not JSON: {error}.") from None
    if not isinstance(data, dict):
        raise WebhookError("The payload is not a JSON object.")
    for recognise, read in FORGES:
        if recognise(data):
            events = tuple(read(data))
            if not events:
                raise WebhookError("The payload tells of no ref that moved.")
            return events
    raise WebhookError(
        "The payload is of no kind that is known (pushes, pull requests and pings of GitHub, Gitea, Gogs, GitLab, "
        "Bitbucket and Azure DevOps; images of GHCR and Docker Hub)."
    )


def _find(data: Any, path: str, kind: type[T]) -> T | None:
    for name in path.split("."):
        data = data.get(name) if isinstance(data, dict) else None
    return data if isinstance(data, kind) and not (kind is int and isinstance(data, bool)) else None


def _text(data: Any, path: str) -> str:
    found = _find(data, path, str)
    if found is None or not found.isprintable() or len(found) > 2048:
        raise WebhookError(f"{path} is missing, or no text of one line.")
    return found


def _first(data: Any, *paths: str) -> str:
    """Return the first of `paths` that is there, or nothing."""
    return next((_text(data, path) for path in paths if _find(data, path, str)), "")


def _number(data: Any, path: str) -> int:
    found = _find(data, path, int)
    if found is None:
        raise WebhookError(f"{path} is missing, or no number.")
    return found


def _each(data: Any, path: str) -> list[Any]:
    found = _find(data, path, list)
    if found is None or len(found) > 10_000:
        raise WebhookError(f"{path} is missing, or no list of a sensible length.")
    return found


def _github(data: dict[str, Any]) -> Iterator[Event]:
    forge = "gitea" if _find(data, "compare_url", str) else "github"
    name, url = (
        _text(data, "repository.full_name"),
        _first(data, "repository.clone_url", "repository.html_url"),
    )
    if isinstance(data.get("pull_request"), dict):
        request = data["pull_request"]
        sides = _text(request, "head.ref"), _text(request, "base.ref"), _text(request, "head.sha")
        yield RemotePullRequest(forge, name, url, _number(request, "number"), _text(data, "action"), *sides)
    elif "zen" in data:
        yield Ping(forge, name)
    else:
        states = _text(data, "ref"), _text(data, "before"), _text(data, "after")
        pusher = _first(data, "pusher.name", "pusher.login", "pusher.username", "sender.login")
        yield RemotePush(forge, name, url, *states, pusher)


def _gitlab(data: dict[str, Any]) -> Iterator[Event]:
    kind, name = _text(data, "object_kind"), _text(data, "project.path_with_namespace")
    url = _first(data, "project.git_http_url", "project.http_url", "project.web_url")
    if kind in {"push", "tag_push"}:
        states = _text(data, "ref"), _text(data, "before"), _text(data, "after")
        yield RemotePush("gitlab", name, url, *states, _first(data, "user_username", "user_name"))
    elif kind == "merge_request":
        request = data.get("object_attributes")
        sides = _text(request, "source_branch"), _text(request, "target_branch")
        action, head = _first(request, "action", "state"), _first(request, "last_commit.id")
        yield RemotePullRequest("gitlab", name, url, _number(request, "iid"), action, *sides, head)
    else:
        raise WebhookError(f"GitLab's {kind!r} starts nothing here.")


def _bitbucket_cloud(data: dict[str, Any]) -> Iterator[Event]:
    name, url = _text(data, "repository.full_name"), _first(data, "repository.links.html.href")
    for change in _each(data, "push.changes"):
        side = "new" if _find(change, "new", dict) else "old"
        folder = "tags" if _text(change, f"{side}.type") == "tag" else "heads"
        before, after = _first(change, "old.target.hash") or ZERO, _first(change, "new.target.hash") or ZERO
        ref = f"refs/{folder}/{_text(change, f'{side}.name')}"
        yield RemotePush("bitbucket", name, url, ref, before, after, _first(data, "actor.nickname"))


def _bitbucket_server(data: dict[str, Any]) -> Iterator[Event]:
    name = f"{_text(data, 'repository.project.key')}/{_text(data, 'repository.slug')}"
    for change in _each(data, "changes"):
        states = _text(change, "ref.id"), _text(change, "fromHash"), _text(change, "toHash")
        yield RemotePush("bitbucket", name, "", *states, _first(data, "actor.name"))


def _azure(data: dict[str, Any]) -> Iterator[Event]:
    kind, resource = _text(data, "eventType"), data.get("resource")
    url = _text(resource, "repository.remoteUrl")
    name = f"{_text(resource, 'repository.project.name')}/{_text(resource, 'repository.name')}"
    if kind == "git.push":
        for update in _each(resource, "refUpdates"):
            states = _text(update, "name"), _text(update, "oldObjectId"), _text(update, "newObjectId")
            yield RemotePush("azure", name, url, *states, _first(resource, "pushedBy.uniqueName"))
    elif kind.startswith("git.pullrequest."):
        number, action = _number(resource, "pullRequestId"), kind.removeprefix("git.pullrequest.")
        branches = [
            _text(resource, f"{side}RefName").removeprefix("refs/heads/") for side in ("source", "target")
        ]
        head = _first(resource, "lastMergeSourceCommit.commitId")
        yield RemotePullRequest("azure", name, url, number, action, branches[0], branches[1], head)
    else:
        raise WebhookError(f"Azure DevOps' {kind!r} starts nothing here.")


def _ghcr(data: dict[str, Any]) -> Iterator[Event]:
    package = data.get("registry_package") or data.get("package")
    if _text(package, "package_type").lower() != "container":
        raise WebhookError("The package is no container image.")
    if _text(data, "action") not in {"published", "updated"}:
        raise WebhookError(f"An image that was {data['action']!r} starts nothing here.")
    owner = _first(package, "namespace", "owner.login")
    tag = "package_version.container_metadata.tag"
    repository = f"{owner}/{_text(package, 'name')}".strip("/").lower()
    yield RemoteImage("ghcr.io", repository, _first(package, f"{tag}.name"), _first(package, f"{tag}.digest"))


def _docker_hub(data: dict[str, Any]) -> Iterator[Event]:
    yield RemoteImage("docker.io", _text(data, "repository.repo_name"), _text(data, "push_data.tag"), "")


Reader = tuple["Callable[[dict[str, Any]], object]", "Callable[[dict[str, Any]], Iterator[Event]]"]
FORGES: tuple[Reader, ...] = (
    (lambda data: "object_kind" in data and "project" in data, _gitlab),
    (lambda data: "eventType" in data and "resource" in data, _azure),
    (lambda data: _find(data, "registry_package", dict) or _find(data, "package", dict), _ghcr),
    (lambda data: _find(data, "push_data", dict), _docker_hub),
    (lambda data: _find(data, "push.changes", list) is not None, _bitbucket_cloud),
    (lambda data: "eventKey" in data and "changes" in data, _bitbucket_server),
    (lambda data: _find(data, "repository.full_name", str), _github),
)
