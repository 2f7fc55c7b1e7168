"""How fast a job's log is written with twenty secrets to hide."""

from __future__ import annotations

import secrets
import subprocess
import time
from typing import TYPE_CHECKING

from bench.rows import Row, row
from bench.world import BenchError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from bench.world import World

REPOSITORY = "bench/logs"
MEGABYTES, COUNT, TARGET = 200, 20, 100.0
MEGA = 1e6
EVERY = 500
"""One line in so many holds a secret."""
WORKFLOW = """\
name: log
on: workflow_dispatch
jobs:
  log:
    runs-on: ubuntu-latest
    env:
{env}
    steps:
      - run: cat '{file}'
"""


def make_log(file: Path, values: Sequence[str], megabytes: int) -> int:
    """Write a log as test runners print it; returns its size in bytes, all of them whole lines."""
    lines = []
    for number in range(10 * EVERY):
        text = f"tests/test_module_{number % 97:03}.py::test_something[{number:06}] PASSED in 0.{number % 89:02}s"
        if number % EVERY == 0:
            text += f" token={values[number // EVERY % len(values)]}"
        lines.append(f"{text:<99}"[: 140 if number % EVERY == 0 else 99])
    block = ("\n".join(lines) + "\n").encode()
    with file.open("wb") as out:
        while out.tell() < megabytes * MEGA:
            out.write(block)
        return out.tell()


def measure(world: World, directory: Path, rounds: int, megabytes: int = MEGABYTES) -> Iterator[Row]:
    """Measure a step that prints a file, turn about with sed that hides the same values."""
    values = [secrets.token_urlsafe(24) for _ in range(COUNT)]
    file = directory / "big.log"
    size = make_log(file, values, megabytes)
    checkout = world.checkout(REPOSITORY)
    names = [f"TOKEN_{number}" for number in range(COUNT)]
    for name, value in zip(names, values, strict=True):
        world.client.call("PUT", "/secrets", json={"scope": REPOSITORY, "name": name, "value": value})
    folder = checkout.root / ".github" / "workflows"
    folder.mkdir(parents=True)
    env = "\n".join(f"      {name}: ${{{{ secrets.{name} }}}}" for name in names)
    (folder / "log.yaml").write_text(WORKFLOW.format(env=env, file=file), encoding="utf-8")
    checkout.commit("A log")
    checkout.push(lambda _: None, "-o", "follow=no")
    program = directory / "mask.sed"
    program.write_text("".join(f"s/{value}/***/g\n" for value in values), encoding="utf-8")
    ours: list[float] = []
    sed: list[float] = []
    for _ in range(rounds):
        sed.append(size / MEGA / _by_sed(file, program, directory / "masked.log"))
        ours.append(size / MEGA / _by_a_step(world, size, values))
    file.unlink()
    yield row(
        f"log throughput with {COUNT} secrets",
        "MB/s",
        ours,
        sed,
        reference_is=f"`cat FILE | sed -f` with the {COUNT} values as they are, into a file",
        includes=f"a step that prints {size / MEGA:.0f} MB of lines through `windlass up`, on host, from its start "
        "to its end: every form of every secret hidden, a time before each line, index, file",
        better="more",
        target=TARGET,
    )


def _by_sed(file: Path, program: Path, out: Path) -> float:
    begun = time.perf_counter()
    with out.open("wb") as target, subprocess.Popen(["cat", str(file)], stdout=subprocess.PIPE) as cat:
        subprocess.run(["sed", "-f", str(program)], stdin=cat.stdout, stdout=target, check=True)
    taken = time.perf_counter() - begun
    out.unlink()
    return taken


def _by_a_step(world: World, size: int, values: Sequence[str]) -> float:
    body = {"repository": REPOSITORY, "workflow": "log.yaml"}
    number = world.client.call("POST", "/runs", json=body)["run"]["id"]
    (job,) = world.run_ended(number, limit=120.0, poll=0.2)["jobs"]
    step = next(step for step in job["steps"] if step["step"] > 0)
    _check(world.data / "jobs" / str(job["id"]) / "log" / "001.log", size, values)
    return float(step["finished_at"] - step["started_at"])


def _check(file: Path, size: int, values: Sequence[str]) -> None:
    """See that all is there and nothing shows: a figure of a log that lost or told something would be none."""
    wanted = [value.encode() for value in values]
    found, before = 0, b""
    with file.open("rb") as log:
        while block := log.read(1 << 22):
            found += len(block)
            if any(value in before + block for value in wanted):
                raise BenchError("a secret stands in the log that was measured")
            before = block[-100:]
    if found < size:  # the times before the lines are longer than what the masks take away
        raise BenchError(f"the log of {size} bytes has only {found} in it")
    file.unlink()
