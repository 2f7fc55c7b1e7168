"""From the chain of a commit to the figures of the demo. Times are seconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Line:
    """How long each segment of a good push took; None where it was not reached."""

    push_to_first_step: float | None
    test: float | None
    build: float | None
    publish: float | None
    commit_to_applied: float | None
    applied_to_ready: float | None
    ready_to_verified: float | None
    total: float | None


@dataclass(frozen=True, slots=True)
class Fault:
    """How long a bad revision took to be found and undone; None where it was not reached."""

    applied_to_old_alone: float | None
    applied_to_reverted: float | None
    verdict_to_traffic_back: float | None


def between(later: float | None, earlier: float | None) -> float | None:
    """Subtract where both are known."""
    return later - earlier if later is not None and earlier is not None else None


def _job(run: dict[str, Any], key: str) -> dict[str, Any]:
    return next((job for job in run["jobs"] if job["job"] == key), {})


def _span(row: dict[str, Any]) -> float | None:
    return between(row.get("finished_at"), row.get("started_at"))


def live_delivery(chain: dict[str, Any]) -> dict[str, Any]:
    """Return the last delivery of a chain, or an empty map."""
    found: dict[str, Any] = chain["deliveries"][-1]["delivery"] if chain["deliveries"] else {}
    return found


def line_of(chain: dict[str, Any], pushed_at: float) -> Line:
    """Read the segments of a good push off its records."""
    run = chain["runs"][0]
    steps = [step for job in run["jobs"] for step in job["steps"] if step["step"] > 0 and step["started_at"]]
    first = min((step["started_at"] for step in steps), default=None)
    built = run["builds"]
    published = [image["at"] for image in run["images"]]
    row = live_delivery(chain)
    build_end = built[0]["at"] if built else None
    return Line(
        push_to_first_step=between(first, pushed_at),
        test=_span(_job(run, "test")),
        build=built[0]["seconds"] if built else None,
        publish=between(published[0], build_end) if published and build_end else None,
        commit_to_applied=between(row.get("applied_at"), row.get("committed_at")),
        applied_to_ready=between(row.get("ready_at"), row.get("applied_at")),
        ready_to_verified=between(row.get("verified_live_at"), row.get("ready_at")),
        total=between(row.get("verified_live_at"), pushed_at),
    )


def fault_of(chain: dict[str, Any]) -> Fault:
    """Read off its delivery how a bad revision was undone."""
    row = live_delivery(chain)
    return Fault(
        applied_to_old_alone=between(row.get("traffic_back_at"), row.get("applied_at")),
        applied_to_reverted=between(row.get("reverted_at"), row.get("applied_at")),
        verdict_to_traffic_back=between(row.get("traffic_back_at"), row.get("detected_at")),
    )
