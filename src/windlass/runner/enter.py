"""Enter a sandbox that bubblewrap has made, for good and without any privilege.

bubblewrap makes the sandbox, and in it process 1, which does nothing but wait. A fork of the warm runner joins
its namespaces (setns(2)) and starts the job's processes from there: a Python that starts inside would take
twice as long as all the rest. The fork keeps nothing that would let it back: no capability, none to be gained
(prctl(2), PR_SET_NO_NEW_PRIVS), no descriptor. It is in the sandbox's process namespace only as the parent of
its children, so that nobody inside can see, trace or signal it.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import json
import os
import signal
import socket
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from windlass.runner.errors import SandboxError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_NEWUSER = 0x10000000
_NAMESPACES = {
    "mnt": 0x00020000, "cgroup": 0x02000000, "uts": 0x04000000, "ipc": 0x08000000, "pid": 0x20000000
}  # fmt: skip
_GET_PARENT = 0xB702  # NS_GET_PARENT, ioctl_ns(2)
_SET_NO_NEW_PRIVS, _CAPBSET_DROP, _CAP_AMBIENT, _SET_SUBREAPER, _SET_DUMPABLE = 38, 24, 47, 36, 4
_AMBIENT_CLEAR_ALL = 4
_CAPABILITY_VERSION_3 = 0x20080522
_MOST_CAPABILITIES = 64
_DEPTH = 4

_libc = ctypes.CDLL(None, use_errno=True)


_WAIT = ("/bin/bash", "--norc", "-c", "echo; read -r _")
"""Process 1: says that the sandbox is made, takes in orphans, and ends with its input."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A sandbox that waits to be entered, or is being made. It ends when `life` is closed, or this process ends."""

    child: subprocess.Popen[bytes]
    about: int
    """To be read: what bubblewrap tells of it, as JSON."""
    ready: int
    """To be read: a byte when it is made."""
    life: int

    def end(self) -> None:
        """Let the kernel end every process in it, without waiting for that."""
        for descriptor in (self.about, self.ready, self.life):
            os.close(descriptor)

    def wait(self) -> None:
        """Wait until it is gone."""
        try:
            self.child.wait(timeout=2)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()


def make(options: Sequence[str], complaints: int) -> Waiting:
    """Let bubblewrap make a sandbox, without waiting for it. `complaints` is where its errors go."""
    pipes = [os.pipe() for _ in range(4)]
    (given, give), (about, tell), (ready, say), (live, life) = pipes
    argv = ["bwrap", "--args", str(given), "--info-fd", str(tell), "--", *_WAIT]
    try:
        child = subprocess.Popen(argv, stdin=live, stdout=say, stderr=complaints, pass_fds=(given, tell))
    except BaseException:
        for descriptor in (give, about, ready, life):
            os.close(descriptor)
        raise
    finally:
        for descriptor in (given, tell, say, live):
            os.close(descriptor)
    with suppress(BrokenPipeError), os.fdopen(give, "wb") as stream:
        stream.write(b"".join(option.encode() + b"\0" for option in options))
    return Waiting(child, about, ready, life)


def can_enter(options: Sequence[str]) -> bool:
    """Try whether a sandbox with these options can be entered by a fork, and a process started from there."""
    if not hasattr(os, "pidfd_open") or not hasattr(_libc, "setns"):
        return False
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    try:
        waiting = make(options, null)
        helper = Helper(_try)
        helper.send_to(waiting, null)
        entered = helper.wait() == 0
        helper.channel.close()
        waiting.end()
        waiting.wait()
    except OSError:
        return False
    finally:
        os.close(null)
    return entered


def _try(_channel: int) -> None:
    pid = os.posix_spawn("/bin/true", ["true"], {}, setsid=True)
    if os.waitpid(pid, 0)[1] != 0:
        raise SandboxError("no process can be started in it")


