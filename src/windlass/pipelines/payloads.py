"""The payloads of events that happen here, as GitHub's webhooks have them. Pure.

`repository` and `sender` are added when an event is planned, for they are the same in all.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from windlass.pipelines.context import ref_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from windlass.pipelines.records import Run
    from windlass.repos import Push

STATES = {"requested": "queued", "in_progress": "in_progress", "completed": "completed"}


def stamp(at: float | None) -> str | None:
    """Return a time as GitHub writes it."""
    return None if at is None else f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}"


def person(name: str) -> dict[str, Any]:
    """Return a user as payloads name one."""
    return {"login": name, "id": name, "type": "User"}


def ref_payload(push: Push, default_branch: str) -> dict[str, Any]:
    """`create` and `delete` of a branch or tag."""
    return {
        "ref": ref_name(push.ref),
        "ref_type": "tag" if push.ref.startswith("refs/tags/") else "branch",
        "full_ref": push.ref,
        "master_branch": default_branch,
        "description": None,
        "pusher_type": "user",
    }


def package_payload(action: str, pushed: tuple[str, str, str], at: float, url: str) -> dict[str, Any]:
    """`registry_package`: an image was pushed: its name, tag and digest. `url` is this server's."""
    image, tag, digest = pushed
    owner, _, name = image.partition("/")
    host = url.partition("//")[2]
    version = {
        "id": digest,
        "version": digest,
        "name": digest,
        "description": "",
        "html_url": f"{url}/v2/{image}/manifests/{digest}",
        "created_at": stamp(at),
        "updated_at": stamp(at),
        "container_metadata": {"tag": {"name": tag, "digest": digest}, "labels": {}, "manifest": {}},
        "package_url": f"{host}/{image}:{tag}",
    }
    package = {
        "id": image,
        "name": name,
        "namespace": owner,
        "description": "",
        "ecosystem": "CONTAINER",
        "package_type": "CONTAINER",
        "html_url": f"{url}/v2/{image}/tags/list",
        "created_at": stamp(at),
        "updated_at": stamp(at),
        "owner": person(owner),
        "package_version": version,
        "registry": {"name": "Windlass registry", "type": "container", "url": url, "vendor": "Windlass"},
    }
    return {"action": action, "registry_package": package}


def run_payload(
    run: Run, action: str, conclusion: str | None, cause: Mapping[str, Any], url: str
) -> dict[str, Any]:
    """`workflow_run`: a run was requested, began, or is over. `cause` is the payload of the run's own event."""
    pull = cause.get("pull_request") or {}
    head = pull.get("head") or {}
    page = f"{url}/runs/{run.id}"
    workflow = {"id": run.path, "name": run.workflow, "path": run.path, "state": "active"}
    told = {
        "id": run.id,
        "name": run.workflow,
        "display_title": run.title,
        "path": run.path,
        "workflow_id": run.path,
        "run_number": run.number,
        "run_attempt": run.attempt,
        "event": run.event,
        "status": STATES[action],
        "conclusion": conclusion,
        "head_branch": head.get("ref") or ref_name(run.ref),
        "head_sha": head.get("sha") or run.sha,
        "head_commit": cause.get("head_commit"),
        "pull_requests": [_pull(pull)] if pull else [],
        "actor": person(run.actor),
        "triggering_actor": person(run.actor),
        "created_at": stamp(run.created_at),
        "run_started_at": stamp(run.started_at or run.created_at),
        "updated_at": stamp(run.finished_at or run.started_at or run.created_at),
        "html_url": page,
        "url": f"{url}/api/v1/runs/{run.id}",
        "logs_url": f"{url}/api/v1/runs/{run.id}/logs",
        "repository": cause.get("repository"),
        "head_repository": head.get("repo") or cause.get("repository"),
    }
    return {"action": action, "workflow": workflow, "workflow_run": told}


def _pull(pull: Mapping[str, Any]) -> dict[str, Any]:
    sides = {
        side: {key: (pull.get(side) or {}).get(key) for key in ("ref", "sha")} for side in ("head", "base")
    }
    return {"id": pull.get("id"), "number": pull.get("number"), **sides}
