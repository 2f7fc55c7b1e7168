"""The peers of the benchmark, at pinned versions, in a folder of their own that `make clean` removes."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.rows import SkippedError
from bench.world import need

if TYPE_CHECKING:
    from collections.abc import Callable

CACHE = Path("build") / "peers"
BUILDBOT = "4.3.0"
GITLAB_CI_LOCAL = "4.66.1"
CONSTRAINTS = Path(__file__).parent / "peers-constraints.txt"
LIMIT = 600.0


@dataclass(frozen=True, slots=True)
class Installation:
    """Something that is installed by these commands, one after the other, and there when `program` is."""

    what: str
    where: Path
    program: Path
    commands: tuple[tuple[str, ...], ...]


def buildbot(cache: Path) -> Installation:
    """Return how Buildbot comes to be here: a virtual environment with all versions pinned."""
    where = cache / f"buildbot-{BUILDBOT}"
    python = str(where / "bin" / "python")
    wanted = [f"{name}=={BUILDBOT}" for name in ("buildbot", "buildbot-worker", "buildbot-www")]
    return Installation(
        f"Buildbot {BUILDBOT} (Python packages)",
        where,
        where / "bin" / "buildbot",
        (
            (sys.executable, "-m", "venv", str(where)),
            (python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "-c", str(CONSTRAINTS), *wanted),
        ),
    )  # fmt: skip


def gitlab_ci_local(cache: Path) -> Installation:
    """Return how gitlab-ci-local comes to be here: an npm prefix."""
    where = cache / f"gitlab-ci-local-{GITLAB_CI_LOCAL}"
    options = ("--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error")
    return Installation(
        f"gitlab-ci-local {GITLAB_CI_LOCAL} (npm package)",
        where,
        where / "node_modules" / ".bin" / "gitlab-ci-local",
        (("npm", "install", "--prefix", str(where), *options, f"gitlab-ci-local@{GITLAB_CI_LOCAL}"),),
    )


def install(wanted: Installation, say: Callable[[str], None]) -> Path:
    """Install what is missing, after saying so; return the program. Raises SkippedError with the tool's words."""
    if wanted.program.exists() and (wanted.where / ".complete").exists():
        return wanted.program
    need(*{command[0] for command in wanted.commands if "/" not in command[0]})
    say(f"installing {wanted.what} into {wanted.where}, for the comparison only; `make clean` removes it")
    wanted.where.mkdir(parents=True, exist_ok=True)
    for command in wanted.commands:
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, errors="replace", check=False, timeout=LIMIT
            )
        except subprocess.TimeoutExpired:
            raise SkippedError(f"{wanted.what} was not installed within {LIMIT:.0f} s") from None
        if done.returncode:
            said = (done.stderr or done.stdout).strip()[-400:]
            raise SkippedError(f"{wanted.what} cannot be installed: {said}")
    if not wanted.program.exists():
        raise SkippedError(f"{wanted.what} was installed, but has no {wanted.program.name}")
    (wanted.where / ".complete").touch()
    return wanted.program
