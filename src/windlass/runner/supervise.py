"""Run one process to its end: its output on to the log, its time limit, and the way it is interrupted."""

from __future__ import annotations

import ctypes
import fcntl
import os
import selectors
import signal
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from windlass.runner.errors import TimedOutError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import FrameType

    from windlass.runner.sandbox import Process, Sandbox

ESCALATION = ((0.0, signal.SIGINT), (7.5, signal.SIGTERM), (10.0, signal.SIGKILL))
"""Seconds after the decision to interrupt, and what is sent then; the times of GitHub's runner."""
_CHUNK = 1 << 16  # larger ones leave the processor's cache between one look and the next
_PIPE_SIZE = 1 << 20
_INPUT_LIMIT = 1 << 15  # less than any pipe holds


class Feed(Protocol):
    """Takes what a process prints."""

    def feed(self, chunk: bytes) -> None: ...  # noqa: D102


@dataclass
class Control:
    """The will of whoever may end the job: cancellation by signal, the job's own deadline.

    `cancelled` once asked (SIGTERM or SIGINT to the runner), `killed` asked twice: everything ends now.
    `stop` holds the exception to raise while a built-in action runs in the runner itself. A step in the
    background has a `child` of its own, which hears all that the job hears and can be cancelled alone.
    """

    deadline: float = float("inf")
    grace: float = 300.0
    """Seconds that are left for steps with `always()` after a cancellation."""
    cancelled: bool = False
    killed: bool = False
    timed_out: bool = False
    """Whether the job has used up its time; what is left of it then is the grace."""
    forced: bool = False
    """Whether it is cancelled by name, and so whatever its condition says."""
    stop: Callable[[], BaseException | None] | None = None
    thread: int = 0
    """The thread that this is for; 0 for the main one, which hears signals itself."""
    _children: list[Control] = field(default_factory=list)
    _timer: threading.Timer | None = None
    _pipe: tuple[int, int] = field(default_factory=os.pipe)

    def install(self) -> None:
        """Take SIGTERM and SIGINT."""
        for end in self._pipe:
            os.set_blocking(end, False)
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, self._on_signal)
        signal.signal(signal.SIGALRM, self._on_alarm)

    def child(self) -> Control:
        """Return the control of a step in the background."""
        made = Control(self.deadline, self.grace, self.cancelled, self.killed, self.timed_out)
        for end in made._pipe:
            os.set_blocking(end, False)
        self._children.append(made)
        return made

    def request(self, *, forced: bool = False) -> None:
        """Ask for cancellation, or for an end at once if it was asked before."""
        self.killed = self.cancelled
        if not self.cancelled:
            self.deadline = time.monotonic() + self.grace
        self.cancelled = True
        self.forced = self.forced or forced
        with suppress(BlockingIOError):
            os.write(self._pipe[1], b"!")
        for child in self._children:
            child.request()
        if self.thread and self.stop is not None and (error := self.stop()) is not None:
            self._raise(type(error))

    def arm(self, seconds: float) -> None:
        """Raise `TimedOutError` in the thread of this control after so many seconds, unless `disarm` comes first."""
        if self.thread:
            self._timer = threading.Timer(seconds, self._raise, (TimedOutError,))
            self._timer.daemon = True
            self._timer.start()
        else:
            signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.001))

    def disarm(self) -> None:
        """Take back what `arm` was asked for."""
        if self._timer is not None:
            self._timer.cancel()
        if not self.thread:
            signal.setitimer(signal.ITIMER_REAL, 0)

    def _raise(self, kind: type[BaseException]) -> None:
        """Raise this in the thread, as soon as it runs Python."""
        if self.stop is not None:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self.thread), ctypes.py_object(kind))

    def note_time(self) -> None:
        """Take note that the job's time is used up, if it is: from now on only the grace is left."""
        if time.monotonic() >= self.deadline and not self.cancelled and not self.timed_out:
            self.timed_out = True
            self.deadline = time.monotonic() + self.grace

    def fileno(self) -> int:
        """Return a descriptor that is readable after a request."""
        return self._pipe[0]

    def drain(self) -> None:
        """Take note of the requests."""
        with suppress(BlockingIOError):
            os.read(self._pipe[0], 64)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self.request()
        if self.stop is not None and (error := self.stop()) is not None:
            raise error

    def _on_alarm(self, _number: int, _frame: FrameType | None) -> None:
        if self.stop is not None:
            raise TimedOutError("The action has taken longer than its timeout.")


@dataclass
class Ending:
    """How a process ended. `reason` is "" (by itself), "cancelled", "timed_out" or "killed"."""

    code: int
    reason: str = ""