class Helper:
    """A fork of this process that enters the sandbox it is sent to, and does its work there: `work(channel)`.

    To be made before there is a secret in memory. Closing `channel` ends it, as the end of this process does.
    """

    def __init__(self, work: Callable[[int], object]) -> None:
        self.channel, its = socket.socketpair()
        with its:
            self._pid = os.fork()
            if self._pid == 0:
                _help(its, work)

    def send_to(self, waiting: Waiting, complaints: int) -> None:
        """Let it enter this sandbox, once that is made."""
        with suppress(OSError):  # where it is gone, whoever needs it finds out
            socket.send_fds(self.channel, [b"!"], [waiting.about, waiting.ready, complaints])

    def wait(self) -> int:
        """Wait for its end and return its exit code."""
        with suppress(ChildProcessError):
            return os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
        return 0


def _help(channel: socket.socket, work: Callable[[int], object]) -> NoReturn:
    code = 1
    try:
        kept = channel.fileno()
        os.closerange(3, kept)
        os.closerange(kept + 1, os.sysconf("SC_OPEN_MAX"))
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(
                number, signal.SIG_IGN
            )  # whatever is sent to the runner's group: the channel ends us
        message, given, _, _ = socket.recv_fds(channel, 1, 3)
        if message:
            _await_and_enter(*given)
            work(kept)
            code = 0
    except BaseException as error:  # noqa: BLE001 - nothing may get back into the runner
        os.write(2, f"the sandbox cannot be entered: {error}\n".encode())
    finally:
        os._exit(code)


def _await_and_enter(about: int, ready: int, complaints: int) -> None:
    os.dup2(complaints, 2)
    with os.fdopen(about, "rb") as stream:
        pid = int(json.load(stream)["child-pid"])
    if not os.read(ready, 1):
        raise SandboxError("it was not made")
    os.close(ready)
    os.close(complaints)
    enter(pid)


def enter(pid: int) -> None:
    """Join all namespaces of this process (a number here, outside) and give up every privilege.

    Only for a process with one thread that will do nothing else. Raises `OSError`.
    """
    target = os.pidfd_open(pid)
    users = _user_namespaces(pid)
    rest = sum(
        flag for name, flag in _NAMESPACES.items() if _namespace(pid, name) != _namespace("self", name)
    )
    # From the outermost user namespace that is not ours: in it we may join what belongs to it. The innermost
    # comes last where there are two, because from there nothing else may be joined.
    for namespace in users[:1]:
        _check(_libc.setns(namespace, _NEWUSER))
    _check(_libc.setns(target, rest))
    for namespace in users[1:]:
        _check(_libc.setns(namespace, _NEWUSER))
    renounce()
    for descriptor in (target, *users):
        os.close(descriptor)


def renounce() -> None:
    """Give up all capabilities, for this process and all that come of it. Raises `OSError`."""
    _check(_libc.prctl(_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    for capability in range(_MOST_CAPABILITIES):
        if _libc.prctl(_CAPBSET_DROP, capability, 0, 0, 0) < 0 and ctypes.get_errno() == errno.EPERM:
            raise OSError(errno.EPERM, f"capability {capability} cannot be given up")
    _libc.prctl(_CAP_AMBIENT, _AMBIENT_CLEAR_ALL, 0, 0, 0)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    _check(_libc.capset(header, (ctypes.c_uint32 * 6)()))
    _check(_libc.prctl(_SET_DUMPABLE, 0, 0, 0, 0))


def adopt_orphans() -> bool:
    """Become the parent of every descendant that loses its own; False where that cannot be."""
    return hasattr(_libc, "prctl") and _libc.prctl(_SET_SUBREAPER, 1, 0, 0, 0) == 0


def _user_namespaces(pid: int) -> list[int]:
    """Return the user namespaces between ours and that of the process, the outermost first."""
    own = _namespace("self", "user")
    found = [os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)]
    while os.fstat(found[0]).st_ino != own:
        if len(found) > _DEPTH:
            raise SandboxError("more user namespaces than a sandbox has")
        found.insert(0, fcntl.ioctl(found[0], _GET_PARENT))
    os.close(found.pop(0))
    return found


def _namespace(pid: int | str, name: str) -> int:
    return os.stat(f"/proc/{pid}/ns/{name}").st_ino  # noqa: PTH116


def _check(result: int) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
