"""How the server has a job's process started: the port. `FakeLauncher` beside it is its scripted fake."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path


class Launcher(Protocol):
    """Starts one process for each job.

    The process leads a session of its own, outlives the server, and finds `spec.json` in its directory. It
    first reads its standard input to the end, and when that holds no valid `JobSecrets` it ends without a
    trace. The server records the pid before it writes there: what is not recorded can never run, and so
    nothing ever runs twice. `launch` may be called concurrently; it takes no longer than a few seconds.
    """

    async def launch(self, job_directory: Path, stdin: int) -> int:
        """Start the process of the job in this directory, with the descriptor as its input; return its pid.

        The descriptor stays the caller's, who closes it afterwards. Raises when no process was started.
        """
        ...
