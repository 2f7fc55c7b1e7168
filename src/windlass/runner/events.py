"""Append a job's events to `events.jsonl` and tell the server that there is something to read."""

from __future__ import annotations

import functools
import os
import queue
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from windlass.workflow.jobs import encode, event

if TYPE_CHECKING:
    from collections.abc import Callable

HINT_INTERVAL = 0.05
"""Seconds between the datagrams that new log lines cause; a line waits no longer than this to be known."""
_PATH_LIMIT = 100  # sun_path holds 108 bytes on Linux, 104 on macOS


class Sink(Protocol):
    """Where a job's events go. `emit` takes the fields of the kind as `windlass.workflow.jobs` has them."""

    def emit(self, kind: str, **data: Any) -> None: ...  # noqa: D102

    def logged(self) -> None:
        """Take note that a log has new lines."""

    def close(self) -> None: ...  # noqa: D102


class EventLog:
    """The sink of a job under a server: one line with one `write` each, then a datagram to the server.

    The file is the truth and the datagram a hint: with no server there, the job goes on all the same.
    """

    def __init__(self, directory: Path, socket_path: str = "", job: str = "") -> None:
        flags = os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        self._file = os.open(directory / "events.jsonl", flags, 0o600)
        self._nudge = Nudge(socket_path, job)

    def emit(self, kind: str, **data: Any) -> None:
        """Record one event, with the time of now.

        The end is said at once. All else may wait a little: a server that records it with what follows has
        less to do than one that is called for each.
        """
        os.write(self._file, encode(event(kind, **data)))
        if kind == "job.finished":
            self._nudge.send()
        else:
            self._nudge.hint()

    def logged(self) -> None:
        """Let those who follow a log look at it."""
        self._nudge.hint()

    def close(self) -> None:
        """Make what was written durable."""
        os.fsync(self._file)
        os.close(self._file)
        self._nudge.send()
        self._nudge.close()


class Later:
    """A thread that calls back after a while, one after the other: at hand, where starting one takes a millisecond."""

    def __init__(self) -> None:
        self._asked: queue.SimpleQueue[tuple[float, Callable[[], None]]] = queue.SimpleQueue()
        threading.Thread(target=self._serve, name="later", daemon=True).start()

    def call(self, at: float, what: Callable[[], None]) -> None:
        """Call it at this time of the monotonic clock. It must not raise."""
        self._asked.put((at, what))

    def _serve(self) -> None:
        while True:
            at, what = self._asked.get()
            time.sleep(max(0.0, at - time.monotonic()))
            what()


@functools.cache
def later() -> Later:
    """Return the one of this process. Not for a process that will fork others which want it."""
    return Later()


class Nudge:
    """Datagrams to a unix socket that nobody may be listening at: `send` at once, `hint` soon."""

    def __init__(self, path: str, job: str) -> None:
        self._payload = job.encode()
        self._path, self._directory = reachable(path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._hinted = 0.0
        self._due = False
        self._closed = False

    def hint(self) -> None:
        """Say within `HINT_INTERVAL` that there is news, and not more often, however often it is called.

        The first of a burst is said at once. What comes after it is said by a thread, because whoever writes
        may write nothing more for a long time.
        """
        wait = self._hinted + HINT_INTERVAL - time.monotonic()
        if not self._path or self._closed or self._due:
            return
        if wait <= 0:
            self._hinted = time.monotonic()
            self.send()
        else:
            self._due = True
            later().call(self._hinted + HINT_INTERVAL, self._overdue)

    def _overdue(self) -> None:
        self._due = False  # first: what is written from now on is to be said again
        self._hinted = time.monotonic()
        self.send()

    def send(self) -> None:
        """Say that there is news; a server that is away or busy reads it later anyway."""
        if self._path and not self._closed:
            with suppress(OSError):
                self._socket.sendto(self._payload, self._path)

    def close(self) -> None:
        """Close the socket."""
        self._closed = True
        self._socket.close()
        if self._directory is not None:
            os.close(self._directory)
            self._directory = None


def reachable(path: str) -> tuple[str, int | None]:
    """Return a name of this socket short enough for the kernel, and the descriptor that it stands on."""
    if len(path.encode()) <= _PATH_LIMIT:
        return path, None
    try:
        directory = os.open(Path(path).parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return "", None
    return f"/proc/self/fd/{directory}/{Path(path).name}", directory
