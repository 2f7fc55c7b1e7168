"""Beside others who run pipelines: Buildbot with a worker in its master, and gitlab-ci-local, on the same pipelines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench import buildbot, gitlab, installing, jobs, local, workflows
from bench.rows import Row, SkippedError, row
from bench.spawn import script
from bench.world import need

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from bench.world import World

MILLI = 1000.0
HERE = "on host, as the other does"


@dataclass(frozen=True, slots=True)
class Rounds:
    """How often each is measured."""

    one: int = 10
    steps: int = 3
    many: int = 2


@dataclass(frozen=True, slots=True)
class Pair:
    """The same pipeline in both worlds: calls that return seconds, and how often they are made."""

    name: str
    unit: str
    scale: float
    rounds: int
    ours: Callable[[], float]
    theirs: Callable[[], float]
    includes: str
    reference_is: str


def turn_about(pair: Pair) -> Row:
    """Measure both in turns."""
    ours, theirs = [], []
    for _ in range(pair.rounds):
        theirs.append(pair.theirs() * pair.scale)
        ours.append(pair.ours() * pair.scale)
    return row(
        pair.name, pair.unit, ours, theirs, reference_is=pair.reference_is, includes=pair.includes
    )  # fmt: skip


def beside_buildbot(
    world: World, directory: Path, slots: int, rounds: Rounds, say: Callable[[str], None]
) -> Iterator[Row]:
    """Server beside server."""
    program = installing.install(installing.buildbot(installing.CACHE), say)
    jobs.prepare(world)
    what = f"Buildbot {installing.BUILDBOT}, LocalWorker, SQLite"
    steps, count = workflows.STEPS, workflows.JOBS
    with buildbot.master(program, directory / "buildbot", script(directory), slots) as master:
        master.run("one")  # the first build warms it
        yield turn_about(
            Pair(
                "a job of one step, beside Buildbot",
                "ms",
                MILLI,
                rounds.one,
                lambda: jobs.one_job(world),
                lambda: master.run("one"),
                f"through `windlass up`, {HERE}: from queued to its recorded end",
                f"{what}: from the request that starts a build to its end, seen every {buildbot.POLL * MILLI:.0f} ms",
            )
        )
        yield turn_about(
            Pair(
                "a step, beside Buildbot",
                "ms",
                MILLI / steps,
                rounds.steps,
                lambda: jobs.job_of_steps(world),
                lambda: master.run("steps"),
                f"a job of {steps} steps through `windlass up`, {HERE}, for each step",
                f"{what}: a build of {steps} `ShellCommand`s of the same file, for each",
            )
        )
        yield turn_about(
            Pair(
                f"{count} jobs of one step, beside Buildbot",
                "s",
                1.0,
                rounds.many,
                lambda: jobs.many_jobs(world),
                lambda: master.run("one", count),
                f"a matrix through `windlass up`, {HERE}, {slots} at once, to the last recorded end",
                f"{what}: {count} builds, {slots} at once, from the first request",
            )
        )


def beside_gitlab(directory: Path, slots: int, rounds: Rounds, say: Callable[[str], None]) -> Iterator[Row]:
    """Command beside command. Raises SkippedError where one of them is not here."""
    need("rsync", "git", "npm", "node")
    where = local.checkout(directory / "gitlab-ours")
    program = installing.install(installing.gitlab_ci_local(installing.CACHE), say)
    theirs = gitlab.checkout(directory / "gitlab")
    version = f"gitlab-ci-local {installing.GITLAB_CI_LOCAL}"
    steps, count = workflows.STEPS, workflows.JOBS
    cases = (
        ("a job of one step", "one", "ms", MILLI, rounds.one, "with one line of script"),
        (f"a job of {steps} steps", "steps", "ms", MILLI, rounds.steps, f"with {steps} lines in one script: one shell"),
        (f"{count} jobs of one step", "jobs", "s", 1.0, rounds.many, f"with `parallel: {count}`"),
    )  # fmt: skip
    for name, pipeline, unit, scale, often, shape in cases:
        yield turn_about(
            Pair(
                f"{name}, beside gitlab-ci-local",
                unit,
                scale,
                often,
                lambda pipeline=pipeline: local.run(where, f"{pipeline}.yaml", "host", slots),  # type: ignore[misc]
                lambda pipeline=pipeline: gitlab.run(program, theirs, pipeline, slots),  # type: ignore[misc]
                f"`windlass run`, {HERE}, {slots} at once: the whole command",
                f"{version}, its shell executor, {shape}, {slots} at once: the whole command",
            )
        )


__all__ = ["Pair", "Rounds", "SkippedError", "beside_buildbot", "beside_gitlab", "turn_about"]
