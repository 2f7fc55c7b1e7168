"""What the person who pushed reads about the deliveries of a commit, line by line."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import anyio

from windlass.delivery.records import ASK, LIVE, ROLLED_BACK, WAITING, Delivery

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

    from windlass.delivery.records import Evidence
    from windlass.store import Store

    Why = Callable[[Delivery], Awaitable[Sequence[str]]]

STEPS = (
    ("applied_at", "applied"),
    ("ready_at", "new pods are ready"),
    ("verified_candidate_at", "verified without traffic"),
    ("cut_over_at", "cut over, the old pods are kept warm"),
    ("verified_live_at", "verified through the public address"),
    ("detected_at", "bad"),
    ("traffic_back_at", "the old version alone has the traffic"),
    ("reverted_at", "the commit was taken back"),
)
ANSWERS = ("answers", "verification-candidate", "verification-live")
BAD_STATUS, LAST, LINE = 400, 4, 200
COLOUR = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
GO_ON = "Ctrl-C ends only this view; the push stands, and what waits goes on by itself"
SETTLE = 1.0
"""Seconds without a new delivery after which no more are awaited."""
ENDS = {
    LIVE: "live",
    "superseded": "superseded",
    ROLLED_BACK: "rolled back",
    "failed": "failed",
    "held": "held",
}


def lines(delivery: Delivery, said: set[tuple[int, str]]) -> list[str]:
    """Return what is new about a delivery, and note in `said` that it was told. Pure but for that."""
    name = delivery.application.rpartition("/")[2]
    found: list[str] = []

    def say(what: str, text: str) -> None:
        if (delivery.id, what) not in said:
            said.add((delivery.id, what))
            found.append(f"{name}: {text}")

    say("begun", f"delivery {delivery.id} of {delivery.revision[:12]}")
    for stamp, step in STEPS:
        at = getattr(delivery, stamp)
        if at is None or (stamp == "reverted_at" and not delivery.revert_commit):
            continue
        first = stamp == "traffic_back_at" and delivery.previous is None
        text = "it got no traffic, and there is no version before it" if first else step
        detail = f": {delivery.reason}" if stamp == "detected_at" and not delivery.final else ""
        detail = (
            f" by {delivery.revert_commit[:12]}"
            if stamp == "reverted_at" and delivery.revert_commit
            else detail
        )
        say(stamp, f"{text}{detail} ({at - (delivery.committed_at or delivery.created_at):.1f} s)")
    if delivery.state == "waiting" and delivery.reason not in ("recorded", ""):
        say(f"waiting {delivery.reason}", f"waiting: {delivery.reason}")
        if not asleep(delivery):
            say("go on", GO_ON)
    if delivery.final:
        seconds = (delivery.ended_at or delivery.created_at) - (delivery.committed_at or delivery.created_at)
        detail = f": {delivery.reason}" if delivery.state != LIVE else ""
        say("ended", f"{ENDS[delivery.state]} after {seconds:.1f} s{detail}")
    return found


def printable(text: str) -> str:
    """Return what a container said as one line that does nothing to a terminal."""
    return "".join(char for char in COLOUR.sub("", text).expandtabs(4) if char.isprintable())


def last_words(evidence: Sequence[Evidence]) -> tuple[str, ...]:
    """Return what shows soonest why a version was bad: the last bad answer, and the end of the candidate's log."""
    found: list[str] = []
    asked = [item.data for item in evidence if item.kind in ANSWERS and isinstance(item.data, list)]
    bad = [row for rows in asked for row in rows if (row.get("status") or 0) >= BAD_STATUS]
    if bad:
        last = max(bad, key=lambda row: row.get("at") or 0.0)
        answer = (
            f"{last.get('pod')}: {last.get('request')} answered {last['status']} {last.get('body') or ''}"
        )
        found.append(printable(answer)[:LINE].rstrip())
    for item in evidence:
        said = [line for each in item.data if (line := printable(each)).strip()] if item.kind == "log" else []
        if said:
            found += [f"{item.subject} said last:", *(f"  {line[:LINE]}" for line in said[-LAST:])]
            break
    return tuple(found)


def asleep(delivery: Delivery) -> bool:
    """Whether it waits for a person, which may take days."""
    return delivery.state == WAITING and delivery.reason == ASK


async def _reasons(delivery: Delivery, said: set[tuple[int, str]], why: Why) -> list[str]:
    """Return what `why` tells of a delivery that has ended, once."""
    if not delivery.final or (delivery.id, "why") in said:
        return []
    said.add((delivery.id, "why"))
    return [f"    {line}" for line in await why(delivery)]


async def refusals(store: Store, repo: str, sha: str = "") -> list[str]:
    """Return what is wrong with the Applications in a repository's folder: now, or if that is at a commit."""
    row = await store.one("delivery.adoption", subject=f"repo/{repo}")
    data = json.loads(row["data"]) if row and row["kind"] == "applications.refused" else {}
    return list(data["problems"]) if data and sha in ("", data["commit"]) else []


async def follow(
    store: Store,
    of_commit: Callable[[str, str], Awaitable[list[Delivery]]],
    repo: str,
    sha: str,
    *,
    expected: Callable[[], Awaitable[int]],
    patience: float,
    limit: float,
    why: Why,
) -> AsyncGenerator[str, None]:
    """Yield lines until every delivery of the commit has ended, or waits for a person.

    First of all what is wrong with Applications in the commit. Where fewer deliveries than `expected` says have
    begun when these are over, others may be about to: they are given a moment. `why` is asked of each that has ended.
    """
    settled: tuple[int, float] = (0, 0.0)
    said: set[tuple[int, str]] = set()
    told: set[str] = set()
    begun = anyio.current_time()
    with store.subscribe("delivery.*", "applications.*") as feed:
        while True:
            for problem in await refusals(store, repo, sha):
                if problem not in told:
                    told.add(problem)
                    yield f"not used: {problem}"
            found = await of_commit(repo, sha)
            for delivery in found:
                for line in [*lines(delivery, said), *await _reasons(delivery, said, why)]:
                    yield line
            if found and all(delivery.final or asleep(delivery) for delivery in found):
                if settled[0] != len(found):
                    settled = (len(found), anyio.current_time() + SETTLE)
                left = settled[1] - anyio.current_time()
                if left <= 0 or len(found) >= await expected():
                    return
                await feed.wait(left)
                continue
            now = anyio.current_time()
            left = begun + limit - now if found else begun + patience - now
            if left <= 0:
                return
            await feed.wait(min(left, 5.0))
