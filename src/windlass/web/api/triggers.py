"""REST: what starts runs beside pushes: dispatches, schedules, and what happened."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, HTTPException, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field, ValidationError

from windlass.identity import Principal
from windlass.pipelines import waits_for
from windlass.web.access import Before, Number, Who, needs, ports_of
from windlass.web.api.runs import brief

router = APIRouter(tags=["triggers"])
github = APIRouter(prefix="/repos/{owner}/{name}", tags=["as on GitHub"])
Sent = TypeVar("Sent", bound=BaseModel)
Reader = Annotated[Principal, Depends(needs("api:read"))]


async def may_start(request: Request, who: Who) -> Principal:
    """Let those pass who may start workflows of the repository: a job with `actions: write`, for instance."""
    return _allowed(request, who, contents=False)


async def may_tell(request: Request, who: Who) -> Principal:
    """Let those pass who may tell the repository of an event; as on GitHub `contents: write` is enough."""
    return _allowed(request, who, contents=True)


def _allowed(request: Request, who: Principal, *, contents: bool) -> Principal:
    name = f"{request.path_params['owner']}/{request.path_params['name']}"
    if who.may("api:write", f"actions/{name}") or (contents and who.may("repo:write", name)):
        return who
    also = f" or repo:write:{name}" if contents else ""
    raise HTTPException(403, f"{who.name} may not do this: it needs the scope api:write:actions/{name}{also}")


Starter = Annotated[Principal, Depends(may_start)]
Teller = Annotated[Principal, Depends(may_tell)]


class RepositoryDispatch(BaseModel):
    """An event of one's own: `on: repository_dispatch` with `types: [event_type]` listens to it."""

    event_type: str = Field(min_length=1, max_length=100)
    client_payload: dict[str, Any] = {}


class WorkflowDispatch(BaseModel):
    """A workflow to start by hand, on a branch or tag, with its inputs."""

    ref: str = Field("", max_length=255)
    inputs: dict[str, Any] = {}
    return_run_details: bool = False


async def _sent(request: Request, kind: type[Sent]) -> Sent:
    """Read a body as GitHub does: it is JSON, whatever `curl --data` says that it is."""
    try:
        return kind.model_validate_json(await request.body())
    except ValidationError as error:
        raise RequestValidationError(error.errors(include_url=False)) from None


@router.post("/repositories/{owner}/{name}/dispatches", status_code=202)
async def dispatch_event(
    request: Request, owner: str, name: str, body: RepositoryDispatch, who: Teller
) -> dict[str, Any]:
    """Tell a repository that something happened (`repository_dispatch`); `GET /occurrences/ID` says what it started."""
    number = await _tell(request, f"{owner}/{name}", body, who)
    return {"id": number, "url": f"{ports_of(request).url}/api/v1/occurrences/{number}"}


async def _tell(request: Request, repository: str, body: RepositoryDispatch, who: Principal) -> int:
    runs = ports_of(request).runs
    return await runs.dispatch_event(
        repository, body.event_type, body.client_payload, actor=who.name, kind=who.kind
    )


@router.get("/occurrences")
async def list_occurrences(
    request: Request,
    who: Reader,  # noqa: ARG001 the gate
    repository: str | None = None,
    before: Before = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> list[dict[str, Any]]:
    """List what happened beside pushes, newest first: how many runs it started, or why none."""
    found = await ports_of(request).runs.occurrences(repository, before=before, limit=limit)
    return [item.brief() for item in found]


@router.get("/occurrences/{number}")
async def show_occurrence(request: Request, number: Number, who: Reader) -> dict[str, Any]:  # noqa: ARG001 the gate
    """Show one with its payload and its runs. `planned_at` is null until it is decided."""
    item, runs = await ports_of(request).runs.occurrence(number)
    return {**asdict(item), "started": [brief(request, run) for run in runs]}


@router.get("/schedules")
async def list_schedules(
    request: Request,
    who: Reader,  # noqa: ARG001 the gate
    repository: str | None = None,
) -> list[dict[str, Any]]:
    """List the schedules of all default branches, the next one first, each with what it waits for."""
    found = await ports_of(request).runs.schedules(repository)
    return [
        {**asdict(row), "reason": asdict(waits_for(row.cron, row.timezone, row.next_at))} for row in found
    ]


@github.post("/dispatches", status_code=204)
async def github_dispatch(request: Request, owner: str, name: str, who: Teller) -> Response:
    """Tell a repository that something happened, as a workflow on GitHub does through `github.api_url`."""
    await _tell(request, f"{owner}/{name}", await _sent(request, RepositoryDispatch), who)
    return Response(status_code=204)


@github.post("/actions/workflows/{workflow}/dispatches", status_code=204, response_model=None)
async def github_start(request: Request, owner: str, name: str, workflow: str, who: Starter) -> Response:
    """Start a workflow by its file's name, as on GitHub; `return_run_details` answers with the run."""
    body = await _sent(request, WorkflowDispatch)
    ports = ports_of(request)
    number = await ports.runs.dispatch(
        f"{owner}/{name}", workflow, body.ref, body.inputs, actor=who.name, kind=who.kind
    )
    if not body.return_run_details:
        return Response(status_code=204)
    told = {"workflow_run_id": number, "html_url": f"{ports.url}/runs/{number}"}
    return JSONResponse({**told, "run_url": f"{ports.url}/api/v1/runs/{number}"})
