"""REST: workflow runs, their logs and artifacts."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Query, Request
from fastapi.responses import FileResponse, Response, StreamingResponse
from pydantic import BaseModel

from windlass.identity import Principal
from windlass.web.access import LARGEST, Before, Number, StepNumber, needs, ports_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from windlass.pipelines import Pipelines, Run, RunDetail

router = APIRouter(tags=["runs"])
Reader = Annotated[Principal, Depends(needs("api:read"))]
Writer = Annotated[Principal, Depends(needs("api:write"))]


class Dispatch(BaseModel):
    """A run started by hand: workflow file, branch or tag (empty: the default branch), and inputs."""

    repository: str
    workflow: str
    ref: str = ""
    inputs: dict[str, Any] = {}


def brief(request: Request, run: Run) -> dict[str, Any]:
    """Return a run as the API tells it."""
    return {**asdict(run), "url": f"{ports_of(request).url}/runs/{run.id}"}


def jobs_of(detail: RunDetail) -> list[dict[str, Any]]:
    """Return the jobs of a run, each with its steps."""
    steps: dict[str, list[dict[str, Any]]] = {}
    for step in detail.steps:
        steps.setdefault(step.job, []).append(asdict(step))
    return [{**asdict(job), "steps": steps.get(job.id, [])} for job in detail.jobs]


async def whole(request: Request, number: int) -> dict[str, Any]:
    """Return a run with jobs, steps, annotations, images, artifacts and its first error."""
    runs = ports_of(request).runs
    detail = await runs.detail(number)
    failed = detail.run.conclusion in {"failure", "cancelled"}
    error = await runs.first_error(number) if failed else None
    return {
        "run": asdict(detail.run),
        "jobs": jobs_of(detail),
        "annotations": [asdict(item) for item in detail.annotations],
        "images": [asdict(item) for item in detail.images],
        "artifacts": [asdict(item) for item in detail.artifacts],
        "builds": [asdict(item) for item in detail.builds],
        "coverage": detail.coverage,
        "deployments": list(detail.deployments),
        "pins": detail.pins,
        "first_error": asdict(error) if error else None,
        "url": f"{ports_of(request).url}/runs/{number}",
    }


@router.get("/actions")
async def actions(request: Request, who: Reader) -> dict[str, str]:  # noqa: ARG001 the gate
    """Say where actions come from that are not hosted here; `mirror` is empty where they come from nowhere."""
    return {"mirror": ports_of(request).runs.settings.actions_mirror}


@router.get("/runs")
async def list_runs(
    request: Request,
    who: Reader,  # noqa: ARG001 the gate
    *,
    repository: str | None = None,
    ref: str | None = None,
    before: Before = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> list[dict[str, Any]]:
    """List runs, newest first; `before` (a run's id) pages on. 404 for a repository that is not hosted here."""
    found = await ports_of(request).runs.runs(repository, ref=ref, before=before, limit=limit)
    if not found and repository is not None:
        await ports_of(request).hosting.get(repository)
    return [brief(request, run) for run in found]


@router.post("/runs", status_code=201)
async def dispatch(request: Request, body: Dispatch, who: Writer) -> dict[str, Any]:
    """Start a workflow by hand (`workflow_dispatch`)."""
    number = await ports_of(request).runs.dispatch(
        body.repository, body.workflow, body.ref, body.inputs, actor=who.name, kind=who.kind
    )
    return await whole(request, number)


@router.get("/runs/{number}")
async def show_run(request: Request, number: Number, who: Reader) -> dict[str, Any]:  # noqa: ARG001 the gate
    """Show a run with everything that belongs to it."""
    return await whole(request, number)


@router.post("/runs/{number}/cancel", status_code=202)
async def cancel(request: Request, number: Number, who: Writer, *, force: bool = False) -> Response:
    """Cancel a run: its jobs are asked to end; `force` kills them."""
    await ports_of(request).runs.cancel(number, actor=who.name, force=force)
    return Response(status_code=202)


@router.post("/runs/{number}/rerun", status_code=201)
async def rerun(
    request: Request,
    number: Number,
    who: Writer,
    *,
    failed: bool = False,
    job: Annotated[str, Query(max_length=500)] = "",
    debug: bool = False,
) -> dict[str, Any]:
    """Run a run again: all of it, what failed, or one job; with what needs them. `debug` has steps tell more."""
    await ports_of(request).runs.rerun(number, actor=who.name, failed=failed, job=job, debug=debug)
    return await whole(request, number)


@router.post("/runs/{number}/replay", status_code=201)
async def replay(request: Request, number: Number, who: Writer) -> dict[str, Any]:
    """Repeat a run: a new one with the same files, event and inputs, and the actions and images that it used."""
    return await whole(request, await ports_of(request).runs.replay(number, actor=who.name))


async def _log(
    runs: Pipelines, number: int, keys: list[str], step: int | None, *, follow: bool, tail: int | None
) -> AsyncIterator[bytes]:
    for key in keys:
        if len(keys) > 1:
            yield f"==> {key}\n".encode()
        async for block in runs.logs(number, key, step, follow=follow, tail=tail):
            yield block


async def _after(skip: int, stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async for block in stream:
        if skip < len(block):
            yield block[skip:]
        skip = max(0, skip - len(block))


async def _keys(request: Request, number: int, job: str | None, step: int | None) -> list[str]:
    detail = await ports_of(request).runs.detail(number)
    keys = [found.key for found in detail.jobs]
    if job is None:
        return keys
    if job not in keys:
        raise HTTPException(404, f"run {number} has no job {job}: it has {', '.join(keys) or 'none'}")
    found = detail.jobs[keys.index(job)]
    steps = [each.step for each in detail.steps if each.job == found.id]
    if step is not None and step not in steps and found.status == "completed":
        there = f"its steps are {', '.join(map(str, steps))}" if steps else "none of its steps ran"
        raise HTTPException(404, f"job {job} of run {number} has no step {step}: {there}")
    return [job]


@router.get("/runs/{number}/logs", response_class=StreamingResponse)
async def logs(
    request: Request,
    number: Number,
    who: Reader,  # noqa: ARG001 the gate
    job: str | None = None,
    step: StepNumber = None,
    *,
    follow: bool = False,
    skip: Annotated[int, Query(ge=0, le=LARGEST)] = 0,
    tail: Annotated[int | None, Query(ge=1, le=LARGEST)] = None,
) -> StreamingResponse:
    """Stream a run's log, or one job's or step's of it; `follow` goes on until it ends.

    `skip` leaves out that many bytes at its beginning, for those who have them already. `tail` begins so many lines
    before the end of a job's last log, or of the step's: of a log of any length this takes no longer.
    """
    keys = await _keys(request, number, job, step)
    stream = _after(skip, _log(ports_of(request).runs, number, keys, step, follow=follow, tail=tail))
    return StreamingResponse(
        stream, media_type="text/plain; charset=utf-8", headers={"X-Accel-Buffering": "no"}
    )


@router.get("/runs/{number}/artifacts/{name}", response_class=FileResponse)
async def artifact(request: Request, number: int, name: str, who: Reader) -> FileResponse:  # noqa: ARG001 the gate
    """Download an artifact as a zip file."""
    _, path = await ports_of(request).runs.artifacts.get(number, name)
    return FileResponse(path, media_type="application/zip", filename=f"{name}.zip")
