"""`python -m bench`: measure, show the table, write `build/bench.json`."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TypeAlias

import structlog
from rich.console import Console

from bench import edge, gitops, jobs, language, local, logs, machine, peers, push, table
from bench.rows import Report, Row, SkippedError
from bench.world import BenchError, World, need, windlass
from windlass.cli.demonstration.world import DemoError

Part: TypeAlias = Callable[[], Iterator[Row]]
PARTS = ("jobs", "steps", "matrix", "local", "language", "logs", "push", "gitops", "edge")
PEERS = ("buildbot", "gitlab")
ISOLATIONS = ("bubblewrap", "host")
OUTPUT = Path("build") / "bench.json"


class Bench:
    """One run: the servers that the parts share are started when the first part asks for them."""

    def __init__(self, directory: Path, stack: ExitStack, say: Callable[[str], None], *, quick: bool) -> None:
        self.directory = directory
        self.quick = quick
        self.say = say
        self._stack = stack
        self._worlds: dict[str, World] = {}
        self.slots = max(2, machine.cores())

    def world(self, isolation: str) -> World:
        """Return the server whose jobs run in this isolation."""
        if isolation not in self._worlds:
            need("git", "haproxy", "bash", *(["bwrap"] if isolation == "bubblewrap" else []))
            options = ("--isolation", isolation, "--engine", "fake", "--jobs", str(self.slots))
            world = self._stack.enter_context(windlass(self.directory / isolation, *options))
            self._worlds[isolation] = world
        return self._worlds[isolation]

    def both(self) -> dict[str, World]:
        """Return both servers, by isolation."""
        return {name: self.world(name) for name in ISOLATIONS}

    def room(self, name: str) -> Path:
        """Return a directory of this part's own."""
        made = self.directory / f"part-{name}"
        made.mkdir()
        return made

    def often(self, times: int, quick: int) -> int:
        """Return how many rounds there are to be."""
        return quick if self.quick else times

    def jobs(self) -> Iterator[Row]:
        """Measure one job."""
        return jobs.jobs(self.both(), self.room("jobs"), self.often(30, 3))

    def steps(self) -> Iterator[Row]:
        """Measure steps of one job."""
        return jobs.steps(self.both(), self.room("steps"), self.often(6, 1))

    def matrix(self) -> Iterator[Row]:
        """Measure many jobs."""
        return jobs.matrix(self.both(), self.room("matrix"), self.slots, self.often(2, 1))

    def local(self) -> Iterator[Row]:
        """Measure jobs and steps without a server."""
        need("git", "bash", "bwrap")
        rounds, many = self.often(10, 2), self.often(2, 1)
        return local.measure(self.room("local"), ISOLATIONS, self.slots, rounds, many)

    def language(self) -> Iterator[Row]:
        """Measure parser and expressions."""
        return language.measure(self.often(40, 5))

    def logs(self) -> Iterator[Row]:
        """Measure the log's throughput."""
        need("sed", "cat")
        megabytes = self.often(logs.MEGABYTES, 20)
        return logs.measure(self.world("host"), self.room("logs"), self.often(5, 1), megabytes)

    def push(self) -> Iterator[Row]:
        """Push to first step."""
        return push.measure(self.world("bubblewrap"), self.often(20, 3))

    def gitops(self) -> Iterator[Row]:
        """GitOps commit to applied."""
        return gitops.measure(self.world("bubblewrap"), self.often(12, 2))

    def edge(self) -> Iterator[Row]:
        """Throughput and p99 of the edge."""
        rounds = edge.Rounds(1, 1) if self.quick else edge.Rounds()
        return edge.measure(self.directory / "edge", rounds)

    def buildbot(self) -> Iterator[Row]:
        """Server beside server."""
        rounds = peers.Rounds(2, 1, 1) if self.quick else peers.Rounds()
        return peers.beside_buildbot(self.world("host"), self.room("buildbot"), self.slots, rounds, self.say)

    def gitlab(self) -> Iterator[Row]:
        """Command beside command."""
        rounds = peers.Rounds(2, 1, 1) if self.quick else peers.Rounds()
        return peers.beside_gitlab(self.room("gitlab"), self.slots, rounds, self.say)


def run(parts: list[str], console: Console, output: Path, *, quick: bool) -> Report:
    """Measure these parts one after the other; a part that cannot run here, or fails, does not stop the others.

    The file is written after each part, so that an interrupted run leaves what it has.
    """
    begun = time.monotonic()
    report = Report(machine.describe())
    console.print(table.at_the_start(report.machine))
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="windlass-bench-")))
        bench = Bench(directory, stack, console.print, quick=quick)
        for name in parts:
            part: Part = getattr(bench, name)
            if not console.is_terminal:
                console.print(f"measuring: {name}")
            with console.status(f"measuring: {name}"):
                try:
                    report.rows += part()
                except SkippedError as error:
                    report.skipped[name] = str(error)
                except (BenchError, DemoError) as error:
                    report.failed[name] = str(error)
                except Exception as error:  # noqa: BLE001 one broken part must not take the others' figures along
                    report.failed[name] = f"{type(error).__name__}: {error}"
            report.machine["load_after"] = machine.load()
            report.seconds = round(time.monotonic() - begun, 1)
            report.write(output)
    return report


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line; 1 where a part failed, or nothing at all could be measured."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    help_ = f"of {', '.join(PARTS)}; all of these without any. With peers: {', '.join(PEERS)}"
    parser.add_argument("parts", nargs="*", metavar="PART", help=help_)
    parser.add_argument("--quick", action="store_true", help="a few rounds of each, to see that it works")
    parser.add_argument(
        "--peers",
        action="store_true",
        default=os.environ.get("PEERS", "") not in {"", "0"},
        help="beside other programs too, which are installed below build/ (also: PEERS=1)",
    )
    parser.add_argument("--output", type=Path, default=OUTPUT, help="default: %(default)s")
    options = parser.parse_args(arguments)
    if unknown := set(options.parts) - {*PARTS, *PEERS}:
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that everything is put down in order
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    console = Console()
    parts = options.parts or [*PARTS, *(PEERS if options.peers else ())]
    report = run(parts, console, options.output, quick=options.quick)
    console.print(table.draw(report))
    console.print(f"[dim]written to {options.output}[/]")
    return 0 if report.rows and not report.failed else 1


if __name__ == "__main__":
    sys.exit(main())
