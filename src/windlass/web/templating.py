"""Pages: Jinja2 templates, everything escaped, with the few filters that they share."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup, escape

from windlass.web.logtext import log_lines

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.requests import Request


def duration(seconds: float | None) -> str:
    """Say a duration as people do: 40 ms, 0.4 s, 12 s, 3 min 5 s, 2 h 10 min."""
    if seconds is None:
        return ""
    if seconds < 0.0995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def ago(at: float | None) -> str:
    """Say how long ago a time (seconds since the epoch) is."""
    if not at:
        return ""
    seconds = max(0.0, time.time() - at)
    if seconds < 60:
        return "just now" if seconds < 5 else f"{int(seconds)} s ago"
    for size, unit in ((3600, "min"), (86400, "h"), (float("inf"), "d")):
        if seconds < size:
            return f"{int(seconds // {'min': 60, 'h': 3600, 'd': 86400}[unit])} {unit} ago"
    return ""


def until(at: float) -> str:
    """Say how far off a time is."""
    return "now" if (left := at - time.time()) <= 0 else f"in {duration(max(1.0, left))}"


def clock(at: float | None) -> str:
    """Format a time for machines and tool tips (RFC 3339, UTC)."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z") if at else ""


def short(sha: str | None) -> str:
    """Shorten a commit or a digest as git does."""
    return (sha or "").removeprefix("sha256:")[:7]


def branch(ref: str | None) -> str:
    """Return the name of a branch or tag without `refs/…/`."""
    return (ref or "").removeprefix("refs/heads/").removeprefix("refs/tags/")


def since(at: float | None) -> str:
    """Say how long something has been going on."""
    return "" if at is None else duration(max(0.0, time.time() - at))


def time_of_day(at: float | None) -> str:
    """Format a time to the tenth of a second (UTC), for rows that stand close together."""
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S.%f")[:-5] if at else ""


def image(name: str) -> str:
    """Shorten an image's name to what people tell it by: its last part, and the beginning of its digest."""
    before, _, digest = name.rpartition("/")[2].partition("@")
    return f"{before} @{digest[:19]}" if digest else before


def given(query: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is there of an address's query."""
    return {name: value for name, value in query.items() if value is not None}


def outside(address: str) -> Markup:
    """Return a link to an address of a service; anything but HTTP stays text."""
    if not address.startswith(("http://", "https://")):
        return escape(address)
    return Markup('<a href="{0}" rel="noreferrer">{0}</a>').format(address)


COLUMNS = (
    "at",
    "pod",
    "request",
    "status",
    "milliseconds",
    "fault",
    "body",
    "type",
    "reason",
    "message",
    "count",
)


def coded(text: str) -> Markup:
    """Escape a sentence and set what stands between backticks as code."""
    parts = [escape(part) for part in str(text).split("`")]
    if len(parts) % 2 == 0:  # one without its other
        return escape(text)
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if odd % 2 else part for odd, part in enumerate(parts)
    )


def rows(data: Any) -> list[dict[str, Any]]:
    """Return evidence as rows of a table; none where it is of another form."""
    if not isinstance(data, list) or not all(isinstance(row, dict) for row in data):
        return []
    return [dict.fromkeys(COLUMNS) | row for row in data]


KINDS = ("note", "answers", "log", "events", "verification-candidate", "verification-live")


def by_kind(evidence: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Order evidence by what tells most, keeping the order within a kind (the pod that failed comes first)."""
    return sorted(
        evidence, key=lambda item: KINDS.index(item["kind"]) if item["kind"] in KINDS else len(KINDS)
    )


def grouped(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Fold rows that say the same as the one before: `times`, and `until` when."""
    folded: list[dict[str, Any]] = []
    for row in found:
        before = folded[-1] if folded else None
        if before and all(
            before[name] == row[name] for name in ("pod", "request", "status", "fault", "body")
        ):
            folded[-1] = before | {"times": before["times"] + 1, "until": row["at"]}
        else:
            folded.append(row | {"times": 1, "until": row["at"]})
    return folded


FILTERS = (
    duration,
    ago,
    until,
    clock,
    short,
    branch,
    since,
    time_of_day,
    image,
    outside,
    given,
    coded,
    rows,
    grouped,
    by_kind,
    log_lines,
)


@cache
def environment() -> Environment:
    """Load the templates once; an unknown name in one is an error."""
    made = Environment(
        loader=PackageLoader("windlass.web"),
        autoescape=select_autoescape(),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update({made_of.__name__: made_of for made_of in FILTERS})
    return made


def render(
    request: Request,
    template: str,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    **values: Any,
) -> HTMLResponse:
    """Render a page."""
    who = request.scope.get("windlass.principal")
    text = environment().get_template(template).render(path=request.url.path, who=who, **values)
    return HTMLResponse(text.encode(errors="replace"), status, dict(headers or {}))
