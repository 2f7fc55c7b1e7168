"""What happened in a repository, pushes and everything else, and what came of it: for "why did nothing run?"."""

from __future__ import annotations

from dataclasses import dataclass
from heapq import merge
from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from windlass.pipelines import Pipelines
    from windlass.store import Store

ZERO = "0" * 40


@dataclass(frozen=True, slots=True)
class Page:
    """Rows, the newest first, and where the next page begins: ids of a push and an occurrence, None at the end."""

    rows: list[dict[str, Any]]
    pushes: int | None
    others: int | None


def merged(pushes: list[dict[str, Any]], others: list[dict[str, Any]], limit: int) -> Page:
    """Put two lists, each the newest first, into one. Pure.

    Of each list a beginning is taken, so that the next page goes on behind it.
    """
    rows = list(islice(merge(pushes, others, key=lambda row: -row["at"]), limit))
    if len(pushes) + len(others) <= limit:
        return Page(rows, None, None)
    last = {
        source: min((row["id"] for row in rows if row["source"] == source), default=None)
        for source in ("push", "other")
    }
    return Page(rows, last["push"], last["other"])


def of_push(row: dict[str, Any]) -> dict[str, Any]:
    """Return a push as a row of the page."""
    change = "deleted" if row["new_sha"] == ZERO else "created" if row["old_sha"] == ZERO else ""
    sha = "" if row["new_sha"] == ZERO else row["new_sha"]
    named = {"source": "push", "event": "push", "title": "", "path": None, "action": change, "sha": sha}
    return {**row, **named, "actor": row["pusher"], "actor_kind": row["pusher_kind"]}


async def happened(
    store: Store, runs: Pipelines, repo: str, before: tuple[int | None, int | None], limit: int
) -> Page:
    """Return a page of what happened, each row with the runs that it started."""
    found = await store.read("happened.pushes", repository=repo, before=before[0], limit=limit + 1)
    pushes = [of_push(dict(row)) for row in found]
    listed = await runs.occurrences(repo, before=before[1], limit=limit + 1)
    others = [{**item.brief(), "source": "other", "at": item.created_at} for item in listed]
    page = merged(pushes, others, limit)
    following = (page.pushes or before[0], page.others or before[1])
    started = {
        "push": await _started(store, repo, "pushes", (row for row in page.rows if row["source"] == "push")),
        "other": await _started(
            store, repo, "occurrences", (row for row in page.rows if row["source"] == "other")
        ),
    }
    rows = [{**row, "started": started[row["source"]].get(row["id"], [])} for row in page.rows]
    more = page.pushes is not None or page.others is not None
    return Page(rows, *(following if more else (None, None)))


async def _started(
    store: Store, repo: str, kind: str, causes: Iterable[dict[str, Any]]
) -> dict[int, list[dict[str, Any]]]:
    ids = [row["id"] for row in causes if row["runs"]]
    if not ids:
        return {}
    between = {"oldest": min(ids), "newest": max(ids)}
    found: dict[int, list[dict[str, Any]]] = {}
    for run in await store.read(f"happened.runs_of_{kind}", repository=repo, **between):
        found.setdefault(run["cause"], []).append(dict(run))
    return found
