"""Where a job's processes run: the port, and the driver that gives no isolation."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from windlass.runner.enter import adopt_orphans
from windlass.runner.errors import SandboxError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

MARK = "RUNNER_TRACKING_ID="
_END_SECONDS, _LOOK_AGAIN = 2.0, 0.002


class Process(Protocol):
    """A process of the job, the leader of a session of its own."""

    def fileno(self) -> int:
        """Return a descriptor that becomes readable when `poll` may have news."""

    def poll(self) -> int | None:
        """Return the exit code, negative for a signal; None while it runs. Never blocks."""

    def signal(self, number: int) -> None:
        """Send a signal to the whole process group; one that is gone is no error."""

    def close(self) -> None:
        """Let go of the descriptor. Call once, after it has ended."""


class Sandbox(Protocol):
    """Runs the processes of one job.

    Life: made once for a job; `start` any number of times, from one thread; `close` once, which ends every
    process that is left and may be called again. Whoever dies, runner or server, no process stays behind
    (`host`: as far as its environment names the job).
    """

    name: str
    """"bubblewrap" or "host", as every run says."""

    def start(
        self, argv: Sequence[str], *, env: Mapping[str, str], cwd: str, output: int, source: int
    ) -> Process:
        """Start a process with standard input `source` and both outputs to `output`; keeps neither.

        `cwd` and paths in `argv` and `env` are as seen inside. Raises `SandboxError` where the program or the
        directory is not there.
        """

    def close(self) -> None:
        """End all processes of the job: when this returns there are none."""

    def wait(self) -> None:
        """Wait until nothing of the closed sandbox itself is left; for after the job's last event."""


class HostProcess:
    """A plain child process."""

    def __init__(self, child: subprocess.Popen[bytes]) -> None:
        self._child = child
        self._watch = _watch(child)

    def fileno(self) -> int:  # noqa: D102
        return self._watch

    def poll(self) -> int | None:  # noqa: D102
        return self._child.poll()

    def signal(self, number: int) -> None:  # noqa: D102
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._child.pid, number)

    def close(self) -> None:  # noqa: D102
        os.close(self._watch)


class HostSandbox:
    """No isolation: the job's processes are processes of the server's user, like any other."""

    name = "host"

    def __init__(self, tracking: str) -> None:
        self._mark = f"{MARK}{tracking}".encode()
        self._adopts = adopt_orphans()

    def start(  # noqa: D102
        self, argv: Sequence[str], *, env: Mapping[str, str], cwd: str, output: int, source: int
    ) -> HostProcess:
        try:
            child = subprocess.Popen(
                list(argv),
                env=dict(env),
                cwd=cwd,
                stdin=source,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        except OSError as error:
            raise SandboxError(f"cannot start {argv[0]} in {cwd}: {error.strerror}") from error
        return HostProcess(child)

    def close(self) -> None:
        """End what steps left running, known by the tracking id in its environment, as GitHub's runner does.

        Where this process is the one that orphans get as parent, and has no child, nothing was left, and
        looking through all processes of the machine can be spared.
        """
        if not (self._adopts and self._bury()):
            end_marked(lambda entry: entry == self._mark)
            self._bury()

    def wait(self) -> None:
        """Do nothing: there is nothing around the processes."""

    @staticmethod
    def _bury() -> bool:
        """Take note of orphans that have ended; whether there is no child at all."""
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
            return False
        return True


def end_marked(matches: Callable[[bytes], bool]) -> None:
    """Kill the processes with such an entry in their environment; none are found where there is no /proc.

    Looks again until none is left, for two seconds at most: one that is killed may just have started another.
    """
    until = time.monotonic() + _END_SECONDS
    while _kill_marked(matches) and time.monotonic() < until:
        time.sleep(_LOOK_AGAIN)


def _kill_marked(matches: Callable[[bytes], bool]) -> bool:
    found = False
    for path in Path("/proc").glob("[0-9]*/environ"):
        pid = int(path.parent.name)
        with suppress(OSError):
            if pid != os.getpid() and any(map(matches, path.read_bytes().split(b"\0"))):
                found = True
                os.kill(pid, signal.SIGKILL)
    return found


def _watch(child: subprocess.Popen[bytes]) -> int:
    if hasattr(os, "pidfd_open"):
        return os.pidfd_open(child.pid)
    reading, writing = os.pipe()

    def wait() -> None:
        child.wait()
        os.close(writing)

    threading.Thread(target=wait, daemon=True).start()
    return reading
