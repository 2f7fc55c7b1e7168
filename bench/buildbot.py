"""Buildbot with a worker in the master's own process, driven through its REST API."""

from __future__ import annotations

import os
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx2

from bench import workflows
from bench.world import BenchError, free_block

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LIMIT = 600.0
POLL = 0.05
# The same pipelines as in bench/workflows.py. A build of Buildbot is what a job is here.
CONFIGURATION = """\
from buildbot.plugins import schedulers, steps, util, worker

def factory(count):
    return util.BuildFactory(
        [steps.ShellCommand(command=["bash", "-e", {file!r}], name=f"step {{n}}") for n in range(count)]
    )

BUILDS = {{"one": 1, "steps": {count}}}
BuildmasterConfig = {{
    "workers": [worker.LocalWorker("local", max_builds={slots})],
    "protocols": {{"null": {{}}}},
    "builders": [
        util.BuilderConfig(name=name, workernames=["local"], factory=factory(count), collapseRequests=False)
        for name, count in BUILDS.items()
    ],
    "schedulers": [schedulers.ForceScheduler(name=name, builderNames=[name]) for name in BUILDS],
    "www": {{"port": "tcp:{port}:interface=127.0.0.1", "plugins": {{}}}},
    "db": {{"db_url": "sqlite:///state.sqlite"}},
    "buildbotNetUsageData": None,
    "title": "bench",
    "buildbotURL": "http://127.0.0.1:{port}/",
}}
"""


@dataclass(frozen=True, slots=True)
class Master:
    """A running master."""

    client: httpx2.Client
    builders: dict[str, int]

    def run(self, builder: str, builds: int = 1) -> float:
        """Start so many builds and return the seconds until all have ended. Raises BenchError where one failed."""
        before, begun = self._last(), time.perf_counter()
        for _ in range(builds):
            params = {"builderid": self.builders[builder]}
            body = {"jsonrpc": "2.0", "method": "force", "params": params, "id": 1}
            self.client.post(f"forceschedulers/{builder}", json=body).raise_for_status()
        while self._get("buildrequests", complete="false", limit="1"):
            if time.perf_counter() - begun > LIMIT:
                raise BenchError(f"Buildbot did not end {builds} builds within {LIMIT:.0f} s")
            time.sleep(POLL)
        taken = time.perf_counter() - begun
        ended = self._get("builds", buildid__gt=str(before))
        if len(ended) != builds or any(build["results"] != 0 for build in ended):
            raise BenchError("a build of Buildbot failed")
        return taken

    def _last(self) -> int:
        found = self._get("builds", order="-buildid", limit="1")
        return int(found[0]["buildid"]) if found else 0

    def _get(self, what: str, **params: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.client.get(what, params=params).raise_for_status().json()[what]
        return found


@contextmanager
def master(program: Path, directory: Path, file: Path, slots: int) -> Iterator[Master]:
    """Run a master with a worker until the block ends. `program` is its `buildbot` command."""
    port = free_block()
    made = subprocess.run(
        [program, "create-master", "-q", str(directory)], capture_output=True, text=True, check=False
    )
    if made.returncode:
        raise BenchError(f"buildbot create-master: {made.stderr.strip()[-300:]}")
    text = CONFIGURATION.format(file=str(file), count=workflows.STEPS, slots=slots, port=port)
    (directory / "master.cfg").write_text(text, encoding="utf-8")
    with (directory / "out.log").open("wb") as log:
        process = subprocess.Popen(
            [program.parent.resolve() / "twistd", "--nodaemon", "--python", "buildbot.tac"],
            cwd=directory,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONWARNINGS": "ignore"},
        )
        try:
            with httpx2.Client(
                base_url=f"http://127.0.0.1:{port}/api/v2/", timeout=30.0, trust_env=False
            ) as client:
                yield Master(client, _builders(client, directory, process))
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _builders(client: httpx2.Client, directory: Path, process: subprocess.Popen[bytes]) -> dict[str, int]:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            found = client.get("builders").raise_for_status().json()["builders"]
            if len(found) == 2 and client.get("workers").json()["workers"][0]["connected_to"]:
                return {builder["name"]: int(builder["builderid"]) for builder in found}
        except (httpx2.HTTPError, LookupError):
            pass
        time.sleep(0.1)
    tail = (directory / "twistd.log").read_text(encoding="utf-8", errors="replace")[-600:]
    raise BenchError(f"Buildbot did not come up: {tail}")
