"""Pages of pull requests: what stands in the way, and the buttons of those who may."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from windlass.web.access import LARGEST, Number, Who, ports_of
from windlass.web.forms import Form, line, one_of, seen
from windlass.web.repository import Repo, Writer  # noqa: TC001 FastAPI reads them
from windlass.web.templating import render

if TYPE_CHECKING:
    from windlass.identity import Principal

router = APIRouter(prefix="/{owner}/{name}")
SHOWN = 50
METHODS = ("merge", "squash", "rebase")


@router.get("/pulls")
async def pulls(
    request: Request,
    repo: Repo,
    who: Who,
    state: Literal["open", "closed", "all"] = "open",
    before: Annotated[int, Query(ge=0, le=LARGEST)] = 0,
) -> Response:
    """List pull requests."""
    found = await ports_of(request).pulls.list(repo, who, state=state, before=before, limit=SHOWN)
    older = found[-1]["number"] if len(found) == SHOWN else None
    remote = await ports_of(request).remotes.get(repo)
    return render(
        request,
        "pulls.html",
        repo=repo,
        pulls=found,
        chosen=state,
        older=older,
        before=before,
        follows=remote.public() if remote else None,
    )


def may_approve(pull: dict[str, Any], who: Principal) -> bool:
    """Whether a button makes sense; what is decided is decided where the approval is written."""
    return who.kind == "user" and who.name != pull["author"] and who.name not in pull["approvals"]


@router.get("/pull/{number}")
async def pull(request: Request, repo: Repo, number: Number, who: Who) -> Response:
    """Show a pull request."""
    ports = ports_of(request)
    found = await ports.pulls.show(repo, number, who)
    checks = [{**check, "href": check["url"].removeprefix(ports.url)} for check in found["checks"]]
    writes = who.may("repo:write", repo)
    may = {"write": writes, "approve": writes and may_approve(found, who)}
    return render(request, "pull.html", repo=repo, pull=found, checks=checks, may=may, methods=METHODS)


@router.post("/pull/{number}/merge")
async def merge(request: Request, repo: Repo, number: Number, who: Writer, form: Form) -> Response:
    """Merge the head that was looked at."""
    method = one_of(form, "method", *METHODS)
    await ports_of(request).pulls.merge(repo, number, who, method=method, sha=line(form, "sha", 40))
    return seen(f"/{repo}/pull/{number}")


@router.post("/pull/{number}/approve")
async def approve(request: Request, repo: Repo, number: Number, who: Writer, form: Form) -> Response:
    """Approve the head that was looked at."""
    await ports_of(request).pulls.approve(repo, number, who, sha=line(form, "sha", 40))
    return seen(f"/{repo}/pull/{number}")


@router.post("/pull/{number}/state")
async def change_state(request: Request, repo: Repo, number: Number, who: Writer, form: Form) -> Response:
    """Close it without merging, or open it again."""
    await ports_of(request).pulls.edit(repo, number, who, state=one_of(form, "state", "open", "closed"))
    return seen(f"/{repo}/pull/{number}")
