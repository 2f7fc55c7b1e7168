"""A scripted launcher: "processes" are tasks that write events and logs as the runner does."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import anyio

from windlass.pipelines.errors import LaunchError
from windlass.pipelines.nudges import reachable
from windlass.pipelines.process import KILL
from windlass.workflow.jobs import JobError, JobSecrets, JobSpec, encode, event

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from anyio.abc import TaskGroup

PIDS = count(1 << 23)  # beyond what Linux gives out


@dataclass(eq=False)
class FakeJob:
    """One scripted process: what its script may do."""

    spec: JobSpec
    secrets: JobSecrets
    pid: int
    started: int
    term: anyio.Event = field(default_factory=anyio.Event)
    gone: anyio.Event = field(default_factory=anyio.Event)
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    signals: list[int] = field(default_factory=list)
    _step: int = -1

    def emit(self, kind: str, **data: Any) -> None:
        """Append an event and nudge the server."""
        self.append(encode(event(kind, **data)))

    def append(self, data: bytes) -> None:
        """Append raw bytes to the events and nudge the server."""
        with (Path(self.spec.directory) / "events.jsonl").open("ab") as file:
            file.write(data)
        self.nudge()

    def nudge(self) -> None:
        """Tell the server, if it is there."""
        with (
            suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender,
            reachable(Path(self.spec.socket)) as name,
        ):
            sender.setblocking(False)
            sender.sendto(self.spec.id.encode(), name)

    def begin(self, name: str, line: int | None = None) -> None:
        """Start the next step; the first is the set-up."""
        self._step += 1
        (Path(self.spec.directory) / "log").mkdir(exist_ok=True)
        self.emit("step.started", step=self._step, name=name, line=line)

    def log(self, *lines: str) -> None:
        """Write lines to the current step's log."""
        stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f0Z")
        with (Path(self.spec.directory) / "log" / f"{self._step:03d}.log").open(
            "a", encoding="utf-8"
        ) as file:
            file.writelines(f"{stamp} {line}\n" for line in lines)
        self.nudge()

    def end(self, conclusion: str = "success") -> None:
        """Finish the current step."""
        result = {"outcome": conclusion, "conclusion": conclusion, "seconds": 0.01, "outputs": {}}
        self.emit("step.finished", step=self._step, **result)

    def annotate(
        self, message: str, *, level: str = "error", file: str | None = None, line: int | None = None
    ) -> None:
        """Annotate the current step."""
        place = {"file": file, "line": line, "column": None, "title": None, "step": self._step}
        self.emit("annotation", level=level, message=message, **place)

    def finish(self, conclusion: str = "success", *, reason: str | None = None, **outputs: str) -> None:
        """Tell the outcome."""
        self.emit("job.finished", conclusion=conclusion, outputs=outputs, reason=reason)


async def succeed(job: FakeJob) -> None:
    """Return the default script: a set-up and one step, both well."""
    job.begin("Set up job")
    job.end()
    job.begin("Run true", 1)
    job.log("ok")
    job.end()
    job.finish()


class FakeLauncher:
    """A `Launcher` and the `Processes` that belong to it. `scripts` maps a job's key to what it does.

    Its processes live in the task group of `async with`, not in any server: they outlive it. A script that
    returns without `finish` is a process that died. SIGTERM sets `job.term`; without a script that looks
    at it nothing happens. SIGKILL ends the script. `refuse` is how many launches fail; `after_fork` runs between
    fork and answer, `before_work` in the new process after it has read its input.
    """

    def __init__(
        self,
        scripts: Mapping[str, Callable[[FakeJob], Awaitable[None]]] | None = None,
        *,
        default: Callable[[FakeJob], Awaitable[None]] = succeed,
    ) -> None:
        self.scripts = dict(scripts or {})
        self.default = default
        self.jobs: dict[str, FakeJob] = {}
        self.executed: list[str] = []
        self.refuse = 0
        self.after_fork: Callable[[], Awaitable[None]] | None = None
        self.before_work: Callable[[], Awaitable[None]] | None = None
        self._alive: dict[int, FakeJob | int] = {}
        self._gone: dict[int, anyio.Event] = {}
        self._group: TaskGroup | None = None

    async def __aenter__(self) -> Self:
        self._group = anyio.create_task_group()
        await self._group.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._group is not None  # noqa: S101 entered before
        self._group.cancel_scope.cancel()
        await self._group.__aexit__(None, None, None)

    async def launch(self, job_directory: Path, stdin: int) -> int:
        """Start the script of the job in this directory."""
        if self.refuse or self._group is None:
            self.refuse -= 1
            raise LaunchError("the fake launcher was told to refuse")
        pid = next(PIDS)
        self._alive[pid] = pid
        self._gone[pid] = anyio.Event()
        self._group.start_soon(self._run, pid, job_directory, os.dup(stdin))
        if self.after_fork is not None:
            await self.after_fork()
        return pid

    async def _run(self, pid: int, directory: Path, stdin: int) -> None:
        try:
            payload = await _read(stdin)
            if self.before_work is not None:
                await self.before_work()
            secrets = JobSecrets.from_json(payload)
            spec = JobSpec.from_json((directory / "spec.json").read_text(encoding="utf-8"))
        except (JobError, OSError):
            self._end(pid)
            return
        job = FakeJob(spec, secrets, pid, pid)
        self.jobs[spec.id] = self._alive[pid] = job
        self.executed.append(spec.id)
        with job.scope:
            job.emit("job.started", pid=pid, started=pid)
            await self.scripts.get(spec.key, self.default)(job)
        self._end(pid)

    def _end(self, pid: int) -> None:
        self._alive.pop(pid, None)
        self._gone[pid].set()

    def started(self, pid: int) -> int | None:
        """Return the start time of a fake process is its pid."""
        return pid if pid in self._alive else None

    def signal(self, pid: int, started: int, number: int, *, group: bool = False) -> bool:
        """Deliver a signal to the script."""
        job = self._alive.get(pid)
        if not isinstance(job, FakeJob) or started != pid:
            return False
        job.signals.append(number)
        if number == KILL or group:
            job.scope.cancel()
        else:
            job.term.set()
        return True

    async def gone(self, pid: int, started: int) -> None:
        """Wait for the script's end."""
        if pid in self._gone and pid == started:
            await self._gone[pid].wait()


async def _read(descriptor: int) -> bytes:
    os.set_blocking(descriptor, False)
    parts: list[bytes] = []
    try:
        while True:
            await anyio.wait_readable(descriptor)
            if not (part := os.read(descriptor, 1 << 16)):
                return b"".join(parts)
            parts.append(part)
    finally:
        os.close(descriptor)
