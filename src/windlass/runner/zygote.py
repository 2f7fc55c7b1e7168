"""A small warm process that keeps a child ready for each next job, so that a job starts in milliseconds.

    python -m windlass.runner.zygote RUN_DIRECTORY

listens at `RUN_DIRECTORY/zygote.sock`. A request is the job's directory, and with it the descriptor that shall
be the job's standard input; the answer is the pid and a line end, or `error: …`. Token and secrets come through
that input, which the child alone reads: no secret is ever in the memory that later jobs inherit. Each job leads
a session of its own: jobs outlive this process, and this process ends when its own standard input does, which
the server holds.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import select
import selectors
import shutil
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

from windlass.runner.bubblewrap import keep_people, survey
from windlass.runner.errors import SandboxUnavailableError
from windlass.runner.events import later, reachable
from windlass.runner.main import read_payload, read_spec, run_job
from windlass.runner.paths import Shape
from windlass.runner.place import AHEAD, Ahead, make_ahead
from windlass.runner.sandbox import MARK, end_marked
from windlass.runner.shared import look_again
from windlass.runner.shims import keep_shims, scripts
from windlass.runner.warming import own_memory

if TYPE_CHECKING:
    from collections.abc import Callable

SOCKET = "zygote.sock"
_LIMIT = 1 << 16
_FDS = 1
_BACKLOG = 256
_TIMEOUT = 10.0
_REFRESH = 60.0
_NO_FORK = 0.5
_LULL = 0.02


def main() -> int:
    """Serve until standard input ends."""
    if len(sys.argv) != 2:
        sys.stderr.write("usage: python -m windlass.runner.zygote RUN_DIRECTORY\n")
        return 2
    directory = Path(sys.argv[1])
    data = directory.parent
    listener = listen(directory / SOCKET)
    refusal = preload(data)
    shutil.rmtree(data / AHEAD, ignore_errors=True)
    try:
        os.write(1, f"ready {' '.join(refusal.split())}".rstrip().encode() + b"\n")
    except BrokenPipeError:
        return 0  # whoever wanted jobs has gone
    if has_run_jobs(data):
        sweep_containers(data)
    serve(listener, data)
    return 0


def has_run_jobs(data: Path) -> bool:
    """Whether a server with this data directory has run jobs before; asking the engines what is left takes a second."""
    try:
        with os.scandir(data / "jobs") as entries:
            return any(entries)
    except FileNotFoundError:
        return False


def listen(path: Path) -> socket.socket:
    """Return a socket at this path that only this user may use. A dead one's place is taken."""
    name, directory = reachable(str(path))
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    path.unlink(missing_ok=True)
    before = os.umask(0o177)
    try:
        listener.bind(name)
    finally:
        os.umask(before)
        if directory is not None:
            os.close(directory)
    listener.listen(_BACKLOG)
    listener.setblocking(False)
    return listener


def preload(data: Path) -> str:
    """Import, find out and write everything that every job would; returns why no sandbox can be made, or ""."""
    import asyncio  # noqa: F401

    from windlass.runner import services  # noqa: F401
    from windlass.runner.actions import catalogue, composite, container, javascript, library  # noqa: F401

    catalogue()
    refusal = _look_around(data)
    gc.collect()
    gc.freeze()
    return refusal


def serve(listener: socket.socket, data: Path) -> None:
    """Keep one child ready that takes the next request; reap those that have ended."""
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which ends us by our input
    for number in (signal.SIGQUIT, signal.SIGHUP):  # what `nohup` or `&` had our server ignore, jobs do not
        signal.signal(number, signal.SIG_DFL)
    woken, wake = os.pipe()
    os.set_blocking(woken, False)
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    spare = Spare(listener, data)
    with selectors.DefaultSelector() as selector:
        selector.register(0, selectors.EVENT_READ, "lifeline")
        selector.register(woken, selectors.EVENT_READ, "child")
        selector.register(spare, selectors.EVENT_READ, "taken")
        while True:
            what = {key.data for key, _ in selector.select(_LULL if spare.taken else _REFRESH)}
            if "child" in what:
                os.read(woken, 4096)
                _reap(data)
            if "taken" in what:
                # The job that begins now has better use for the processor, until somebody asks for another.
                spare.taken = True
                selector.unregister(spare)
                selector.register(listener, selectors.EVENT_READ, "request")
            elif spare.taken and (not what or "request" in what):
                selector.unregister(listener)
                spare.replace()
                selector.register(spare, selectors.EVENT_READ, "taken")
            elif not what:
                _refresh(data)
                selector.unregister(spare)
                spare.replace()
                selector.register(spare, selectors.EVENT_READ, "taken")
            if "lifeline" in what and not os.read(0, 64):
                return


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


def _refresh(data: Path) -> None:
    """Look at the machine again now and then: what is private in its configuration may have changed."""
    survey.cache_clear()
    scripts.cache_clear()
    look_again()
    _look_around(data)


def _look_around(data: Path) -> str:
    keep_people(data)
    for isolated in (True, False):
        keep_shims(data, isolated=isolated)
    try:
        survey()
    except SandboxUnavailableError as error:
        return str(error)
    return ""


def sweep_containers(data: Path, runner: str = "") -> None:
    """Remove, in a process beside this one, the containers that runners which were killed could not remove."""
    if not any(map(shutil.which, ("podman", "docker"))) or os.fork() != 0:
        return
    with suppress(BaseException):
        from windlass.runner.containers import sweep

        os.setsid()
        signal.set_wakeup_fd(-1)
        sweep(data, runner)
    os._exit(0)


def _reap(data: Path) -> None:
    """Take note of jobs that have ended. One that was killed could not end what its steps had started."""
    with suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            if os.WIFSIGNALED(status):
                left = f"_{pid}".encode()
                sweep_containers(data, str(pid))
                shutil.rmtree(data / AHEAD / str(pid), ignore_errors=True)
                end_marked(lambda entry, left=left: entry.startswith(MARK.encode()) and entry.endswith(left))  # type: ignore[misc]


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


if __name__ == "__main__":
    sys.exit(main())
