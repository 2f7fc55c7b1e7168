"""Load from outside: wrk where it is installed, else the small loader beside this file."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.programs import compiled
from bench.world import BenchError

if TYPE_CHECKING:
    from pathlib import Path

UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60000.0}
RATE = re.compile(r"^Requests/sec:\s*([0-9.]+)", re.MULTILINE)
P99 = re.compile(r"^\s*99%\s*([0-9.]+)(us|ms|s|m)\b", re.MULTILINE)
BAD = re.compile(r"^\s*(Socket errors:.*|Non-2xx or 3xx responses:.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Load:
    """What one round of load saw: answers a second, and the 99th percentile in milliseconds."""

    rate: float
    p99: float


def parse_wrk(text: str) -> Load:
    """Read wrk's report. Raises BenchError where a request failed: such a round is no measurement."""
    if bad := BAD.search(text):
        raise BenchError(f"wrk saw failures: {bad.group(1)}")
    rate, slowest = RATE.search(text), P99.search(text)
    if rate is None or slowest is None:
        raise BenchError(f"wrk's report is not understood:\n{text}")
    return Load(float(rate.group(1)), float(slowest.group(1)) * UNITS[slowest.group(2)])


def parse_loader(text: str) -> Load:
    """Read the small loader's line. Raises BenchError where a request failed."""
    rate, _, p99, failures = text.split()
    if int(failures):
        raise BenchError(f"{failures} requests failed under load")
    return Load(float(rate), int(p99) / 1000)


class Loader:
    """Keeps a number of connections busy: the next request goes out when the answer is there."""

    def __init__(self, directory: Path, connections: int) -> None:
        self._connections = connections
        self._wrk = shutil.which("wrk")
        self._own = None if self._wrk else compiled("loader", directory)
        self.name = f"{'wrk' if self._wrk else 'bench/loader.c'}, {connections} kept-alive connections"

    def run(self, port: int, seconds: float) -> Load:
        """Load one port for so long."""
        argv = [str(self._own), str(port), str(self._connections), str(seconds)]
        if self._wrk:
            options = ["-t1", f"-c{self._connections}", f"-d{max(1, round(seconds))}s", "--latency"]
            argv = [self._wrk, *options, f"http://127.0.0.1:{port}/"]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=seconds + 30)
        if done.returncode:
            raise BenchError(f"{argv[0]} ended with {done.returncode}: {done.stderr.strip() or done.stdout}")
        return parse_wrk(done.stdout) if self._wrk else parse_loader(done.stdout)
