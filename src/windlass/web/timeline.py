"""Where the time went: spans of time as bars on one axis. Pure; the templates draw them as SVG."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

AXIS = 1000.0
LEAST = 4.0
"""Width of the axis, and of the shortest bar that one still sees, in units of the drawing."""

STEPS = {
    "applied_at": ("apply", "apply"),
    "ready_at": ("start new pods", "start"),
    "verified_candidate_at": ("verify without traffic", "verify"),
    "cut_over_at": ("cut over", "cut"),
    "verified_live_at": ("verify through the address", "verify"),
    "finalised_at": ("end old pods", "end"),
    "detected_at": ("until found bad", "bad"),
    "traffic_back_at": ("give traffic back", "back"),
    "evidence_at": ("keep evidence", "end"),
    "restored_at": ("put the previous version in place", "back"),
    "reverted_at": ("revert in git", "back"),
}
NOW = {
    "waiting": "waiting",
    "applying": "apply",
    "progressing": "start new pods",
    "verifying": "verify",
    "rolling_back": "roll back",
}
TONES = {"success": "run", "failure": "bad", "timed_out": "bad", "cancelled": "back"}


@dataclass(frozen=True, slots=True)
class Span:
    """Something that took time. `end` is None while it lasts; `kind` chooses the colour."""

    name: str
    start: float
    end: float | None
    kind: str
    href: str = ""


@dataclass(frozen=True, slots=True)
class Bar:
    """A span on the axis: `x` and `width` in 0…AXIS, `seconds` so far, `going` while it lasts."""

    name: str
    kind: str
    href: str
    start: float
    seconds: float
    going: bool
    x: float
    width: float


@dataclass(frozen=True, slots=True)
class Timeline:
    """Bars on one axis of `seconds`."""

    bars: tuple[Bar, ...]
    seconds: float
    going: bool


def timeline(spans: Sequence[Span], now: float) -> Timeline | None:
    """Place spans on an axis from the first start to the last end; None without any."""
    if not spans:
        return None
    first = min(span.start for span in spans)
    last = max(now if span.end is None else span.end for span in spans)
    whole = max(last - first, 0.001)
    bars = []
    for span in spans:
        seconds = max(0.0, (now if span.end is None else span.end) - span.start)
        width = min(AXIS, max(LEAST, seconds / whole * AXIS))
        x = min((span.start - first) / whole * AXIS, AXIS - width)
        bars.append(
            Bar(
                span.name,
                span.kind,
                span.href,
                span.start,
                seconds,
                span.end is None,
                round(x, 1),
                round(width, 1),
            )
        )
    return Timeline(tuple(bars), last - first, any(bar.going for bar in bars))


def of_jobs(run: Mapping[str, Any], jobs: Iterable[Mapping[str, Any]]) -> list[Span]:
    """Return the spans of a run: the wait before its first job, then each job that has begun."""
    begun = [job for job in jobs if job["started_at"]]
    spans = [
        Span(
            job["name"],
            job["started_at"],
            job["finished_at"],
            TONES.get(job["conclusion"] or "", "run"),
            f"/runs/{run['id']}/jobs/{job['key']}",
        )
        for job in begun
    ]
    start = min((span.start for span in spans), default=None)
    if run["attempt"] == 1 and start is not None and start - run["created_at"] > 0.1:
        spans.insert(0, Span("waiting", run["created_at"], start, "end"))
    return spans


def of_delivery(delivery: Mapping[str, Any]) -> list[Span]:
    """Return the spans of a delivery, one for each time stamp that it has reached, and the one that lasts."""
    href = f"/deliveries/{delivery['id']}"
    begin = delivery["committed_at"] or delivery["created_at"]
    stamps = [(name, delivery[name]) for name in STEPS if delivery[name] is not None]
    stamps = [("", begin), *sorted(stamps, key=lambda stamp: stamp[1])]
    spans = [
        Span(STEPS[name][0], before, at, STEPS[name][1], href) for (_, before), (name, at) in pairwise(stamps)
    ]
    if delivery["ended_at"] is None:
        spans.append(Span(NOW.get(delivery["state"], "under way"), stamps[-1][1], None, "going", href))
    elif len(stamps) == 1:
        spans.append(Span(str(delivery["state"]).replace("_", " "), begin, delivery["ended_at"], "end", href))
    return spans


def first_deliveries(deliveries: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the first delivery to each Application that was not overtaken: the one that a commit is there for."""
    found: dict[str, dict[str, Any]] = {}
    for item in deliveries:
        key = item["delivery"]["application"]
        if key not in found or found[key]["delivery"]["state"] == "superseded":
            found[key] = item
    return list(found.values())


def of_commit(runs: Iterable[Mapping[str, Any]], deliveries: Iterable[Mapping[str, Any]]) -> list[Span]:
    """Return the spans of a commit's chain: its runs, then deliveries."""
    spans = [span for item in runs for span in of_jobs(item["run"], item["jobs"])]
    return spans + [span for item in deliveries for span in of_delivery(item["delivery"])]


def pods_of(evidence: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the pods that a delivery's verifications have asked, by name."""
    rows = [
        row
        for item in evidence
        if item["kind"] in {"verification-candidate", "verification-live", "answers"}
        and isinstance(item["data"], list)
        for row in item["data"]
        if isinstance(row, dict)
    ]
    return sorted({str(row["pod"]) for row in rows if row.get("pod") and "/" not in str(row["pod"])})


def live_after(found: Mapping[str, Any]) -> float | None:
    """Return the seconds from the push to the first verification through the public address; None: not (yet)."""
    reached = [item["delivery"]["verified_live_at"] for item in found["deliveries"]]
    reached = [at for at in reached if at is not None]
    begin = min((push["at"] for push in found["pushes"]), default=None)
    return min(reached) - begin if reached and begin is not None else None
