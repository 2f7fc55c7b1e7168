"""A person looks around where a step has failed: a shell in the job's sandbox, before the job goes on.

Only where somebody asks for it (`windlass run --shell-on-failure`): then `shell.sock` lies beside the socket of the
server. The job sends one line of JSON there, and gets one back with a terminal to run the shell on, or nothing.
"""

from __future__ import annotations

import json
import os
import posixpath
import selectors
import signal
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from windlass.runner.errors import RunnerError
from windlass.runner.events import reachable
from windlass.workflow.expressions import ExpressionError

if TYPE_CHECKING:
    from windlass.runner.execute import Planned
    from windlass.runner.sandbox import Process
    from windlass.runner.state import JobState

SOCKET = "shell.sock"
_LIMIT = 4096
_TERMINAL = """import fcntl, os, shutil, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
shell = shutil.which("bash")
os.execv(shell or "/bin/sh", ["bash", "--noprofile", "--norc", "-i"] if shell else ["sh", "-i"])"""


def hold(state: JobState, step: Planned) -> None:
    """Offer a shell where the step has failed, if somebody waits for that, and return when it is left."""
    path = Path(state.spec.socket).with_name(SOCKET) if state.spec.socket else None
    if path is None or not path.exists() or state.control.cancelled:
        return
    began = time.monotonic()
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as channel:
        name, directory = reachable(str(path))
        try:
            channel.connect(name)
        finally:
            if directory is not None:
                os.close(directory)
        _offer(state, step, channel)
    state.control.deadline += time.monotonic() - began


def _offer(state: JobState, step: Planned, channel: socket.socket) -> None:
    env, directory = _surroundings(state, step)
    told = {"job": state.spec.id, "name": state.spec.name, "step": step.name, "directory": directory}
    channel.sendall(json.dumps(told).encode() + b"\n")
    if not _wait(state, channel):
        return
    answer, descriptors, _, _ = socket.recv_fds(channel, _LIMIT, 1)
    if not descriptors:
        return
    terminal = descriptors[0]
    try:
        env |= {"TERM": answer.decode("ascii", "replace").strip() or "dumb", "PS1": r"\w \$ "}
        python = os.path.realpath(sys.executable)
        process = state.supervisor.sandbox.start(
            [python, "-I", "-S", "-c", _TERMINAL], env=env, cwd=directory, output=terminal, source=terminal
        )
    except RunnerError as error:
        os.write(terminal, f"no shell: {error}\r\n".encode())
        return
    finally:
        os.close(terminal)
    _until_left(state, process)


def _surroundings(state: JobState, step: Planned) -> tuple[dict[str, str], str]:
    """Return the failed step's variables and its directory, as far as its expressions can be evaluated."""
    env, where = state.variables(), ""
    with suppress(ExpressionError):
        env |= state.mapping(step.data.get("env"), state.scope())
        defaults = ((state.spec.definition.get("defaults") or {}).get("run") or {}) if step.run else {}
        where = state.text(
            step.data.get("working-directory") or defaults.get("working-directory") or "", state.scope(env)
        )
    inside = state.paths.workspace.inside
    directory = posixpath.normpath(posixpath.join(inside, where))
    with suppress(RunnerError):
        if state.paths.to_host(directory).is_dir():
            return state.environment(env), directory
    return state.environment(env), inside


def _wait(state: JobState, channel: socket.socket) -> bool:
    """Wait for the answer; False where the job is cancelled first."""
    with selectors.DefaultSelector() as selector:
        selector.register(channel, selectors.EVENT_READ)
        selector.register(state.control.fileno(), selectors.EVENT_READ)
        while not state.control.cancelled:
            for key, _ in selector.select():
                if key.fileobj is channel:
                    return True
                state.control.drain()
    return False


def _until_left(state: JobState, process: Process) -> None:
    with selectors.DefaultSelector() as selector:
        selector.register(process.fileno(), selectors.EVENT_READ)
        selector.register(state.control.fileno(), selectors.EVENT_READ)
        while process.poll() is None:
            for key, _ in selector.select():
                if key.fd == state.control.fileno():
                    state.control.drain()
            if state.control.cancelled:
                process.signal(signal.SIGHUP)
                process.signal(signal.SIGKILL)
    process.close()
