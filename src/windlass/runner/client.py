"""The server's side of the fork server: start it, ask it for jobs, start it again."""

from __future__ import annotations

import os
import socket
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

import anyio
import structlog

from windlass.runner import starting
from windlass.runner.errors import ZygoteError
from windlass.runner.events import reachable

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

_START_TIMEOUT = 30.0
_ANSWER_TIMEOUT = 10.0
_ANSWER_LIMIT = 4096
_CROWDED = 0.01
_ATTEMPTS = 3

SOCKET = (
    "zygote.sock"  # the fork server's own word for it; its module is what every job needs, and slow to load
)

log = structlog.get_logger()


class ZygoteClient:
    """Starts jobs through the fork server of this run directory.

    The fork server is started with the first job, or by `warm`, and again whenever it is found dead. It
    lives as long as this object's process and until `close`; jobs live on.
    """

    def __init__(self, run_directory: Path, begun: subprocess.Popen[bytes] | None = None) -> None:
        """`begun` is the process that `starting.start` has started already."""
        self._directory = run_directory
        self._begun = begun
        self._child: subprocess.Popen[bytes] | None = None
        self.refusal = ""
        """Why no sandbox can be made here, as far as that is known; after `warm`."""
        self._lock = anyio.Lock()

    async def start(self, job_directory: Path, payload: str) -> int:
        """Start the job in this directory and hand it `payload`, the JSON of `JobSecrets`; return its pid.

        Raises `ZygoteError` where no process was started.
        """
        reading, writing = os.pipe()
        try:
            pid = await self.launch(job_directory, reading)
            os.close(reading)
            reading = -1
            await anyio.to_thread.run_sync(_write_all, writing, payload.encode())
        finally:
            for descriptor in (reading, writing):
                if descriptor >= 0:
                    os.close(descriptor)
        return pid

    async def launch(self, job_directory: Path, stdin: int) -> int:
        """Start the job in this directory (absolute, holding `spec.json`) and return its pid.

        It reads `JobSecrets` from `stdin`, which stays the caller's, up to the end; without them it ends and
        leaves no event. Raises `ZygoteError` where no process was started.
        """
        for _ in range(_ATTEMPTS):
            await self.warm()
            try:
                with anyio.fail_after(_ANSWER_TIMEOUT):
                    answer = await self._ask(job_directory, stdin)
            except (ConnectionError, FileNotFoundError):
                # It is dead, and so is whatever it forked: a child lets go of the connection after its answer,
                # not before, so an end without one means that nobody will ever read this standard input.
                await self._forget()
                continue
            except OSError as error:
                raise ZygoteError(
                    f"the fork server did not answer for {job_directory.name}: {error}"
                ) from error
            if answer.isdecimal():
                return int(answer)
            raise ZygoteError(f"job {job_directory.name} was not started: {answer.removeprefix('error: ')}")
        raise ZygoteError(
            "the fork server ends as soon as it is started; see its messages in the server's log"
        )

    async def warm(self) -> None:
        """Start the fork server if it does not run. Raises `ZygoteError` with what it said."""
        async with self._lock:
            if self._child is not None and self._child.poll() is None:
                return
            self._let_go()
            child = self._child = await anyio.to_thread.run_sync(self._spawn)
            log.info("fork server started", pid=child.pid)

    async def close(self) -> None:
        """Let the fork server end; jobs go on."""
        async with self._lock:
            await anyio.to_thread.run_sync(self._let_go)

    def _spawn(self) -> subprocess.Popen[bytes]:
        child, self._begun = self._begun or starting.start(self._directory), None
        refusal = starting.answer(child)
        if refusal is None:
            child.kill()
            child.wait()
            raise ZygoteError(
                f"the fork server did not start (exit code {child.returncode}); its messages are in the log"
            )
        self.refusal = refusal
        return child

    async def _ask(self, directory: Path, stdin: int) -> str:
        with ExitStack() as stack:
            name, descriptor = reachable(str(self._directory / SOCKET))
            if descriptor is not None:
                stack.callback(os.close, descriptor)
            channel = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            channel.setblocking(False)
            while True:
                try:
                    channel.connect(name)
                    break
                except BlockingIOError:  # as many are waiting as the kernel lets wait
                    await anyio.sleep(_CROWDED)
            socket.send_fds(channel, [os.fsencode(directory) + b"\n"], [stdin])
            answer = b""
            while not answer.endswith(b"\n") and len(answer) < _ANSWER_LIMIT:
                await anyio.wait_readable(channel)
                if not (part := channel.recv(_ANSWER_LIMIT)):
                    raise ConnectionResetError("it went away in the middle of the answer")
                answer += part
            return answer.decode(errors="replace").strip()

    async def _forget(self) -> None:
        async with self._lock:
            await anyio.to_thread.run_sync(self._let_go)

    def _let_go(self) -> None:
        if self._child is not None:
            starting.end(self._child)
        self._child = None


def _write_all(descriptor: int, data: bytes) -> None:
    """Write a payload of any size; a job that is gone already is found by whoever watches it."""
    with suppress(BrokenPipeError):
        while data:
            data = data[os.write(descriptor, data) :]
