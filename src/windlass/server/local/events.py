"""The event that a run is made for, as its payload would come from a forge. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from windlass.server.local.errors import NothingChosenError
from windlass.workflow import Event
from windlass.workflow.grammar.events import EVENTS

if TYPE_CHECKING:
    from windlass.server.local.checkout import Checkout
    from windlass.server.local.snapshot import Snapshot
    from windlass.workflow import Workflow

SERVER = "https://github.com"
PULL_REQUEST = 1
ZERO = "0" * 40
_OTHERS = frozenset({"repository_dispatch", "schedule", "workflow_call", "workflow_dispatch"})
PULLS = frozenset({"pull_request", "pull_request_target"})


def known(name: str) -> str:
    """Return the event's name. Raises `NothingChosenError` for one that GitHub does not have."""
    if name not in EVENTS and name not in _OTHERS:
        raise NothingChosenError(f"there is no event {name!r}; `windlass run --list` shows what starts what")
    return name


def base_of(name: str, checkout: Checkout, snapshot: Snapshot) -> str:
    """Return the commit that the event compares with: what `origin` has, or one before where it has all of it."""
    if name in PULLS:
        branch = checkout.default_branch
        remote = checkout.refs.get(f"refs/remotes/origin/{branch}", "")
        return remote or checkout.refs.get(f"refs/heads/{branch}", "")
    return checkout.upstream if checkout.upstream != snapshot.sha else ""


def ref_of(name: str, checkout: Checkout) -> str:
    """Return `github.ref` of the event."""
    if name == "pull_request":
        return f"refs/pull/{PULL_REQUEST}/merge"
    if name in {"pull_request_target", "schedule", "repository_dispatch"}:
        return f"refs/heads/{checkout.default_branch}"
    return checkout.ref


def build(  # noqa: PLR0917 one for each thing that an event tells of
    name: str,
    checkout: Checkout,
    snapshot: Snapshot,
    before: str,
    paths: tuple[str, ...] | None,
    given: Mapping[str, Any] | None = None,
) -> Event:
    """Return the event. What `given` holds stands in the place of what was made up."""
    person = {"login": checkout.actor, "type": "User"}
    payload: dict[str, Any] = {"repository": _repository(checkout), "sender": person}
    if name == "push":
        payload |= _push(checkout, snapshot, before)
    elif name in PULLS:
        payload |= _pull_request(checkout, snapshot, before)
    elif types := EVENTS.get(name, ("", ""))[0].split():
        payload["action"] = types[0]
    payload = merged(payload, given or {})
    ref = str(payload.get("ref") or "") if name == "push" else ""
    return Event(name, ref or ref_of(name, checkout), payload, paths)


def merged(made: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return `made` with what `given` says in its place, mapping by mapping."""
    result = dict(made)
    for key, value in given.items():
        old = result.get(key)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        result[key] = merged(old, value) if both else value  # type: ignore[arg-type]
    return result


def for_workflow(event: Event, workflow: Workflow, inputs: Mapping[str, Any]) -> Event:
    """Complete the payload with what only the workflow file says: its cron line, its type, its inputs."""
    trigger = workflow.triggers.get(event.name)
    payload = dict(event.payload)
    if event.name == "schedule" and trigger and trigger.schedules and "schedule" not in payload:
        payload["schedule"] = trigger.schedules[0].cron
    if event.name == "workflow_dispatch":
        payload |= {"inputs": dict(inputs), "workflow": workflow.path, "ref": event.ref}
    if trigger and trigger.types and payload.get("action") not in trigger.types:
        payload["action"] = trigger.types[0]
    return Event(event.name, event.ref, payload, event.paths)


def _repository(checkout: Checkout) -> dict[str, Any]:
    owner, _, name = checkout.repository.partition("/")
    url = f"{SERVER}/{checkout.repository}"
    return {
        "name": name,
        "full_name": checkout.repository,
        "owner": {"login": owner, "name": owner, "type": "User"},
        "private": True,
        "visibility": "private",
        "fork": False,
        "default_branch": checkout.default_branch,
        "master_branch": checkout.default_branch,
        "html_url": url,
        "url": url,
        "clone_url": f"{url}.git",
    }


def _push(checkout: Checkout, snapshot: Snapshot, before: str) -> dict[str, Any]:
    who = {"name": checkout.actor, "email": checkout.email, "username": checkout.actor}
    commit = {
        "id": snapshot.sha,
        "message": snapshot.subject,
        "author": who,
        "committer": who,
        "distinct": True,
        "url": f"{SERVER}/{checkout.repository}/commit/{snapshot.sha}",
    }
    return {
        "ref": checkout.ref,
        "before": before or ZERO,
        "after": snapshot.sha,
        "created": not before,
        "deleted": False,
        "forced": False,
        "base_ref": None,
        "compare": f"{SERVER}/{checkout.repository}/compare/{(before or ZERO)[:12]}...{snapshot.sha[:12]}",
        "commits": [commit],
        "head_commit": commit,
        "pusher": {"name": checkout.actor, "email": checkout.email},
    }


def _pull_request(checkout: Checkout, snapshot: Snapshot, before: str) -> dict[str, Any]:
    person = {"login": checkout.actor, "type": "User"}
    repository = _repository(checkout)

    def side(ref: str, sha: str) -> dict[str, Any]:
        owner = repository["owner"]
        return {
            "ref": ref,
            "sha": sha,
            "label": f"{owner['login']}:{ref}",
            "user": owner,
            "repo": repository,
        }

    url = f"{SERVER}/{checkout.repository}/pull/{PULL_REQUEST}"
    return {
        "action": "opened",
        "number": PULL_REQUEST,
        "pull_request": {
            "number": PULL_REQUEST,
            "title": snapshot.subject,
            "body": "",
            "state": "open",
            "draft": False,
            "merged": False,
            "labels": [],
            "user": person,
            "author_association": "OWNER",
            "head": side(checkout.branch, snapshot.sha),
            "base": side(checkout.default_branch, before or ZERO),
            "merge_commit_sha": snapshot.sha,
            "html_url": url,
            "url": url,
        },
    }
