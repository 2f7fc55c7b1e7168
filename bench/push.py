"""From `git push` to the first step, against the bare push."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bench.rows import Row, row
from bench.workflows import PUSHED
from bench.world import BenchError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.world import World
    from windlass.cli.demonstration.world import Checkout

REPOSITORY = "bench/pushed"
REFERENCE = "`git push` of the same commit to a bare repository on the same disk, by its path"
MILLI = 1000.0


@dataclass
class Series:
    """Measurements in milliseconds."""

    first_step: list[float] = field(default_factory=list)
    accepted: list[float] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)


def measure(world: World, rounds: int) -> Iterator[Row]:
    """Push commit after commit to both, turn about."""
    checkout = world.checkout(REPOSITORY)
    folder = checkout.root / ".github" / "workflows"
    folder.mkdir(parents=True)
    (folder / "pushed.yaml").write_text(PUSHED, encoding="utf-8")
    bare = world.data / "work" / "bare.git"
    checkout.git("init", "--quiet", "--bare", str(bare))
    checkout.git("remote", "add", "bare", str(bare))
    series = Series()
    for number in range(rounds + 1):
        (checkout.root / "change.txt").write_text(f"{number}\n", encoding="utf-8")
        sha = checkout.commit(f"Change {number}")
        first = number % 2 == 0
        if first:
            _bare(checkout, series)
        _ours(world, checkout, sha, series)
        if not first:
            _bare(checkout, series)
    for values in (series.first_step, series.accepted, series.bare):
        del values[0]  # it creates the branch, and warms both
    yield row(
        "git push → first step",
        "ms",
        series.first_step,
        series.bare,
        reference_is=REFERENCE,
        includes="from before `git push` starts (smart HTTP with a token) to the start of the first step in "
        "bubblewrap: push recorded, workflow read and planned, job queued and launched",
    )
    yield row(
        "git push, accepted",
        "ms",
        series.accepted,
        series.bare,
        reference_is=REFERENCE,
        includes="`git push -o follow=no` as the person sees it: HTTP, token, hooks, push recorded",
    )


def _push(checkout: Checkout, *arguments: str) -> tuple[float, float]:
    """Push; returns when it began (seconds since the epoch) and how long git took, in milliseconds."""
    at, begun = time.time(), time.perf_counter()
    checkout.git("push", "--quiet", *arguments, "main")
    return at, (time.perf_counter() - begun) * MILLI


def _bare(checkout: Checkout, series: Series) -> None:
    series.bare.append(_push(checkout, "bare")[1])


def _ours(world: World, checkout: Checkout, sha: str, series: Series) -> None:
    at, taken = _push(checkout, "-o", "follow=no", "origin")
    number = _run_of(world, sha)
    steps = [step for job in world.run_ended(number)["jobs"] for step in job["steps"] if step["step"] > 0]
    series.first_step.append((steps[0]["started_at"] - at) * MILLI)
    series.accepted.append(taken)


def _run_of(world: World, sha: str) -> int:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        for run in world.client.call("GET", "/runs", params={"repository": REPOSITORY, "limit": 1}):
            if run["sha"] == sha:
                return int(run["id"])
        time.sleep(0.03)
    raise BenchError(f"the push of {sha[:7]} started no run within 10 s")
