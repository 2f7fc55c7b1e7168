"""Where a run without a server keeps its things: all below one cache folder, which may be deleted at any time.

CACHE/run/shared/caches     entries of actions/cache and tool caches, for every run
CACHE/run/shared/caches.db  what entries there are
CACHE/run/runs/ID           one run: the data directory of its throw-away server; logs and artifacts stay
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from windlass.server.local.errors import LocalError

if TYPE_CHECKING:
    from collections.abc import Mapping

KEEP = 10
"""Runs whose logs and artifacts stay."""
LOCK = "lock"
_KEPT = frozenset({"jobs", "artifacts", LOCK})


def cache_home(environment: Mapping[str, str]) -> Path:
    """Return the cache folder of this user (XDG Base Directory Specification)."""
    given = environment.get("XDG_CACHE_HOME", "")
    base = Path(given) if given.startswith("/") else Path.home() / ".cache"
    return base / "windlass"


@dataclass(frozen=True, slots=True)
class Folders:
    """The folders of one run."""

    shared: Path
    run: Path
    lock: IO[str]

    @property
    def runs(self) -> Path:
        """Where all runs lie."""
        return self.run.parent

    def tidy(self) -> None:
        """Delete what only the run itself needed. Logs and artifacts stay, as far as there are any."""
        for entry in self.run.iterdir():
            if entry.name not in _KEPT:
                _remove(entry)
        for name in ("artifacts", "jobs"):
            with contextlib.suppress(OSError):
                (self.run / name).rmdir()
        self.lock.close()


def open_folders(home: Path) -> Folders:
    """Make the folders of a new run, readable for this user alone. Raises `LocalError`."""
    run = home / "run" / "runs" / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
    shared = home / "run" / "shared"
    try:
        for path in (home, home / "run", shared, shared / "caches", run.parent, run):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in ("jobs", "artifacts", "run", "repos", "keys"):
            (run / name).mkdir(mode=0o700, exist_ok=True)
        (run / "caches").symlink_to(shared / "caches")
        lock = (run / LOCK).open("w", encoding="ascii")
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise LocalError(
            f"{run} cannot be used: {error.strerror}. Name another folder with XDG_CACHE_HOME"
        ) from None
    return Folders(shared, run, lock)


def forget_old(runs: Path, keep: int = KEEP) -> None:
    """Delete all but the newest runs that are over."""
    over = _over(runs)
    for path in over[:-keep] if keep else over:
        if not _is_untidy(path):
            _remove(path)


def killed(runs: Path) -> list[Path]:
    """Return what is left of runs that could not tidy up."""
    return [path for path in _over(runs) if _is_untidy(path)]


def settle(run: Path) -> None:
    """Take note that a run that was killed has nothing left to end."""
    _remove(run / "run")


def _over(runs: Path) -> list[Path]:
    """Return the runs that are over, the oldest first. One that is going on holds its lock."""
    return [path for path in sorted(runs.iterdir()) if _is_over(path)] if runs.is_dir() else []


def _is_untidy(path: Path) -> bool:
    return (path / "run").exists()


def _is_over(path: Path) -> bool:
    try:
        with (path / LOCK).open("r", encoding="ascii") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return path.is_dir()
    return True


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
