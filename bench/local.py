"""The same pipelines without a server: `windlass run` in a working copy, the whole command as a person waits for it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from bench import workflows
from bench.rows import Row, SkippedError, row
from bench.spawn import BASH, script, spawn, spawn_many
from bench.world import BenchError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

WINDLASS = (sys.executable, "-m", "windlass")
LIMIT = 300.0
MILLI = 1000.0


def checkout(directory: Path) -> Path:
    """Make a working copy with the workflows. Raises SkippedError where there is no `windlass run` yet."""
    known = subprocess.run([*WINDLASS, "run", "--help"], capture_output=True, check=False)
    if known.returncode:
        raise SkippedError("this Windlass has no `windlass run`")
    if not directory.exists():
        workflows.write(directory)
        subprocess.run(["git", "init", "--quiet", "--initial-branch=main"], cwd=directory, check=True)
    return directory


def run(directory: Path, workflow: str, isolation: str, slots: int) -> float:
    """Run a workflow to its end and return the seconds of the command. Raises BenchError where it fails."""
    options = ["--event", "workflow_dispatch", "--isolation", isolation, "--jobs", str(slots), "--plain"]
    begun = time.perf_counter()
    try:
        done = subprocess.run(
            [*WINDLASS, "run", workflow, *options],
            cwd=directory,
            env={**os.environ, "XDG_CACHE_HOME": str(directory.parent / "cache")},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=LIMIT,
        )
    except subprocess.TimeoutExpired:
        raise BenchError(f"`windlass run {workflow}` did not end within {LIMIT:.0f} s") from None
    taken = time.perf_counter() - begun
    if done.returncode:
        raise BenchError(f"`windlass run {workflow}`: {(done.stderr or done.stdout).strip()[-400:]}")
    return taken


def measure(directory: Path, isolations: Sequence[str], slots: int, rounds: int, many: int) -> Iterator[Row]:
    """Measure the command, turn about with bash."""
    where, file = checkout(directory / "checkout"), script(directory)
    steps, jobs = workflows.STEPS, workflows.JOBS
    for name in isolations:
        run(where, "one.yaml", name, slots)  # what is fetched and compiled once is not measured
        one, all_steps, all_jobs = [], [], []
        bash, bash_steps, bash_jobs = [], [], []
        for _ in range(rounds):
            bash.append(spawn(file) * MILLI)
            one.append(run(where, "one.yaml", name, slots) * MILLI)
            bash_steps.append(spawn_many(file, steps, 1) * MILLI)
            all_steps.append(run(where, "steps.yaml", name, slots) * MILLI)
        for _ in range(many):
            bash_jobs.append(spawn_many(file, jobs, slots))
            all_jobs.append(run(where, "jobs.yaml", name, slots))
        whole = "the command from its start to its end, Python's own start included, with no server"
        yield row(
            f"windlass run: a job of one step, {name}", "ms", one, bash, reference_is=BASH, includes=whole
        )
        yield row(
            f"windlass run: a job of {steps} steps, {name}",
            "ms",
            all_steps,
            bash_steps,
            reference_is=f"{BASH}, {steps} times one after the other",
            includes=whole,
        )
        yield row(
            f"windlass run: {jobs} jobs of one step, {name}",
            "s",
            all_jobs,
            bash_jobs,
            reference_is=f"{BASH}, {jobs} times, {slots} at once",
            includes=f"{whole}; {slots} jobs at once",
        )
