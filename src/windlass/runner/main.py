"""The job process: read the specification and the secrets, run the job, record its end."""

from __future__ import annotations

import errno
import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from windlass.runner.errors import RunnerError
from windlass.runner.events import EventLog
from windlass.runner.job import Job, JobEnd
from windlass.runner.place import Ahead, Place, open_place
from windlass.runner.supervise import Control
from windlass.workflow.jobs import JobError, JobSecrets, JobSpec

if TYPE_CHECKING:
    from collections.abc import Callable

PAYLOAD_LIMIT = 16 << 20


def read_spec(directory: Path) -> JobSpec:
    """Read the specification of the job in this directory. Raises `JobError` where it cannot be used."""
    return JobSpec.from_json((directory / "spec.json").read_bytes())


def run_job(
    directory: Path, spec: JobSpec, payload: str | bytes | Callable[[], bytes], ahead: Ahead | None = None
) -> str:
    """Run the job that has this directory; `payload` is the JSON with token and secrets.

    Where `payload` is yet to be read, the sandbox is made meanwhile, by a process that has never held a secret.
    `ahead` is one that may do for it.

    Returns the job's conclusion. Whatever happens, `job.finished` is the last event, and the workspace is deleted
    after it. Only where the payload holds no secrets, because the server went away before it wrote them, the
    job ends without a trace: the server has not recorded it, and starts it again.
    """
    place = open_place(spec, ahead)
    try:
        secrets = JobSecrets.from_json(payload() if callable(payload) else payload)
    except JobError:
        if isinstance(place, Place):
            place.close()
        return "cancelled"
    sink = EventLog(directory, spec.socket, spec.id)
    control = Control()
    control.install()
    sink.emit("job.started", pid=os.getpid(), started=process_start(os.getpid()))
    job: Job | None = None
    try:
        if isinstance(place, RunnerError):
            end = JobEnd("failure", {}, str(place))
        else:
            job = Job(spec, secrets, sink, control, place)
            end = job.run()
    except RunnerError as error:
        end = JobEnd("failure", {}, str(error))
    except Exception as error:  # noqa: BLE001 - a job that ends without a reason is worse
        _keep_traceback(directory)
        end = JobEnd("failure", {}, _reason(error))
    sink.emit("job.finished", conclusion=end.conclusion, outputs=end.outputs, reason=end.reason)
    sink.close()
    if job is not None:
        job.clean()
    return end.conclusion


def read_payload(descriptor: int, limit: int = PAYLOAD_LIMIT) -> bytes:
    """Read what the server writes, up to its end, and put nothing in its place."""
    data = bytearray()
    while chunk := os.read(descriptor, 1 << 16):
        data += chunk
        if len(data) > limit:
            raise RunnerError(f"more than {limit} bytes of secrets")
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, descriptor)
    os.close(null)
    return bytes(data)


def process_start(pid: int) -> int:
    """Return when a process started, in clock ticks since the machine did; 0 where there is no /proc.

    Together with the pid it names a process for good. Compare it for equality only.
    """
    with suppress(OSError, IndexError, ValueError):
        return int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[19])
    return 0


def _reason(error: Exception) -> str:
    """Return words for the person, without any values: they may be secrets."""
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return f"{os.strerror(error.errno)}: the disk of the server's data directory was full; make room, run again"
    return f"the runner itself failed ({type(error).__name__}); see runner.log of the job"


def _keep_traceback(directory: Path) -> None:
    """Write where the runner failed, without any values: they may be secrets."""
    import traceback

    frames = traceback.extract_tb(sys.exc_info()[2])
    text = json.dumps([f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames], indent=1)
    with suppress(OSError), (directory / "runner.log").open("a") as log:
        log.write(f"{sys.exc_info()[0]}\n{text}\n")
