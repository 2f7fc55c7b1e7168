"""Starts the processes of a job's sandbox on the runner's word and says how they ended.

It is a fork of the warm runner that enters the sandbox (`enter.py`), or, where that is not possible, process 1
of the sandbox, run by path with `python -I -S`: so it imports only modules that are built in or start at once,
and nothing of Windlass. Requests come as marshalled tuples with their length before them, descriptors beside
them. Answers are lines of numbers on a pipe of the process's own, because the other side must not trust what
comes out of a sandbox.

    ("start", argv, env, cwd), with descriptors for output, input, answers     b"started PID", b"ended CODE"
                                                                               or b"failed ERRNO"
    ("signal", pid, number)
    ("end",), with a descriptor for the answer                                 b"busy N", N processes are left

When the socket ends it exits; the kernel ends everything in the sandbox with its process 1.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import _socket
import errno
import marshal
import os
import select
import sys

TYPE_CHECKING = False  # `typing` would take longer to import than all the rest
if TYPE_CHECKING:
    from typing import Any, NoReturn

_HEADER = 4
_FDS = 3
_SIGNALS = (
    _signal.SIGPIPE,
    _signal.SIGXFSZ,
    _signal.SIGHUP,
    _signal.SIGQUIT,
    _signal.SIGINT,
    _signal.SIGTERM,
    _signal.SIGALRM,
    _signal.SIGCHLD,
)


def serve(descriptor: int, own: int) -> NoReturn:
    """Serve the runner at the other end of this socket until it goes away.

    `own` is how many processes of the sandbox are not the job's.
    """
    os.set_inheritable(descriptor, False)
    channel = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM, 0, descriptor)
    woken, wake = os.pipe()
    os.set_blocking(woken, False)
    os.set_blocking(wake, False)
    _signal.signal(_signal.SIGINT, _signal.SIG_IGN)  # Python's own handler would let a job end its process 1
    _signal.signal(_signal.SIGCHLD, lambda *_: None)
    _signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    poll = select.poll()
    poll.register(channel, select.POLLIN)
    poll.register(woken, select.POLLIN)
    running: dict[int, int] = {}
    while True:
        ready = {found for found, _ in poll.poll()}
        if woken in ready:
            os.read(woken, 4096)
            _reap(running)
        if channel.fileno() in ready and not _answer(channel, running, own):
            os._exit(0)  # nothing to tidy up: the kernel ends all others with process 1


def _answer(channel: _socket.socket, running: dict[int, int], own: int) -> bool:
    size = _socket.CMSG_SPACE(_FDS * 4)
    header, ancillary, _, _ = channel.recvmsg(_HEADER, size, _socket.MSG_CMSG_CLOEXEC)
    if not header:
        return False
    while len(header) < _HEADER:
        header += channel.recv(_HEADER - len(header))
    left = int.from_bytes(header, "big")
    body = bytearray()
    while left:
        if not (part := channel.recv(left)):
            return False
        body += part
        left -= len(part)
    given = [
        int.from_bytes(data[at : at + 4], sys.byteorder)
        for _, _, data in ancillary
        for at in range(0, len(data), 4)
    ]
    word, *rest = marshal.loads(bytes(body))  # noqa: S302 - the runner wrote it
    if word == "start":
        _start(running, rest, given)
    elif word == "signal":
        _send_signal(running, *rest)
    else:
        _tell(given[0], b"busy %d\n" % (sum(name.isdigit() for name in os.listdir("/proc")) - own))  # noqa: PTH208
        os.close(given[0])
    return True


def _start(running: dict[int, int], process: list[Any], given: list[int]) -> None:
    argv, env, cwd = process
    output, source, answers = given
    try:
        os.chdir(cwd)
        pid = os.posix_spawn(  # by vfork: what a process costs does not depend on the size of this one
            _program(argv[0], env), argv, env, setsid=True, setsigdef=_SIGNALS,
            file_actions=[(os.POSIX_SPAWN_DUP2, one, at) for one, at in ((source, 0), (output, 1), (output, 2))],
        )  # fmt: skip
    except (OSError, ValueError) as error:  # a ValueError tells of a zero byte in an argument or a variable
        number = error.errno if isinstance(error, OSError) and error.errno else errno.EINVAL
        _tell(answers, b"failed %d\n" % number)
        os.close(answers)
    else:
        running[pid] = answers
        _tell(answers, b"started %d\n" % pid)
    os.close(output)
    os.close(source)


def _program(name: str, env: dict[str, str]) -> str:
    """Find a program as a shell does. Raises `OSError` where there is none."""
    if "/" in name:
        return name
    found = 0
    for directory in env.get("PATH", "/usr/local/bin:/usr/bin:/bin").split(":"):
        path = f"{directory or '.'}/{name}"
        if os.access(path, os.X_OK) and not os.path.isdir(path):  # noqa: PTH112
            return path
        found = found or (errno.EACCES if os.path.isfile(path) else 0)  # noqa: PTH113
    raise OSError(found or errno.ENOENT, name)


def _send_signal(running: dict[int, int], pid: int, number: int) -> None:
    if pid in running:
        try:  # noqa: SIM105 - contextlib would take longer to import than all the rest
            os.killpg(pid, number)
        except OSError:
            pass


def _reap(running: dict[int, int]) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        answers = running.pop(pid, None)
        if answers is not None:
            _tell(answers, b"ended %d\n" % os.waitstatus_to_exitcode(status))
            os.close(answers)


def _tell(descriptor: int, answer: bytes) -> None:
    try:  # noqa: SIM105
        os.write(descriptor, answer)
    except OSError:
        pass  # who asked no longer listens


if __name__ == "__main__":
    serve(int(sys.argv[1]), 1)
