"""How commands that are followed end."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from windlass.engine.cli.process import leash

FOLLOWER = """
import asyncio
from windlass.engine.cli.process import Command, lines

async def main():
    async for line in lines(Command(("sh", "-c", "echo $$; exec sleep 60")), attempted="follow"):
        print(line.decode().strip(), flush=True)

asyncio.run(main())
"""


def _lives(pid: int) -> bool:
    """Whether it runs: one that has ended may wait for whoever has become its parent to take note."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv is not installed")
def test_what_is_followed_ends_with_a_follower_that_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", FOLLOWER], stdout=subprocess.PIPE, text=True) as follower:
        assert follower.stdout is not None
        followed = int(follower.stdout.readline())
        assert _lives(followed)
        follower.send_signal(signal.SIGKILL)
        follower.wait()
        deadline = time.monotonic() + 5
        while _lives(followed):
            assert time.monotonic() < deadline, "it runs on, and nobody reads what it says"
            time.sleep(0.01)


def test_a_tool_that_is_missing_is_still_found_missing() -> None:
    assert leash("no-such-engine") == ()
