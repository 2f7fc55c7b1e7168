"""Job processes as the server sees them: by pid and start time, so that a recycled pid is never mistaken."""

from __future__ import annotations

import os
import signal as signals
import subprocess
from pathlib import Path
from typing import Protocol

import anyio

POLL = 0.2
HAS_PROC = Path("/proc/self/stat").exists()
STATE, START_TIME = 0, 19  # fields of /proc/PID/stat, counted after the closing parenthesis


def _from_ps(pid: int) -> int | None:
    argv = ["ps", "-o", "pid=", "-p", str(pid)]
    shown = subprocess.run(argv, capture_output=True, text=True, check=False).stdout.strip()
    return 0 if shown else None


class Processes(Protocol):
    """What the server asks of the process table.

    A process is named by its pid and its start time: clock ticks since boot, as `job.started` has it, 0 where
    there is no `/proc`; to be compared for equality only. All methods may be called
    for processes that are gone, and again.
    """

    def started(self, pid: int) -> int | None:
        """When the living process of this pid started; None when there is none (a zombie counts as gone)."""
        ...

    def signal(self, pid: int, started: int, number: int, *, group: bool = False) -> bool:
        """Send a signal to the process, or to its whole group. False when it is gone."""
        ...

    async def gone(self, pid: int, started: int) -> None:
        """Return once the process has ended."""
        ...


class SystemProcesses:
    """The machine's own processes. Waits on a pidfd where the kernel has them (Linux 5.3), else looks."""

    def started(self, pid: int) -> int | None:
        """Read the start time from `/proc/PID/stat`, 0 where there is no `/proc` but a process."""
        if not HAS_PROC:
            return _from_ps(pid)
        try:
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return None
        fields = stat.rpartition(")")[2].split()
        return None if fields[STATE] in "ZX" else int(fields[START_TIME])

    def signal(self, pid: int, started: int, number: int, *, group: bool = False) -> bool:
        """Send it after comparing the start time; the group also when its leader is gone."""
        alive = self.started(pid)
        if alive is not None and alive != started:
            return False
        if alive is None and not group:
            return False
        try:
            (os.killpg if group else os.kill)(pid, number)
        except (ProcessLookupError, PermissionError):
            return False
        return True

    async def gone(self, pid: int, started: int) -> None:
        """Wait for the end."""
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            return
        except (AttributeError, OSError):
            while self.started(pid) == started:  # noqa: ASYNC110 without pidfd nothing tells
                await anyio.sleep(POLL)
            return
        try:
            if self.started(pid) == started:
                await anyio.wait_readable(descriptor)
        finally:
            os.close(descriptor)


TERM, KILL = signals.SIGTERM, signals.SIGKILL
