"""gitlab-ci-local: the same pipelines as GitLab writes them, run by one command without a server."""

from __future__ import annotations

import os
import subprocess
import time
from typing import TYPE_CHECKING

from bench import workflows
from bench.world import BenchError

if TYPE_CHECKING:
    from pathlib import Path

LIMIT = 300.0


def pipelines() -> dict[str, str]:
    """Return the pipelines of bench/workflows.py in GitLab's words: by file name, without the suffix."""
    command = '    - bash -e -c "true"\n'
    return {
        "one": f"one:\n  script:\n{command}",
        "steps": f"steps:\n  script:\n{command * workflows.STEPS}",
        "jobs": f"one:\n  parallel: {workflows.JOBS}\n  script:\n{command}",
    }


def checkout(directory: Path) -> Path:
    """Make a working copy with a `.gitlab-ci.yml`; gitlab-ci-local wants a commit and a remote."""
    directory.mkdir(parents=True)
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull}
    who = ["-c", "user.name=bench", "-c", "user.email=bench@example.org"]
    for arguments in (
        ["init", "--quiet", "--initial-branch=main"],
        [*who, "commit", "--quiet", "--allow-empty", "--message", "Empty"],
        ["remote", "add", "origin", "http://gitlab.example/bench/bench.git"],
    ):
        subprocess.run(["git", *arguments], cwd=directory, env=environment, check=True)
    return directory


def run(program: Path, directory: Path, pipeline: str, slots: int) -> float:
    """Run a pipeline and return the seconds of the whole command. Raises BenchError where it fails."""
    (directory / ".gitlab-ci.yml").write_text(pipelines()[pipeline], encoding="utf-8")
    argv = [str(program.resolve()), "--concurrency", str(slots), "--force-shell-executor"]
    begun = time.perf_counter()
    try:
        done = subprocess.run(
            argv, cwd=directory, capture_output=True, text=True, errors="replace", check=False, timeout=LIMIT
        )
    except subprocess.TimeoutExpired:
        raise BenchError(f"gitlab-ci-local did not end within {LIMIT:.0f} s") from None
    taken = time.perf_counter() - begun
    if done.returncode:
        raise BenchError(f"gitlab-ci-local: {(done.stderr or done.stdout).strip()[-300:]}")
    return taken
