"""Jobs of a `windlass run` that was killed outlive it, as jobs do: the next one ends them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from windlass.pipelines.process import KILL, SystemProcesses
from windlass.runner.sandbox import MARK, end_marked
from windlass.server.local.folders import settle

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def end_all(runs: Iterable[Path]) -> None:
    """End what these runs, which were killed, left: processes, then containers and their networks."""
    for run in runs:
        ended = [_end(events) for events in (run / "jobs").glob("*/events.jsonl")]
        if any(ended):
            from windlass.runner.containers import sweep

            sweep(run, over=True)
        settle(run)


def _end(events: Path) -> bool:
    """End the process of a job that has not told its end, and what it started. False where it has told it."""
    with events.open("rb") as file:
        first, last = file.readline(), b""
        for last in file:  # noqa: B007 the last one counts
            pass
    try:
        begun = json.loads(first)
        pid, started = int(begun["pid"]), int(begun["started"])
    except (ValueError, KeyError, TypeError):
        return True
    if b'"job.finished"' in last:
        return False
    if SystemProcesses().signal(pid, started, KILL, group=True):
        left = f"_{pid}".encode()
        end_marked(lambda entry: entry.startswith(MARK.encode()) and entry.endswith(left))
    return True
