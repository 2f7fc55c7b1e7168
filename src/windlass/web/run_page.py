"""The page of a run: its jobs, what they wait for, and the buttons of those who may."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.responses import Response

from windlass.identity import Principal
from windlass.web.access import Number, Person, needs, ports_of
from windlass.web.api.runs import whole
from windlass.web.forms import Form, line, one_of, seen
from windlass.web.templating import render
from windlass.web.timeline import of_jobs, timeline

if TYPE_CHECKING:
    from windlass.pipelines import Environment, Run

router = APIRouter()
Reader = Annotated[Principal, Depends(needs("api:read"))]
Writer = Annotated[Principal, Depends(needs("api:write"))]


def gate_of(rules: Environment, run: Run, who: Principal) -> dict[str, Any]:
    """Say who may let a job pass that waits for an environment, and whether who looks is one of them. Pure."""
    able = [name for name in rules.approvers if rules.may_approve(name, run)]
    mine = who.kind == "user" and who.name in able and who.may("api:write", "*")
    return {"name": rules.name, "approvers": able, "may": mine}


async def _gates(request: Request, found: dict[str, Any], who: Principal) -> dict[str, Any]:
    """Return what jobs that wait for an approval wait for, by their keys."""
    runs, gates = ports_of(request).runs, {}
    waiting = [job for job in found["jobs"] if job["status"] == "waiting"]
    run = await runs.run_record(found["run"]["id"]) if waiting else None
    for job in waiting:
        name = str((job["environment"] or {}).get("name", ""))
        rules = await runs.environments.get(found["run"]["repository"], name)
        if run is not None and rules is not None and job["reason"] and job["reason"]["code"] == "approval":
            gates[job["key"]] = gate_of(rules, run, who)
    return gates


@router.get("/runs/{number}")
async def run(request: Request, number: Number, who: Reader) -> Response:
    """Show a run."""
    found = await whole(request, number)
    return render(
        request,
        "run.html",
        times=timeline(of_jobs(found["run"], found["jobs"]), time.time()),
        gates=await _gates(request, found, who),
        approvals=await ports_of(request).runs.environments.approvals(number),
        writes=who.may("api:write", "*"),
        **found,
    )


def _job(form: dict[str, str]) -> str:
    """Return the job that is meant. Empty would mean all of them, which no button says."""
    if not (job := line(form, "job")):
        raise HTTPException(422, "job is the key of a job of this run")
    return job


@router.post("/runs/{number}/approvals")
async def decide(request: Request, number: Number, who: Person, may: Writer, form: Form) -> Response:  # noqa: ARG001 the gate
    """Approve or reject a job that waits for its environment."""
    decision = one_of(form, "decision", "approve", "reject")
    await ports_of(request).runs.environments.decide(
        number, _job(form), who, approved=decision == "approve", comment=line(form, "comment")
    )
    return seen(f"/runs/{number}")


@router.post("/runs/{number}/cancel")
async def cancel(request: Request, number: Number, who: Writer) -> Response:
    """Cancel a run."""
    await ports_of(request).runs.cancel(number, actor=who.name)
    return seen(f"/runs/{number}")


@router.post("/runs/{number}/rerun")
async def rerun(request: Request, number: Number, who: Writer, form: Form) -> Response:
    """Run it again: all of it, what failed, or one job."""
    what = one_of(form, "what", "all", "failed", "job")
    job = _job(form) if what == "job" else ""
    await ports_of(request).runs.rerun(number, actor=who.name, failed=what == "failed", job=job)
    return seen(f"/runs/{number}")


@router.post("/runs/{number}/replay")
async def replay(request: Request, number: Number, who: Writer) -> Response:
    """Make a new run of the same files, actions and images, and show it."""
    return seen(f"/runs/{await ports_of(request).runs.replay(number, actor=who.name)}")
