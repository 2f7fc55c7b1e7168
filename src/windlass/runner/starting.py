"""Start and end the process of the fork server; loads next to nothing, so that it can be the first thing done."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_PATIENCE = 2.0


def start(directory: Path) -> subprocess.Popen[bytes]:
    """Start the fork server of this run directory. It says one line when it is ready; see `answer`."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    return subprocess.Popen(
        [sys.executable, "-m", "windlass.runner.zygote", str(directory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )


def answer(child: subprocess.Popen[bytes]) -> str | None:
    """Wait until it is ready; returns why it can make no sandbox here, "" if it can, None where it failed to start."""
    assert child.stdout is not None  # noqa: S101 - a pipe was asked for
    with child.stdout:
        word, _, why = child.stdout.readline().decode("utf-8", "replace").strip().partition(" ")
    return why if word == "ready" else None


def end(child: subprocess.Popen[bytes]) -> None:
    """Let it end, which it does with its input; its jobs go on."""
    with suppress(OSError):
        if child.stdin is not None:
            child.stdin.close()
    try:
        child.wait(timeout=_PATIENCE)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    if child.stdout is not None:
        child.stdout.close()
