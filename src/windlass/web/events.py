"""Server-sent events: says that something changed, so that pages fetch themselves anew."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import anyio
from fastapi import APIRouter, Depends, Request
from fastapi.responses import StreamingResponse

from windlass.identity import Principal
from windlass.web.access import needs, ports_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from windlass.store import Entry, Feed, Store

router = APIRouter()
Reader = Annotated[Principal, Depends(needs("api:read"))]
HEARTBEAT = 20.0
PACE = 0.25  # seconds; what happens in between travels together
MAX_SHOWN = 50
SHOWN = (
    "push*",
    "pull.*",
    "occurrence*",
    "schedule.*",
    "run.*",
    "job.*",
    "step.*",
    "annotation",
    "image.*",
    "artifact.*",
    "coverage",
    "delivery.*",
    "hold.*",
    "repository.*",
    "kube.*",
)
CLUSTER = "kube/applications.argoproj.io/"


def told(entries: Iterable[Entry]) -> list[str]:
    """Return `KIND SUBJECT` of what pages show. Of the cluster that is Applications only, under one name."""
    found = set()
    for entry in entries:
        if not entry.kind.startswith("kube."):
            found.add(f"{entry.kind} {entry.subject}")
        elif entry.subject.startswith(CLUSTER):
            found.add(f"application.changed application/{entry.subject.removeprefix(CLUSTER)}")
    return sorted(found)[:MAX_SHOWN]


async def _next(feed: Feed) -> tuple[int, list[str]]:
    """Wait for what pages show; (0, []) after a heartbeat without any."""
    last = 0
    found: list[str] = []
    with anyio.move_on_after(HEARTBEAT):
        while not found:
            entries = await feed.wait()
            await anyio.sleep(PACE)
            entries += await feed.wait(0)
            last, found = entries[-1].id, told(entries)
    return last, found


async def _changes(store: Store) -> AsyncIterator[str]:
    """Yield one event for each batch of ledger entries, with their kinds and subjects (never their data)."""
    with store.subscribe(*SHOWN) as feed:
        yield "retry: 1000\n\n"
        while True:
            last, found = await _next(feed)
            yield f"id: {last}\ndata: {json.dumps(found)}\n\n" if found else ": still here\n\n"


@router.get("/events", tags=["events"])
async def events(request: Request, who: Reader) -> StreamingResponse:  # noqa: ARG001 the gate
    """Stream what changes: each event is a JSON list of `KIND SUBJECT`, at most four a second."""
    stream = _changes(ports_of(request).store)
    return StreamingResponse(stream, media_type="text/event-stream", headers={"Cache-Control": "no-store"})
