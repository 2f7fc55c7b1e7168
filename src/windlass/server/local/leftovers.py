"""Jobs of a `windlass run` that was killed outlive it, as jobs do: the next one ends them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from windlass.pipelines.process import KILL, SystemProcesses
from windlass.runner.sandbox import MARK, end_marked
from windlass.server.local.folders import forget_old, settle

if TYPE_CHECKING:
    from pathlib import Path


def clear(runs: Path) -> None:
    """End what killed runs left, and delete all but the newest of those that are over."""
    for run in forget_old(runs):
        for events in (run / "jobs").glob("*/events.jsonl"):
            _end(events)
        settle(run)


def _end(events: Path) -> None:
    """End the process of a job that has not told its end, and what it started."""
    with events.open("rb") as file:
        first, last = file.readline(), b""
        for last in file:  # noqa: B007 the last one counts
            pass
    try:
        begun = json.loads(first)
        pid, started = int(begun["pid"]), int(begun["started"])
    except (ValueError, KeyError, TypeError):
        return
    if b'"job.finished"' in last or not SystemProcesses().signal(pid, started, KILL, group=True):
        return
    left = f"_{pid}".encode()
    end_marked(lambda entry: entry.startswith(MARK.encode()) and entry.endswith(left))
