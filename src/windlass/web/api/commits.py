"""REST: the chain of one commit, from push to pods."""

from __future__ import annotations

import time
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Path, Request

from windlass.identity import Principal
from windlass.web.access import needs, ports_of
from windlass.web.api import deliveries, runs

router = APIRouter(tags=["commits"])
Sha = Annotated[str, Path(pattern=r"^[0-9a-f]{7,64}$")]
Reader = Annotated[Principal, Depends(needs("api:read"))]
NOTHING_FOLLOWS = 5.0
"""Seconds after the last run, after which no delivery of what it published is expected any more."""
MOVING = {"waiting", "applying", "progressing", "verifying", "rolling_back"}


BAD = {"rolled_back", "failed", "held"}


def deciding(found: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Return the delivery by which a commit stands, None where there is none.

    An Application may be delivered with the same images again and again: with a setting that a later GitOps commit
    broke, and back. Where they went live, only what deploys just what went live then tells of this commit.
    """
    chosen: dict[str, dict[str, Any]] = {}
    for key in dict.fromkeys(item["delivery"]["application"] for item in found):
        mine = [item for item in found if item["delivery"]["application"] == key]
        live = [item for item in mine if item["delivery"]["state"] == "live"]
        mine = [item for item in mine if not live or _templates(item) == _templates(live[-1])]
        chosen[key] = mine[-1]["delivery"]
    found_states = sorted(
        chosen.values(), key=lambda item: (item["state"] in MOVING, item["state"] in BAD, item["id"])
    )
    return found_states[-1] if found_states else None


def _templates(item: dict[str, Any]) -> dict[str, str]:
    return (item["deployment"] or {}).get("templates") or {}


def verdict(found_runs: list[dict[str, Any]], found_deliveries: list[dict[str, Any]]) -> tuple[str, bool]:
    """Say where a commit stands, in one word, and whether that is final.

    A commit is not done when its run is green: it is done when what it published is live, or is not going to be.
    """
    open_runs = [run for run in found_runs if run["run"]["status"] != "completed"]
    if open_runs:
        return "running", False
    latest = deciding(found_deliveries)
    if latest is not None:
        return latest["state"], latest["state"] not in MOVING
    failed = [run["run"] for run in found_runs if run["run"]["conclusion"] != "success"]
    if failed:
        return "superseded" if failed[-1]["superseded_by"] else str(failed[-1]["conclusion"]), True
    if not any(run["images"] for run in found_runs):
        return ("built", True) if found_runs else ("pushed", False)
    ended = max(run["run"]["finished_at"] or 0.0 for run in found_runs)
    return "published", time.time() - ended > NOTHING_FOLLOWS


async def trace(request: Request, sha: str) -> dict[str, Any]:
    """Follow a commit (its full id or the first seven characters and more) in both directions.

    A source commit leads to its runs, the digests they published, and the deliveries of those digests. A GitOps
    commit leads to its deliveries, and back to the runs that published what they deploy.
    """
    ports = ports_of(request)
    # "g" comes after every hexadecimal digit, so that these are exactly those that begin with it.
    pushes = await ports.store.read("commits.pushes", low=sha, high=f"{sha}g")
    if not pushes:
        raise HTTPException(
            404, f"no push brought a commit {sha} to a repository here: `windlass runs` shows the latest"
        )
    if len({(push["repository"], push["sha"]) for push in pushes}) > 1:
        raise HTTPException(409, f"{sha} begins more than one commit: give more of it")
    repository, full = pushes[0]["repository"], pushes[0]["sha"]
    found_runs = [
        await runs.whole(request, run.id) for run in await ports.runs.runs_of_commit(repository, full)
    ]
    carried = await ports.deliveries.of_commit(repository, full)
    found_deliveries = [await deliveries.delivery_of(request, item.id) for item in carried]
    state, settled = verdict(found_runs, found_deliveries)
    return {
        "commit": {"repository": repository, "sha": full},
        "pushes": pushes,
        "runs": found_runs,
        "deliveries": found_deliveries,
        "state": state,
        "settled": settled,
        "url": f"{ports.url}/commits/{full}",
    }


@router.get("/commits/{sha}")
async def show_commit(
    request: Request,
    sha: Sha,
    who: Reader,  # noqa: ARG001 the gate
) -> dict[str, Any]:
    """Show the chain of a commit: pushes, runs, digests, deliveries; and where it stands."""
    return await trace(request, sha)
