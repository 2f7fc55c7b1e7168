"""Jobs and steps through the server with all their records, against spawning bash alone."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from bench import workflows
from bench.rows import Row, at, row
from bench.spawn import BASH, script, spawn, spawn_many

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from bench.world import World

REPOSITORY = "bench/jobs"
MILLI = 1000.0
JOB_TARGET = 25.0
SETTLE = 0.2
"""Seconds in which the other server ends what its last job left it to do: one job is measured, not two."""
STEP_TARGETS = {"host": 3.0, "bubblewrap": 8.0}


def prepare(world: World) -> None:
    """Create the repository with the workflows, once, and warm the server."""
    if (world.data / "work" / REPOSITORY).exists():
        return
    checkout = world.checkout(REPOSITORY)
    workflows.write(checkout.root)
    checkout.commit("Workflows to measure")
    checkout.push(lambda _: None, "-o", "follow=no")
    one_job(world)


def _dispatch(world: World, workflow: str, **patience: float) -> dict[str, Any]:
    body = {"repository": REPOSITORY, "workflow": workflow}
    started = world.client.call("POST", "/runs", json=body)
    return world.run_ended(started["run"]["id"], **patience)


def one_job(world: World) -> float:
    """From the moment the job could start to its recorded end."""
    found = _dispatch(world, "one.yaml")
    (ended,) = world.recorded("job.finished", found["run"]["id"])
    return ended - float(found["jobs"][0]["ready_at"])


def job_of_steps(world: World) -> float:
    """From the moment a job of many steps could start to its recorded end."""
    found = _dispatch(world, "steps.yaml", poll=0.2)
    (ended,) = world.recorded("job.finished", found["run"]["id"])
    return ended - float(found["jobs"][0]["ready_at"])


def steps_of_one_job(world: World) -> list[float]:
    """From each step's start to the next one's: the step with all that lies between them."""
    steps = _dispatch(world, "steps.yaml", poll=0.2)["jobs"][0]["steps"]
    starts = [float(step["started_at"]) for step in steps if step["step"] > 0][: workflows.STEPS]
    return [after - before for before, after in pairwise(starts)]


def many_jobs(world: World) -> float:
    """From the moment the first job could start to the last one's recorded end."""
    found = _dispatch(world, "jobs.yaml", limit=180.0, poll=0.5)
    ended = world.recorded("job.finished", found["run"]["id"])
    return max(ended) - min(float(job["ready_at"]) for job in found["jobs"])


def jobs(worlds: Mapping[str, World], directory: Path, rounds: int) -> Iterator[Row]:
    """One job, from queued to its recorded end."""
    file = script(directory)
    ours: dict[str, list[float]] = {name: [] for name in worlds}
    bash: dict[str, list[float]] = {name: [] for name in worlds}
    for world in worlds.values():
        prepare(world)
    for _ in range(rounds):
        for name, world in worlds.items():
            bash[name].append(spawn(file) * MILLI)
            time.sleep(SETTLE)
            ours[name].append(one_job(world) * MILLI)
    for name in worlds:
        yield row(
            f"job of one step, {name}",
            "ms",
            ours[name],
            bash[name],
            reference_is=BASH,
            includes='one job of one `run: "true"` step through `windlass up`: from queued to its recorded end, '
            "with token, process, sandbox, workspace, logs and ledger",
            target=JOB_TARGET,
        )


def steps(worlds: Mapping[str, World], directory: Path, rounds: int) -> Iterator[Row]:
    """Measure what a step costs above the bash that it starts."""
    file = script(directory)
    ours: dict[str, list[float]] = {name: [] for name in worlds}
    bash: dict[str, list[float]] = {name: [] for name in worlds}
    for world in worlds.values():
        prepare(world)
    for _ in range(rounds):
        for name, world in worlds.items():
            bash[name] += [spawn(file) * MILLI for _ in range(workflows.STEPS)]
            ours[name] += [seconds * MILLI for seconds in steps_of_one_job(world)]
    for name in worlds:
        for quantile, label in ((0.5, "p50"), (0.95, "p95")):
            yield overhead(name, label, quantile, ours[name], bash[name])


def overhead(
    isolation: str, label: str, quantile: float, whole: Sequence[float], bash: Sequence[float]
) -> Row:
    """Make the row of what is above bash: each step's time less what bash alone takes at this quantile."""
    alone = at(bash, quantile)
    return row(
        f"step overhead over bash, {isolation}, {label}",
        "ms",
        [value - alone for value in whole],
        bash,
        reference_is=f"{BASH}, alone (which our figure does not hold any more)",
        includes=f'a `run: "true"` step among {workflows.STEPS} of one job, from its start to the next one\'s, '
        f"less {alone:.2f} ms for bash alone; sandbox, files, log and records remain",
        quantile=quantile,
        target=STEP_TARGETS.get(isolation) if label == "p50" else None,
    )


def matrix(worlds: Mapping[str, World], directory: Path, slots: int, rounds: int) -> Iterator[Row]:
    """Many jobs at once."""
    file, count = script(directory), workflows.JOBS
    for name, world in worlds.items():
        prepare(world)
        ours, bash = [], []
        for _ in range(rounds):
            bash.append(spawn_many(file, count, slots))
            ours.append(many_jobs(world))
            time.sleep(0.2)
        yield row(
            f"{count} jobs of one step, {name}",
            "s",
            ours,
            bash,
            reference_is=f"{BASH}, {count} times, {slots} at once",
            includes=f"a matrix of {count} jobs, {slots} at once, from queued to the last recorded end",
        )
