"""The page of a job: its steps, and its log as far as it goes; `log.js` follows from there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.responses import Response

from windlass.identity import Principal
from windlass.web.access import Number, StepNumber, needs, ports_of
from windlass.web.api.runs import whole
from windlass.web.logtext import log_lines
from windlass.web.templating import render

if TYPE_CHECKING:
    from windlass.pipelines import Pipelines

router = APIRouter()
Reader = Annotated[Principal, Depends(needs("api:read"))]
MAX_SHOWN = 256 * 1024


async def _so_far(runs: Pipelines, number: int, key: str, step: int | None) -> tuple[bytes, bool]:
    """Return the log so far, up to `MAX_SHOWN` bytes of whole lines, and whether that is all of it."""
    text = bytearray()
    async for block in runs.logs(number, key, step):
        text += block
        if len(text) > MAX_SHOWN:
            return bytes(text[: text.rfind(b"\n", 0, MAX_SHOWN) + 1]), False
    return bytes(text), True


@router.get("/runs/{number}/jobs/{key}")
async def job(request: Request, number: Number, key: str, who: Reader, step: StepNumber = None) -> Response:  # noqa: ARG001 the gate
    """Show a job's log as it is written."""
    found = await whole(request, number)
    chosen = next((row for row in found["jobs"] if row["key"] == key), None)
    if chosen is None:
        raise HTTPException(404, f"Run {number} has no job {key}.")
    one = next((row for row in chosen["steps"] if row["step"] == step), None)
    if step is not None and one is None:
        raise HTTPException(404, f"Job {key} of run {number} has no step {step} (yet).")
    text, complete = await _so_far(ports_of(request).runs, number, key, step)
    over = (one or chosen)["status"] == "completed"
    query = {"job": key, **({"step": step} if step is not None else {})}
    plain = f"/api/v1/runs/{number}/logs?{urlencode(query)}"
    follow = {"follow": "true", "skip": len(text)}
    return render(
        request,
        "job.html",
        run=found["run"],
        job=chosen,
        step=one,
        lines=log_lines(text.decode(errors="replace")),
        plain=plain,
        source="" if over and complete else f"{plain}&{urlencode(follow)}",
    )
