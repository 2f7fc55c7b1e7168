"""The C programs beside this file, compiled when they are needed."""

from __future__ import annotations

import subprocess
from pathlib import Path

from bench.rows import SkippedError
from bench.world import need

HERE = Path(__file__).parent


def compiled(name: str, directory: Path) -> Path:
    """Compile `NAME.c` into the directory. Raises SkippedError where there is no C compiler, or it refuses."""
    need("cc")
    program = directory / name
    argv = ["cc", "-O2", "-Wall", "-Wextra", "-o", str(program), str(HERE / f"{name}.c")]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SkippedError(f"cc does not take {name}.c: {done.stderr.strip()[:300]}")
    return program
