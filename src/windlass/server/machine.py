"""This machine, for commands: base images, and which errors are for the person at the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from windlass.engine import EngineError
from windlass.engine.choose import choose_engine
from windlass.images.base import ensure_base
from windlass.images.errors import ImagesError
from windlass.kube.local.edge.errors import EdgeError
from windlass.server.datadir import DataDirectoryError
from windlass.server.listen import PortTakenError
from windlass.server.settings import SettingsError
from windlass.store import is_disk_full

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MENDABLE = (SettingsError, DataDirectoryError, PortTakenError, EngineError, EdgeError, ImagesError)


def words_for(error: BaseException) -> str | None:
    """Return the words of an error that the user can mend; None for one that is a fault of ours."""
    if isinstance(error, BaseExceptionGroup):
        return words_for(error.exceptions[0]) if len(error.exceptions) == 1 else None
    if is_disk_full(error):
        return f"the disk of the data directory is full ({error}): make room there and start again"
    return str(error) if isinstance(error, MENDABLE) else None


async def prepare_base_image(engine_name: str, cache: Path, said: Callable[[str], None]) -> None:
    """Have Python's base image in the engine, pulled or made from the distribution's packages; `said` gets lines."""
    engine = await choose_engine(engine_name)
    try:
        await ensure_base(engine, cache, said)
    finally:
        await engine.aclose()
