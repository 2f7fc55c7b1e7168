"""The dashboard: pages made on the server from the same questions that the API answers."""

from __future__ import annotations

import re
import time
from dataclasses import asdict
from typing import Annotated, Any

import yaml
from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.responses import FileResponse, Response

from windlass.delivery import Record
from windlass.identity import Principal
from windlass.web.access import Before, Number, needs, ports_of
from windlass.web.api.commits import Sha, trace
from windlass.web.api.deliveries import APPLICATION_NAME, delivery_of
from windlass.web.api.runs import artifact as download
from windlass.web.templating import render
from windlass.web.timeline import (
    first_deliveries,
    live_after,
    of_commit,
    of_delivery,
    pods_of,
    timeline,
)

APPLICATION = re.compile(APPLICATION_NAME)
MOVING_SHOWN = 12
router = APIRouter()
Reader = Annotated[Principal, Depends(needs("api:read"))]
SHOWN = 50


async def with_changes(request: Request, found: list[Record]) -> list[dict[str, Any]]:
    """Return deliveries with the change that each carries (the latest run that published its digest) and its bars."""
    ids = [item.id for item in found] or [0]
    carried = await ports_of(request).store.read("commits.carried", oldest=min(ids), newest=max(ids))
    changes = {row["delivery"]: row for row in carried}
    now = time.time()
    return [
        {
            **asdict(item),
            "final": item.final,
            "change": changes.get(item.id),
            "times": timeline(of_delivery(asdict(item)), now),
        }
        for item in found
    ]


def pretty(data: Any) -> str:
    """Write evidence of another kind for people."""
    return (
        data
        if isinstance(data, str)
        else yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=120)
    )


@router.get("/")
async def overview(request: Request, who: Reader) -> Response:  # noqa: ARG001 the gate
    """Show what is live, what is on its way, and what ran last."""
    ports = ports_of(request)
    return render(
        request,
        "overview.html",
        applications=await ports.deliveries.applications(),
        deliveries=await with_changes(request, await ports.deliveries.list(limit=8)),
        runs=await ports.runs.runs(limit=8),
        moving=await _moving(request),
        url=ports.url,
    )


async def _moving(request: Request) -> list[dict[str, Any]]:
    """Return what has not ended, and what each waits for: runs, then deliveries."""
    ports = ports_of(request)
    rows = []
    for status in ("in_progress", "queued", "pending"):
        for run in await ports.runs.runs(status=status, limit=MOVING_SHOWN):
            why = run.reason.text if run.reason else await _under_way(request, run.id)
            what = f"{run.workflow} #{run.number}"
            rows.append(
                {"href": f"/runs/{run.id}", "name": run.title, "what": what, "state": status, "why": why}
            )
    for row in await ports.store.read("delivery.all_open"):
        item = Record.of(row)
        name, why = item.application.rpartition("/")[2], item.reason
        href = f"/deliveries/{item.id}"
        rows.append({"href": href, "name": name, "what": "delivery", "state": item.state, "why": why})
    return rows[:MOVING_SHOWN]


async def _under_way(request: Request, number: int) -> str:
    """Say which jobs of a run are being done, or what the first one waits for."""
    jobs = await ports_of(request).runs.jobs(number)
    doing = [job.name for job in jobs if job.status == "in_progress"]
    waits = next((job.reason.text for job in jobs if job.reason and job.status != "completed"), "")
    return f"doing {', '.join(doing)}" if doing else waits


@router.get("/runs")
async def runs(
    request: Request,
    who: Reader,  # noqa: ARG001 the gate
    repository: str | None = None,
    before: Before = None,
) -> Response:
    """List runs."""
    found = await ports_of(request).runs.runs(repository, before=before, limit=SHOWN)
    older = found[-1].id if len(found) == SHOWN else None
    return render(request, "runs.html", runs=found, repository=repository, older=older, before=before)


@router.get("/runs/{number}/artifacts/{name}", response_class=FileResponse)
async def artifact(request: Request, number: Number, name: str, who: Reader) -> FileResponse:
    """Download an artifact."""
    return await download(request, number, name, who)


@router.get("/deliveries")
async def deliveries(request: Request, who: Reader, before: Before = None) -> Response:  # noqa: ARG001 the gate
    """List deliveries."""
    found = await ports_of(request).deliveries.list(before=before or 0, limit=SHOWN)
    older = found[-1].id if len(found) == SHOWN else None
    rows = await with_changes(request, found)
    return render(request, "deliveries.html", deliveries=rows, older=older, before=before)


@router.get("/deliveries/{number}")
async def delivery(request: Request, number: Number, who: Reader) -> Response:  # noqa: ARG001 the gate
    """Show a delivery with its evidence."""
    found = await delivery_of(request, number)
    times = timeline(of_delivery(found["delivery"]), time.time())
    pods = pods_of(found["evidence"])
    return render(request, "delivery.html", pretty=pretty, times=times, pods=pods, **found)


@router.get("/applications")
async def applications(request: Request, who: Reader) -> Response:  # noqa: ARG001 the gate
    """List Applications with sync and health."""
    found = await ports_of(request).deliveries.applications()
    return render(request, "applications.html", applications=found)


@router.get("/applications/{namespace}/{name}")
async def application(request: Request, namespace: str, name: str, who: Reader) -> Response:  # noqa: ARG001 the gate
    """Show one Application with its resources and deliveries."""
    asked = ports_of(request).deliveries
    key = f"{namespace}/{name}"
    if not APPLICATION.fullmatch(key):
        raise HTTPException(404, f"{key} cannot be the name of an Application.")
    found = await asked.application(key)
    rows = await with_changes(request, await asked.list(key, limit=SHOWN))
    return render(request, "application.html", app=found, deliveries=rows)


@router.get("/repositories")
async def repositories(request: Request, who: Reader) -> Response:
    """List hosted repositories."""
    ports = ports_of(request)
    rows = [row for row in await ports.hosting.list() if who.may("repo:read", row.name)]
    remotes = {remote.repository: remote.public() for remote in await ports.remotes.list()}
    return render(request, "repositories.html", repositories=rows, remotes=remotes, url=ports.url)


async def _deliveries(request: Request, ids: list[int]) -> list[Record]:
    """Return deliveries by their ids, newest first."""
    rows = [await ports_of(request).store.read("delivery.get", id=number) for number in sorted(ids)[-SHOWN:]]
    return [Record.of(row) for found in reversed(rows) for row in found]


@router.get("/commits/{sha}")
async def commit(request: Request, sha: Sha, who: Reader) -> Response:  # noqa: ARG001 the gate
    """Show the chain of one commit, from push to pods."""
    found = await trace(request, sha)
    first = first_deliveries(found["deliveries"])
    times = timeline(of_commit(found["runs"], first), time.time())
    known = {item["delivery"]["id"] for item in first}
    others = [item["delivery"]["id"] for item in found["deliveries"] if item["delivery"]["id"] not in known]
    later = await with_changes(request, await _deliveries(request, others))
    pods = {item["delivery"]["id"]: pods_of(item["evidence"]) for item in found["deliveries"]}
    chain = {**found, "verdict": found["state"]}
    return render(
        request,
        "commit.html",
        times=times,
        first=first,
        later=later,
        pods=pods,
        live_after=live_after(found),
        **chain,
    )