class Supervisor:
    """Runs the processes of one job, one at a time, and keeps reading what earlier ones left running print."""

    def __init__(self, sandbox: Sandbox, control: Control) -> None:
        self.sandbox = sandbox
        self.control = control
        self._left: dict[int, Feed] = {}
        self._closed = False

    def run(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: str,
        feed: Feed,
        source: bytes = b"",
        deadline: float = float("inf"),
        interruptible: Callable[[], bool] = lambda: True,
        sandbox: Sandbox | None = None,
    ) -> Ending:
        """Run a process to its end, in another sandbox if one is given. `deadline` is on the monotonic clock.

        `interruptible` is asked when the job is cancelled: a step whose condition still holds goes on.
        Raises `SandboxError` where it cannot be started.
        """
        reading, writing = os.pipe()
        _widen(reading)
        stdin = _input(source)
        try:
            process = (sandbox or self.sandbox).start(argv, env=env, cwd=cwd, output=writing, source=stdin)
        except BaseException:
            os.close(reading)
            raise
        finally:
            os.close(writing)
            os.close(stdin)
        os.set_blocking(reading, False)
        self._left[reading] = feed
        stop, self.control.stop = self.control.stop, None
        try:
            return self._watch(process, deadline, interruptible)
        finally:
            self.control.stop = stop
            process.close()
            self._pump(reading)

    def close(self) -> None:
        """End what is left running, after a last look at what it printed; once is enough, and twice no harm."""
        if self._closed:
            return
        self._closed = True
        self.sandbox.close()
        for descriptor in list(self._left):
            self._pump(descriptor)
            if descriptor in self._left:
                del self._left[descriptor]
                os.close(descriptor)

    def take_over(self, other: Supervisor) -> None:
        """Go on reading what the processes that another supervisor's steps left running print."""
        self._left |= other._left
        other._left = {}

    def _watch(self, process: Process, deadline: float, interruptible: Callable[[], bool]) -> Ending:
        interruption = _Interruption(self.control, deadline, interruptible)
        with selectors.DefaultSelector() as selector:
            selector.register(process.fileno(), selectors.EVENT_READ)
            selector.register(self.control.fileno(), selectors.EVENT_READ)
            for descriptor in self._left:
                selector.register(descriptor, selectors.EVENT_READ)
            while (code := process.poll()) is None:
                interruption.act(process)
                for key, _ in selector.select(interruption.wait()):
                    if key.fd == self.control.fileno():
                        self.control.drain()
                    elif key.fd in self._left and not self._read(key.fd):
                        selector.unregister(key.fd)
                        self._drop(key.fd)
        return Ending(code, interruption.reason)

    def _read(self, descriptor: int) -> bool:
        try:
            chunk = os.read(descriptor, _CHUNK)
        except BlockingIOError:
            return True
        if chunk:
            self._left[descriptor].feed(chunk)
        return bool(chunk)

    def _pump(self, descriptor: int) -> None:
        """Read what is there now: all that an ended process printed, and no waiting for those it left."""
        while descriptor in self._left:
            try:
                chunk = os.read(descriptor, _CHUNK)
            except BlockingIOError:
                return
            if not chunk:
                self._drop(descriptor)
                return
            self._left[descriptor].feed(chunk)

    def _drop(self, descriptor: int) -> None:
        del self._left[descriptor]
        os.close(descriptor)


class _Interruption:
    """Decides whether and how far a process is being interrupted."""

    def __init__(self, control: Control, deadline: float, interruptible: Callable[[], bool]) -> None:
        self._control = control
        self._deadline = deadline
        self._interruptible = interruptible
        self._asked = False
        self._since = 0.0
        self._sent = 0
        self.reason = ""

    def act(self, process: Process) -> None:
        now = time.monotonic()
        if not self.reason:
            self._decide(now)
        if self._control.killed and self.reason != "killed":
            self.reason = "killed"
            process.signal(signal.SIGKILL)
        while self.reason and self._sent < len(ESCALATION) and now >= self._since + ESCALATION[self._sent][0]:
            process.signal(ESCALATION[self._sent][1])
            self._sent += 1

    def wait(self) -> float | None:
        """Return how long to wait for the next thing to do."""
        due = self._due() if not self.reason else float("inf")
        if self.reason and self._sent < len(ESCALATION):
            due = self._since + ESCALATION[self._sent][0]
        return None if due == float("inf") else max(0.0, due - time.monotonic())

    def _decide(self, now: float) -> None:
        if self._control.cancelled and not self._asked:
            self._asked = True
            if self._control.forced or self._interruptible():
                self.reason = "cancelled"
        if not self.reason and now >= self._due():
            self.reason = "timed_out"
        self._since = now

    def _due(self) -> float:
        return min(self._deadline, self._control.deadline)


def _widen(descriptor: int) -> None:
    if sys.platform == "linux":
        with suppress(OSError):  # over the user's allowance for pipes: a narrow one does as well
            fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, _PIPE_SIZE)


def _input(source: bytes) -> int:
    """Return a descriptor to read these few bytes from. Raises `ValueError` where they do not fit into a pipe."""
    if not source:
        return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    if len(source) > _INPUT_LIMIT:
        raise ValueError(f"{len(source)} bytes are too many for standard input")
    reading, writing = os.pipe()
    os.write(writing, source)
    os.close(writing)
    return reading
