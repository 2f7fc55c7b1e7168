"""The child that is forked before there is a job for it, and becomes the next one."""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import socket
import struct
import sys
import time
import traceback
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from windlass.runner.events import later
from windlass.runner.main import read_payload, read_spec, run_job
from windlass.runner.paths import Shape
from windlass.runner.place import Ahead, make_ahead
from windlass.runner.warming import own_memory

if TYPE_CHECKING:
    from collections.abc import Callable

_LIMIT = 1 << 16
_FDS = 1
_TIMEOUT = 10.0
_NO_FORK = 0.5


class Spare:
    """A child that is forked before there is a job for it, so that no job waits for a fork.

    It takes one request, says what shape the job has, and becomes that job. When this process lets go of it, or
    ends, it ends too, if it has taken none. Where the last job had a sandbox, the next one is likely to want one
    just like it: it finds that made as well.
    """

    def __init__(self, listener: socket.socket, data: Path) -> None:
        self._listener = listener
        self._data = data
        self._last = b""
        self.taken = False
        """Whether it has become a job."""
        self._ours = self._fork()

    def fileno(self) -> int:
        """Return what is readable once it has taken a request, or is gone."""
        return self._ours.fileno()

    def replace(self) -> None:
        """Let go of this one, and fork another, which must not inherit what holds this one."""
        self._ours.setblocking(False)
        with suppress(BlockingIOError):
            self._last = self._ours.recv(_LIMIT) or self._last
        self._ours.close()
        self.taken = False
        self._ours = self._fork()

    def _fork(self) -> socket.socket:
        ours, its = socket.socketpair()
        with its:
            pid = -1
            while pid < 0:
                try:
                    pid = os.fork()
                except OSError as error:
                    sys.stderr.write(f"cannot fork: {error.strerror}\n")
                    time.sleep(_NO_FORK)
            if pid == 0:
                ours.close()
                _wait_for_job(self._listener, its, self._data, self._last)
        return ours


def _wait_for_job(listener: socket.socket, parent: socket.socket, data: Path, last: bytes) -> None:
    """Take the next request and become its job. Never returns."""
    ahead: Ahead | None = None
    try:
        _detach()
        poll = select.poll()
        poll.register(listener, select.POLLIN)
        poll.register(parent, select.POLLIN)
        ahead = _warm(data, last, lambda: poll.poll(0))
        while True:
            ready = {found for found, _ in poll.poll()}
            if parent.fileno() in ready:
                if ahead is not None:
                    ahead.discard()
                os._exit(0)
            if (connection := _accept(listener)) is not None:
                listener.close()
                _become_job(connection, parent, ahead)
    finally:
        os._exit(1)


def _warm(data: Path, last: bytes, wanted: Callable[[], object]) -> Ahead | None:
    """Do in good time what a job would have to wait for, until one is there; a sandbox, if the last job had one."""
    ahead = make_ahead(data, Shape(**json.loads(last))) if last and not wanted() else None
    if not wanted():
        later()
    if not wanted():
        own_memory(until=wanted)  # last: what forks after it shares its pages again
    return ahead


def _accept(listener: socket.socket) -> socket.socket | None:
    try:
        connection, _ = listener.accept()
    except OSError:
        return None
    if same_user(connection):
        return connection
    connection.close()
    return None


def same_user(connection: socket.socket) -> bool:
    """Return whether the peer is this very user (root is no exception: it has no business here)."""
    if hasattr(socket, "SO_PEERCRED"):
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        return int(struct.unpack("3i", credentials)[1]) == os.getuid()
    return True  # elsewhere the socket's mode keeps others out


def _become_job(connection: socket.socket, parent: socket.socket, ahead: Ahead | None) -> None:
    code = 1
    try:
        directory = _request(connection)
        connection.sendall(b"%d\n" % os.getpid())
        connection.close()
        _redirect(directory / "runner.log")
        spec = read_spec(directory)
        with suppress(OSError):  # it may have let go of us meanwhile
            parent.sendall(json.dumps(asdict(Shape.of(spec))).encode())
        parent.close()
        code = 0 if run_job(directory, spec, lambda: read_payload(0), ahead) == "success" else 1
    except BaseException as error:  # noqa: BLE001 - nothing of a job may get back into the fork server
        with suppress(OSError):
            connection.sendall(f"error: {type(error).__name__}: {error}\n".encode())
        traceback.print_tb(error.__traceback__)
    finally:
        os._exit(code)


def _detach() -> None:
    os.setsid()
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)  # the parent's lifeline
    os.close(null)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold the secrets


def _request(connection: socket.socket) -> Path:
    """Take the job's directory, and its standard input as descriptor 0."""
    connection.setblocking(True)
    connection.settimeout(_TIMEOUT)
    data, descriptors, _, _ = socket.recv_fds(connection, _LIMIT, _FDS)
    while not data.endswith(b"\n"):
        more = connection.recv(_LIMIT)
        if not more or len(data) > _LIMIT:
            raise ValueError("a request is one line, and not longer than 64 KiB")
        data += more
    path = Path(os.fsdecode(data[:-1]))
    if not path.is_absolute() or not (path / "spec.json").is_file():
        raise ValueError(f"{path} is not a job's directory")
    if not descriptors:
        raise ValueError("no standard input came with the request")
    os.dup2(descriptors[0], 0)
    os.close(descriptors[0])
    return path


def _redirect(log: Path) -> None:
    """Let complaints go to the job's directory."""
    complaints = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    os.dup2(complaints, 1)
    os.dup2(complaints, 2)
    os.close(complaints)
