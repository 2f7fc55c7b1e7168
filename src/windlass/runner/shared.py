"""Files that are the same for every job of a server: written once, not once a job."""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def keep(directory: Path, files: Mapping[str, str], mode: int = 0o644) -> Path:
    """See to it that the directory holds these files, readable for its owner alone, and return it.

    Looked at once in the life of the process: the fork server does, and its jobs inherit that it did.
    """
    return _keep(directory, tuple(files.items()), mode)


def look_again() -> None:
    """Forget what was looked at: somebody may have tidied it away."""
    _keep.cache_clear()


@functools.cache
def _keep(directory: Path, files: tuple[tuple[str, str], ...], mode: int) -> Path:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, text in files:
        path = directory / name
        if not path.is_file() or path.read_text("utf-8") != text:
            _replace(path, text, mode)
    return directory


def _replace(path: Path, text: str, mode: int) -> None:
    """Put a file in its place whole: a job that runs may be about to use what was there."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(temporary, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, mode), "w") as stream:
        stream.write(text)
    temporary.replace(path)
