"""Logs of any length: kept whole, in flat memory, followed while they are written."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runner.conftest import Forge, Ran

SECRET = "hunter2-of-the-west"


def peak(ran: Ran) -> int:
    """The most memory that the runner has used, in KiB."""
    text = Path(f"/proc/{ran.pid}/status").read_text()
    return int(next(line for line in text.splitlines() if line.startswith("VmHWM")).split()[1])


def end(ran: Ran) -> None:
    (ran.directory / "work" / "go").touch()
    assert ran.conclusion == "success", ran.complaints


def test_every_line_is_kept_and_memory_stays_flat(forge: Forge) -> None:
    """A million lines take as long as they take; what would grow with them grows with 300,000 as well."""
    hold = {"run": "until test -e go; do sleep 0.02; done"}
    small = forge.start([{"run": "seq 300"}, hold], secrets={"KEY": SECRET})
    small.wait("step.started", step=2)
    before = peak(small)
    end(small)
    count = 300_000
    script = f"seq -f '%.0f of a line that is as long as lines of builds are {SECRET} and goes on' {count}"
    ran = forge.start([{"run": script}, hold], secrets={"KEY": SECRET})
    ran.wait("step.started", step=2)
    assert peak(ran) - before < 12 << 10, "the log is 34 MB"
    end(ran)
    lines = ran.printed().splitlines()
    assert len(lines) == count
    assert lines[count - 1] == f"{count} of a line that is as long as lines of builds are *** and goes on"
    assert not any(SECRET in line for line in lines)


def test_a_line_without_end_is_kept_too(forge: Forge) -> None:
    hold = {"run": "until test -e go; do sleep 0.02; done"}
    ran = forge.start([{"run": "head -c 30000000 /dev/zero | tr '\\0' x"}, hold])
    ran.wait("step.started", step=2)
    assert peak(ran) < 120 << 10
    end(ran)
    assert (ran.directory / "log" / "001.log").stat().st_size > 30_000_000


def test_lines_are_there_while_the_step_runs(forge: Forge) -> None:
    ran = forge.start([{"run": "echo first; until test -e go; do sleep 0.02; done; echo last"}])
    until = time.monotonic() + 20
    while ran.printed() != "first\n":
        assert time.monotonic() < until
        time.sleep(0.005)
    os.kill(ran.pid, 0)
    end(ran)
    assert ran.printed() == "first\nlast\n"
