"""Runs the load client beside the demo and answers what users saw in a span of time."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Seen:
    """What the load client saw. `slowest` is in seconds."""

    seconds: float
    answers: int
    bad: int
    slowest: float
    why: tuple[str, ...]

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.answers / self.seconds if self.seconds else 0.0


class Traffic:
    """The load client as a process of its own; a context manager that ends it."""

    def __init__(self, url: str, rate: float) -> None:
        self._command = [sys.executable, "-m", "windlass.cli.demonstration.load", url, "--rate", str(rate)]
        self._rows: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(10)
        self._reader.join(10)
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _read(self) -> None:
        for line in self._process.stdout or ():
            self._rows.append(json.loads(line))

    def seen(self, since: float = 0.0, until: float | None = None) -> Seen:
        """Add up what was seen between two times (seconds since the epoch); waits for the newest rows."""
        if self._process.poll() is not None:
            raise RuntimeError(f"the load client ended with exit code {self._process.returncode}")
        until = until or time.time()
        time.sleep(max(0.0, until + 0.4 - time.time()))
        rows = [row for row in self._rows if since <= row["at"] < until]
        seconds = (rows[-1]["at"] - rows[0]["at"] + 0.1) if rows else 0.0
        why = tuple(dict.fromkeys(text for row in rows for text in row["why"]))
        return Seen(
            seconds,
            sum(row["answers"] for row in rows),
            sum(row["bad"] for row in rows),
            max((row["slowest"] for row in rows), default=0.0),
            why,
        )
