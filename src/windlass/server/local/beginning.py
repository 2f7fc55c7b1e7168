"""The first thing that a run does: its folders, and the fork server, which takes as long to load as all the rest."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from windlass.runner.starting import end, start
from windlass.server.local.folders import open_folders

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

    from windlass.server.local.folders import Folders


@dataclass(slots=True)
class Beginning:
    """What there is before anybody knows what is to be run."""

    folders: Folders
    fork_server: subprocess.Popen[bytes]
    used: bool = False
    """Whether there is a run, whose logs stay."""


@contextmanager
def begin(home: Path) -> Iterator[Beginning]:
    """Make the folders below the cache folder and let the fork server load; both end with the context.

    Raises `LocalError` where there can be no folders.
    """
    folders = open_folders(home)
    made: Beginning | None = None
    try:
        made = Beginning(folders, start(folders.run / "run"))
        yield made
    finally:
        if made is not None:
            end(made.fork_server)
        folders.tidy()
        if made is None or not made.used:
            shutil.rmtree(folders.run, ignore_errors=True)
