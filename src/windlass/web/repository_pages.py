"""Pages of one repository: where it comes from, what happened there, what is started by hand, releases."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from windlass.pipelines import waits_for
from windlass.web.access import Before, Who, ports_of
from windlass.web.forms import Form, line, seen
from windlass.web.happened import happened
from windlass.web.repository import Repo, Starter, hosted
from windlass.web.templating import render

router = APIRouter(prefix="/{owner}/{name}")
SHOWN = 50
TOLD_SHOWN = 20
INPUT = "input."
Ref = Annotated[str, Query(max_length=255)]


@router.get("")
async def repository(request: Request, repo: Repo) -> Response:
    """Show where it comes from, who may deploy where, and what ran last."""
    ports = ports_of(request)
    remote = await ports.remotes.get(repo)
    told = sorted(await ports.remotes.told(repo), key=lambda row: -(row["told_at"] or row["next_at"]))
    return render(
        request,
        "repository.html",
        repo=repo,
        hosted=await hosted(request, repo),
        url=ports.url,
        remote=remote.public() if remote else None,
        webhooks=(await ports.remotes.arrived(repo))[:TOLD_SHOWN] if remote else [],
        told=told[:TOLD_SHOWN],
        environments=await ports.runs.environments.all(repo),
        runs=await ports.runs.runs(repo, limit=8),
    )


@router.get("/events")
async def events(request: Request, repo: Repo, pushes: Before = None, others: Before = None) -> Response:
    """List what happened, with the runs that it started or the reason for none; and what the clock will start."""
    ports = ports_of(request)
    page = await happened(ports.store, ports.runs, repo, (pushes, others), SHOWN)
    first = pushes is None and others is None
    schedules = [
        {**asdict(row), "reason": waits_for(row.cron, row.timezone, row.next_at)}
        for row in (await ports.runs.schedules(repo) if first else [])
    ]
    return render(request, "events.html", repo=repo, page=page, first=first, schedules=schedules)


@router.get("/dispatch")
async def dispatch_form(request: Request, repo: Repo, who: Who, ref: Ref = "") -> Response:
    """Show the workflows of a branch or tag that are started by hand, each with a form of its inputs."""
    ports = ports_of(request)
    found = await ports.runs.startable(repo, ref)
    environments = [item.name for item in await ports.runs.environments.all(repo)]
    may = who.may("api:write", f"actions/{repo}")
    return render(request, "dispatch.html", repo=repo, found=found, environments=environments, may=may)


@router.post("/dispatch")
async def dispatch(request: Request, repo: Repo, who: Starter, form: Form) -> Response:
    """Start one, and show its run."""
    inputs = {name.removeprefix(INPUT): value for name, value in form.items() if name.startswith(INPUT)}
    number = await ports_of(request).runs.dispatch(
        repo, line(form, "workflow"), line(form, "ref"), inputs, actor=who.name, kind=who.kind
    )
    return seen(f"/runs/{number}")


@router.get("/releases")
async def releases(request: Request, repo: Repo, who: Who) -> Response:
    """List releases; drafts only to those who may write."""
    found = await ports_of(request).pulls.releases(repo, who, limit=SHOWN)
    return render(request, "releases.html", repo=repo, releases=found)
