"""REST: pull requests, and the protection of branches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, Field

from windlass.identity import Principal
from windlass.web.access import Number, Who, needs, ports_of

if TYPE_CHECKING:
    from windlass.web.ports import PullRequests

router = APIRouter(prefix="/repositories/{owner}/{name}", tags=["pull requests"])
Admin = Annotated[Principal, Depends(needs("api:admin"))]
Branch = Annotated[str, Field(min_length=1, max_length=255)]
Sha = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]


class NewPull(BaseModel):
    """A pull request to open. `base` is the default branch where it is left out, `title` the last commit's subject."""

    head: Branch
    base: Branch | None = None
    title: str | None = Field(None, max_length=256)
    body: str = Field("", max_length=65_536)
    draft: bool = False


class Edit(BaseModel):
    """What is to change; what is left out stays. `state` closes or opens again."""

    title: str | None = Field(None, max_length=256)
    body: str | None = Field(None, max_length=65_536)
    base: Branch | None = None
    draft: bool | None = None
    state: Literal["open", "closed"] | None = None


class Merge(BaseModel):
    """How to merge. `sha`: only if the head is at this commit. `title` and `message` are the commit's."""

    method: Literal["merge", "squash", "rebase"] = "merge"
    sha: Sha | None = None
    title: str | None = Field(None, max_length=256)
    message: str | None = Field(None, max_length=65_536)


class Approval(BaseModel):
    """An approval of the head. `sha`: only if the head is at this commit."""

    sha: Sha | None = None


class Rule(BaseModel):
    """The rule of the branches that match a pattern."""

    pattern: Branch
    checks: list[str] = Field(default=[], max_length=100)
    all_checks: bool = False
    approvals: int = Field(0, ge=0, le=10)
    direct_pushes: bool = False


def _pulls(request: Request) -> PullRequests:
    return ports_of(request).pulls


@router.get("/pulls")
async def list_pulls(  # noqa: PLR0917 FastAPI's signature
    request: Request,
    owner: str,
    name: str,
    who: Who,
    state: Literal["open", "closed", "all"] = "open",
    before: Annotated[int, Query(ge=0, le=2**53)] = 0,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> list[dict[str, Any]]:
    """List pull requests, the newest first."""
    where = {"state": state, "before": before, "limit": limit}
    return await _pulls(request).list(f"{owner}/{name}", who, **where)


@router.post("/pulls", status_code=201)
async def create_pull(request: Request, owner: str, name: str, body: NewPull, who: Who) -> dict[str, Any]:
    """Open a pull request."""
    return await _pulls(request).create(f"{owner}/{name}", who, **body.model_dump())


@router.get("/pulls/{number}")
async def show_pull(request: Request, owner: str, name: str, number: Number, who: Who) -> dict[str, Any]:
    """Show a pull request with its checks, approvals, paths, and what keeps it from being merged."""
    return await _pulls(request).show(f"{owner}/{name}", number, who)


@router.patch("/pulls/{number}")
async def edit_pull(  # noqa: PLR0917 FastAPI's signature
    request: Request, owner: str, name: str, number: Number, body: Edit, who: Who
) -> dict[str, Any]:
    """Change a pull request, close it, or open it again."""
    return await _pulls(request).edit(f"{owner}/{name}", number, who, **body.model_dump(exclude_none=True))


@router.put("/pulls/{number}/merge")
async def merge_pull(  # noqa: PLR0917 FastAPI's signature
    request: Request, owner: str, name: str, number: Number, body: Merge, who: Who
) -> dict[str, Any]:
    """Merge a pull request; 409 with every reason where it may not be merged."""
    return await _pulls(request).merge(f"{owner}/{name}", number, who, **body.model_dump())


@router.post("/pulls/{number}/approvals", status_code=201)
async def approve_pull(  # noqa: PLR0917 FastAPI's signature
    request: Request, owner: str, name: str, number: Number, body: Approval, who: Who
) -> dict[str, Any]:
    """Approve the head as it is now; people only, and not what is their own."""
    return await _pulls(request).approve(f"{owner}/{name}", number, who, sha=body.sha)


@router.get("/protections")
async def list_rules(request: Request, owner: str, name: str, who: Who) -> list[dict[str, Any]]:
    """List the rules of a repository's branches."""
    return await _pulls(request).rules(f"{owner}/{name}", who)


@router.put("/protections", status_code=204)
async def set_rule(request: Request, owner: str, name: str, body: Rule, who: Admin) -> Response:
    """Keep a rule, in place of the one of the same pattern."""
    await _pulls(request).protect(f"{owner}/{name}", who, **body.model_dump())
    return Response(status_code=204)


@router.delete("/protections", status_code=204)
async def drop_rule(request: Request, owner: str, name: str, pattern: str, who: Admin) -> Response:
    """Drop a rule."""
    await _pulls(request).unprotect(f"{owner}/{name}", who, pattern)
    return Response(status_code=204)
