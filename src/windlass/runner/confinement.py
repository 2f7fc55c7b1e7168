"""The driver that runs a job's processes in a sandbox made by bubblewrap."""

from __future__ import annotations

import marshal
import os
import socket
import subprocess
import sys
import threading
import time
from array import array
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from windlass.runner import enter, spawner
from windlass.runner.bubblewrap import arguments, prepare, survey
from windlass.runner.errors import SandboxError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from windlass.runner.paths import Paths

_GONE = -9
_ANSWER = 64


def _serve(channel: int) -> None:
    spawner.serve(channel, 1)


class BubblewrapProcess:
    """A process in the sandbox, known by its number there."""

    def __init__(self, sandbox: BubblewrapSandbox, pid: int, answers: int) -> None:
        self._sandbox = sandbox
        self._pid = pid
        self._answers = answers
        os.set_blocking(answers, False)

    def fileno(self) -> int:  # noqa: D102
        return self._answers

    def poll(self) -> int | None:  # noqa: D102
        try:
            answer = os.read(self._answers, _ANSWER)
        except BlockingIOError:
            return None
        return _number(answer, b"ended", _GONE)

    def signal(self, number: int) -> None:  # noqa: D102
        with suppress(SandboxError):
            self._sandbox.send(("signal", self._pid, int(number)), [])

    def close(self) -> None:  # noqa: D102
        os.close(self._answers)


class BubblewrapSandbox:
    """One bubblewrap for the whole job, in which the spawner starts its steps.

    It is being made while the runner goes on; the first `start` waits for it. A background process that one
    step leaves is there for the next, as on GitHub, and gone with the job. `start` and the processes may be
    used from several threads.
    """

    name = "bubblewrap"

    def __init__(self, paths: Paths, *, data: Path, job: Path) -> None:
        prepare(data, job)
        self._machine = survey()
        self._job = job
        self._lock = threading.Lock()
        self._waiting: enter.Waiting | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._helper: enter.Helper | None = None
        options = arguments(self._machine, paths, data, job)
        complaints = os.open(
            job / "sandbox.log", os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o600
        )
        try:
            if self._machine.enter:
                self._waiting = enter.make(options, complaints)
                self._helper = enter.Helper(_serve)
                self._helper.send_to(self._waiting, complaints)
                self._channel = self._helper.channel
            else:
                self._channel = self._with_python(options, complaints)
        finally:
            os.close(complaints)

    def _with_python(self, options: list[str], complaints: int) -> socket.socket:
        """Where the sandbox cannot be entered: a Python of its own is process 1."""
        channel, inner = socket.socketpair()
        program = str(Path(spawner.__file__).resolve())
        python = os.path.realpath(sys.executable)
        reading, writing = os.pipe()
        argv = ["bwrap", "--args", str(reading), "--", python, "-I", "-S", program]
        try:
            self._child = subprocess.Popen(
                [*argv, str(inner.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=complaints,
                stderr=complaints,
                pass_fds=(reading, inner.fileno()),
            )
        finally:
            os.close(reading)
            inner.close()
            with suppress(BrokenPipeError), os.fdopen(writing, "wb") as stream:
                stream.write(b"".join(option.encode() + b"\0" for option in options))
        return channel

    def start(  # noqa: D102
        self, argv: Sequence[str], *, env: Mapping[str, str], cwd: str, output: int, source: int
    ) -> BubblewrapProcess:
        answers, answering = os.pipe()
        try:
            try:
                self.send(("start", list(argv), dict(env), cwd), [output, source, answering])
            finally:
                os.close(answering)
            pid = self._started(_line(answers), argv[0], cwd)
        except BaseException:
            os.close(answers)
            raise
        return BubblewrapProcess(self, pid, answers)

    def _started(self, answer: bytes, program: str, cwd: str) -> int:
        """Return the number of the process that the spawner says it started."""
        if (pid := _number(answer, b"started", 0)) > 0:
            return pid
        if refused := _number(answer, b"failed", 0):
            raise SandboxError(f"cannot start {program} in {cwd}: {os.strerror(refused)}")
        raise SandboxError(f"the sandbox is gone: {self._complaint()}")

    def send(self, request: tuple[Any, ...], descriptors: list[int]) -> None:
        """Ask the spawner for something. Raises `SandboxError` where it is gone."""
        body = marshal.dumps(request)
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", descriptors))] if descriptors else []
        try:
            with self._lock:
                self._channel.sendmsg([len(body).to_bytes(4, "big")], ancillary)
                self._channel.sendall(body)
        except OSError as error:
            raise SandboxError(f"the sandbox is gone: {self._complaint()}") from error

    def move(self, job: Path) -> None:
        """Wait until the sandbox is made: then let the job's directory have another name.

        Raises `SandboxError` where it could not be made, or is gone.
        """
        maker = self._child if self._waiting is None else self._waiting.child
        if self._left() or maker is None or maker.poll() is not None:
            raise SandboxError(f"the sandbox is gone: {self._complaint()}")
        self._job = job

    def close(self) -> None:
        """End the sandbox: with its process 1, the kernel ends all others. Where there are none, that can wait."""
        if self._channel.fileno() < 0:
            return
        left = self._left()
        self._channel.close()
        if self._waiting is not None:
            self._waiting.end()
        if left:
            self.wait()

    def wait(self) -> None:
        """Wait until nothing of a closed sandbox is left."""
        if self._waiting is not None:
            self._waiting.wait()
            self._waiting = None
        if self._helper is not None:
            self._helper.wait()
            self._helper = None
        if self._child is not None:
            enter.Waiting(self._child, -1, -1, -1).wait()
            self._child = None

    def _left(self) -> int:
        """Return how many processes of the job there are; as good as some where nobody can tell."""
        answers, answering = os.pipe()
        try:
            try:
                self.send(("end",), [answering])
            except SandboxError:
                return 1
            finally:
                os.close(answering)
            return _number(_line(answers), b"busy", 1)
        finally:
            os.close(answers)

    def _complaint(self) -> str:
        time.sleep(0.05)  # its last words may be on their way
        with suppress(OSError):
            if text := (self._job / "sandbox.log").read_text(errors="replace").strip():
                return text[-2000:]
        return "no reason given"


def _line(descriptor: int) -> bytes:
    """Return one answer, b"" where none comes any more. What follows it stays to be read."""
    answer = b""
    while len(answer) < _ANSWER and not answer.endswith(b"\n"):
        byte = os.read(descriptor, 1)
        if not byte:
            return b""
        answer += byte
    return answer


def _number(answer: bytes, word: bytes, otherwise: int) -> int:
    """Return the number of an answer of this kind. What comes out of a sandbox may be anything."""
    found, _, number = answer.partition(b"\n")[0].partition(b" ")
    try:
        return int(number) if found == word else otherwise
    except ValueError:
        return otherwise
