"""Artifacts of a run as folders, where the person wants them."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from windlass.server.local.errors import LocalError

if TYPE_CHECKING:
    from windlass.server.local.watch import Event


def check(folder: Path | None) -> None:
    """Make the folder, before anything runs for it. Raises `LocalError`."""
    try:
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LocalError(f"--artifacts {folder} cannot be made: {error.strerror}") from None


def unpack(event: Event, folder: Path | None) -> None:
    """Unpack the artifacts that `run.finished` tells of into `FOLDER/NAME`, and say there where they are.

    They were checked when they were uploaded: nothing in them leads out. What is there already is written over.
    """
    for artifact in event.get("artifacts", ()) if folder is not None else ():
        target = Path(str(folder)) / artifact["name"]
        try:
            with zipfile.ZipFile(artifact["path"]) as archive:
                archive.extractall(target)
        except (OSError, zipfile.BadZipFile) as error:
            artifact["error"] = f"{target} cannot be written: {error}"
        else:
            artifact["path"] = str(target)
