"""REST: deliveries, Applications, holds."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel, Field

from windlass.identity import Principal
from windlass.web.access import LARGEST, Number, needs, ports_of

if TYPE_CHECKING:
    from windlass.delivery import Record

LABEL = "[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?"
APPLICATION_NAME = f"^({LABEL}/)?{LABEL}$"
ApplicationName = Annotated[str, Path(pattern=APPLICATION_NAME)]
router = APIRouter(tags=["deliveries"])
Reader = Annotated[Principal, Depends(needs("api:read"))]
Writer = Annotated[Principal, Depends(needs("api:write"))]


class Sync(BaseModel):
    """A sync to ask for; without a revision to the branch's tip."""

    revision: str = Field("", max_length=200)


def brief(request: Request, delivery: Record) -> dict[str, Any]:
    """Return a delivery as the API tells it."""
    return {
        **asdict(delivery),
        "final": delivery.final,
        "segments": delivery.segments,
        "url": f"{ports_of(request).url}/deliveries/{delivery.id}",
    }


async def delivery_of(request: Request, number: int) -> dict[str, Any]:
    """Return a delivery with what it deployed, the runs that published it, its durations, and the evidence."""
    report = await ports_of(request).deliveries.get(number)
    return {**asdict(report), "delivery": brief(request, report.delivery)}


@router.get("/deliveries")
async def list_deliveries(
    request: Request,
    who: Reader,  # noqa: ARG001 the gate
    application: str = "",
    before: Annotated[int, Query(ge=0, le=LARGEST)] = 0,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> list[dict[str, Any]]:
    """List deliveries, newest first; `before` (a delivery's id) pages on."""
    found = await ports_of(request).deliveries.list(application, before=before, limit=limit)
    return [brief(request, row) for row in found]


@router.get("/deliveries/{number}")
async def show_delivery(request: Request, number: Number, who: Reader) -> dict[str, Any]:  # noqa: ARG001 the gate
    """Show a delivery with its evidence."""
    return await delivery_of(request, number)


@router.get("/applications")
async def list_applications(request: Request, who: Reader) -> list[dict[str, Any]]:  # noqa: ARG001 the gate
    """List Applications with sync, health and what is live."""
    return [asdict(view) for view in await ports_of(request).deliveries.applications()]


@router.get("/refused-applications")
async def list_refused(request: Request, who: Reader) -> dict[str, list[str]]:  # noqa: ARG001 the gate
    """Tell what keeps Applications in hosted repositories from being used, by repository."""
    return await ports_of(request).deliveries.refused()


@router.post("/applications/{name:path}/sync", status_code=202)
async def sync(request: Request, name: ApplicationName, body: Sync, who: Writer) -> Response:
    """Ask for a sync of an Application (`NAME` or `NAMESPACE/NAME`)."""
    await ports_of(request).deliveries.sync(name, by=who.name, revision=body.revision)
    return Response(status_code=202)


@router.get("/holds")
async def list_holds(request: Request, who: Reader) -> list[dict[str, Any]]:  # noqa: ARG001 the gate
    """List what is held back, and why."""
    return [asdict(hold) for hold in await ports_of(request).deliveries.holds()]


@router.delete("/holds/{application:path}")
async def release_hold(
    request: Request, application: ApplicationName, who: Writer, template: str = ""
) -> list[dict[str, Any]]:
    """Release the holds of an Application (`template`: only that one), so that it may be deployed again."""
    released = await ports_of(request).deliveries.release_hold(application, template, by=who.name)
    return [asdict(hold) for hold in released]
