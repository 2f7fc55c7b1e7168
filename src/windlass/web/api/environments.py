"""REST: environments of repositories, and letting jobs that wait for one pass."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request, Response
from pydantic import BaseModel, Field

from windlass.identity import Principal
from windlass.pipelines import Environment
from windlass.web.access import Number, Person, needs, ports_of

router = APIRouter(tags=["environments"])
Reader = Annotated[Principal, Depends(needs("api:read"))]
Writer = Annotated[Principal, Depends(needs("api:write"))]
Admin = Annotated[Principal, Depends(needs("api:admin"))]
Name = Annotated[str, Path(max_length=100)]


class Rules(BaseModel):
    """Protection rules. `wait` in seconds; `branches`: patterns, empty for any; `self_approval`: see below.

    With `self_approval` false who started a run may not approve it.
    """

    approvers: list[str] = Field(default=[], max_length=100)
    wait: float = Field(0.0, ge=0, le=30 * 86400, allow_inf_nan=False)
    branches: list[str] = Field(default=[], max_length=100)
    self_approval: bool = True
    variables: dict[str, str] = {}


class Decision(BaseModel):
    """What is decided about jobs that wait: one by its key or name, or all where it is empty."""

    approved: bool
    job: str = Field("", max_length=500)
    comment: str = Field("", max_length=1000)


@router.get("/repositories/{owner}/{name}/environments")
async def list_environments(
    request: Request,
    owner: str,
    name: str,
    who: Reader,  # noqa: ARG001 the gate
) -> list[dict[str, Any]]:
    """List the environments of a repository that have rules or variables."""
    ports = ports_of(request)
    await ports.hosting.get(f"{owner}/{name}")
    found = await ports.runs.environments.all(f"{owner}/{name}")
    return [asdict(item) for item in found]


@router.put("/repositories/{owner}/{name}/environments/{environment:path}")
async def set_environment(  # noqa: PLR0917 FastAPI's way
    request: Request, owner: str, name: str, environment: Name, body: Rules, who: Admin
) -> dict[str, Any]:
    """Set an environment's rules, replacing those that it had."""
    ports = ports_of(request)
    await ports.hosting.get(f"{owner}/{name}")
    given = body.model_dump()
    given |= {part: tuple(given[part]) for part in ("approvers", "branches")}
    made = Environment(f"{owner}/{name}", environment, **given)
    await ports.runs.environments.put(made, actor=who.name)
    return asdict(made)


@router.delete("/repositories/{owner}/{name}/environments/{environment:path}", status_code=204)
async def delete_environment(
    request: Request, owner: str, name: str, environment: Name, who: Admin
) -> Response:
    """Forget an environment's rules: nothing waits for it any more."""
    await ports_of(request).runs.environments.delete(f"{owner}/{name}", environment, actor=who.name)
    return Response(status_code=204)


@router.get("/runs/{number}/approvals")
async def list_approvals(request: Request, number: Number, who: Reader) -> list[dict[str, Any]]:  # noqa: ARG001 the gate
    """List what was decided about a run's jobs, oldest first."""
    return [asdict(item) for item in await ports_of(request).runs.environments.approvals(number)]


@router.post("/runs/{number}/approvals", status_code=201)
async def decide(
    request: Request,
    number: Number,
    body: Decision,
    who: Person,
    may: Writer,  # noqa: ARG001 the gate
) -> dict[str, Any]:
    """Approve or reject jobs that wait for their environment. Only users whom its rules name may."""
    keys = await ports_of(request).runs.environments.decide(
        number, body.job, who, approved=body.approved, comment=body.comment
    )
    return {"run": number, "jobs": keys, "approved": body.approved}
