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
import os
import selectors
import shutil
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path

from windlass.runner.bubblewrap import keep_people, survey
from windlass.runner.errors import SandboxUnavailableError
from windlass.runner.events import reachable
from windlass.runner.place import AHEAD
from windlass.runner.sandbox import MARK, end_marked
from windlass.runner.shared import look_again
from windlass.runner.shims import keep_shims, scripts
from windlass.runner.spare import Spare

SOCKET = "zygote.sock"
_BACKLOG = 256
_REFRESH = 60.0
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


if __name__ == "__main__":
    sys.exit(main())
