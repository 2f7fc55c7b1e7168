"""REST: releases."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field

from windlass.web.access import Who, ports_of

router = APIRouter(prefix="/repositories/{owner}/{name}/releases", tags=["releases"])


class NewRelease(BaseModel):
    """A release to make. A tag that is not there is put on `target`, by default the default branch."""

    tag: str = Field(min_length=1, max_length=255)
    title: str = Field("", max_length=256)
    notes: str = Field("", max_length=65_536)
    target: str | None = Field(None, min_length=1, max_length=255)
    draft: bool = False
    prerelease: bool = False


class Change(BaseModel):
    """What is to change; what is left out stays. `draft: false` publishes."""

    title: str | None = Field(None, max_length=256)
    notes: str | None = Field(None, max_length=65_536)
    draft: bool | None = None
    prerelease: bool | None = None


@router.get("")
async def list_releases(
    request: Request, owner: str, name: str, who: Who, limit: Annotated[int, Query(ge=1, le=200)] = 50
) -> list[dict[str, Any]]:
    """List releases, the newest first; drafts only to who may write."""
    return await ports_of(request).pulls.releases(f"{owner}/{name}", who, limit=limit)


@router.post("", status_code=201)
async def create_release(
    request: Request, owner: str, name: str, body: NewRelease, who: Who
) -> dict[str, Any]:
    """Make a release."""
    what = body.model_dump()
    return await ports_of(request).pulls.release(f"{owner}/{name}", what.pop("tag"), who, **what)


@router.patch("/{tag:path}")
async def change_release(  # noqa: PLR0917 FastAPI's signature
    request: Request, owner: str, name: str, tag: str, body: Change, who: Who
) -> dict[str, Any]:
    """Change a release, or publish a draft."""
    what = body.model_dump(exclude_none=True)
    return await ports_of(request).pulls.change_release(f"{owner}/{name}", tag, who, **what)


@router.delete("/{tag:path}", status_code=204)
async def delete_release(request: Request, owner: str, name: str, tag: str, who: Who) -> Response:
    """Delete a release; its tag stays."""
    await ports_of(request).pulls.delete_release(f"{owner}/{name}", tag, who)
    return Response(status_code=204)
