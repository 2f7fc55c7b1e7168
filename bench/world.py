"""A real server for the benchmark: a data directory of its own, free ports, and nothing left afterwards."""

from __future__ import annotations

import random
import shutil
import socket
import sqlite3
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anyio

from bench.rows import SkippedError
from windlass.cli.client import Client, connect
from windlass.cli.demonstration.world import Checkout, server
from windlass.server.datadir import DataDirectory
from windlass.server.teardown import end_everything

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BLOCK = 100
POLL = 0.05
LIMIT = 60.0


class BenchError(Exception):
    """The benchmark saw something that must not be, and has no figure to show."""


def free_block() -> int:
    """Return the first of a hundred ports on which nobody listens."""
    for _ in range(100):
        first = random.randrange(20000, 32000, BLOCK)  # noqa: S311 below the ports that clients get
        try:
            for port in range(first, first + BLOCK):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return first
    raise SkippedError("no hundred free ports in a row on 127.0.0.1")


def need(*programs: str) -> None:
    """Raise SkippedError naming what is not installed."""
    if missing := [name for name in programs if shutil.which(name) is None]:
        raise SkippedError(f"{', '.join(missing)} not installed")


@dataclass(frozen=True, slots=True)
class World:
    """A running `windlass up`: its data directory, its API, and a person's token."""

    data: Path
    client: Client
    token: str

    @property
    def admin(self) -> str:
        """The token of the command line on this machine."""
        return DataDirectory(self.data).admin_token.read_text(encoding="utf-8").strip()

    def checkout(self, name: str, *, applications: str | None = None, source: Path | None = None) -> Checkout:
        """Create a repository on the server and a working copy of it: empty, or with the files of `source`."""
        self.client.call("POST", "/repositories", json={"name": name, "applications": applications})
        checkout = Checkout(self.data / "work" / name, name, self.client, self.token)
        if source is None:
            checkout.root.mkdir(parents=True)
        else:
            shutil.copytree(source, checkout.root)
        checkout.git("init", "--quiet", "--initial-branch=main")
        checkout.git("remote", "add", "origin", checkout.url)
        return checkout

    def run_ended(self, number: int, limit: float = LIMIT, poll: float = POLL) -> dict[str, Any]:
        """Wait for the end of a run and return it; looks at little, and seldom, so as not to measure the looking.

        Raises BenchError where it failed or takes too long: a figure of a failed run would be none.
        """
        deadline = time.monotonic() + limit
        while time.monotonic() < deadline:
            time.sleep(poll)
            (run,) = self.client.call("GET", "/runs", params={"before": number + 1, "limit": 1})
            if run["status"] == "completed":
                found: dict[str, Any] = self.client.call("GET", f"/runs/{number}")
                if run["conclusion"] != "success":
                    raise BenchError(f"run {number} ended as {run['conclusion']}: {found['first_error']}")
                return found
        raise BenchError(f"run {number} did not end within {limit:g} s")

    def recorded(self, kind: str, number: int) -> list[float]:
        """When the ledger recorded these entries of a run; the server's own clock, after the fact."""
        address = f"file:{self.data / 'windlass.db'}?mode=ro"
        with closing(sqlite3.connect(address, uri=True)) as database:
            found = database.execute(
                "SELECT at FROM ledger WHERE kind = ? AND subject = ? ORDER BY id", (kind, f"run/{number}")
            )
            return [float(at) for (at,) in found]


@contextmanager
def windlass(data: Path, *options: str) -> Iterator[World]:
    """Run `windlass up` until the block ends; then everything of it is ended, whatever happened."""
    data.mkdir(parents=True)
    first = free_block()
    ports = ["--port", str(first), "--kubernetes-port", str(first + 1), "--edge-port", str(first + 2)]
    ports += ["--service-ports", str(first + 10), str(first + 99)]
    engine = options[options.index("--engine") + 1] if "--engine" in options else "auto"
    try:
        with server(data, [*ports, *options]):
            client = connect(data)
            body = {"name": "bench", "scopes": ["repo:write:*", "api:read:*"]}
            token = client.call("POST", "/tokens", json=body)["token"]
            yield World(data, client, token)
    finally:
        anyio.run(end_everything, DataDirectory(data), engine)
