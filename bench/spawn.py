"""The reference for jobs and steps: a shell that runs a file, and nothing around it."""

from __future__ import annotations

import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

BASH = "`bash -e FILE` spawned and waited for"


def script(directory: Path) -> Path:
    """Write the step's file."""
    file = directory / "true.sh"
    file.write_text("true\n", encoding="utf-8")
    return file


def spawn(file: Path) -> float:
    """Run it once; returns the seconds."""
    begun = time.perf_counter()
    subprocess.run(["bash", "-e", str(file)], stdin=subprocess.DEVNULL, check=True)
    return time.perf_counter() - begun


def spawn_many(file: Path, count: int, at_once: int) -> float:
    """Run it `count` times, so many at once; returns the seconds of all together."""
    begun = time.perf_counter()
    with ThreadPoolExecutor(at_once) as pool:
        for _ in pool.map(lambda _: spawn(file), range(count)):
            pass
    return time.perf_counter() - begun
