"""What is done now and then: looking for pushes whose event was lost, git's own upkeep, blobs that nobody needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import structlog

if TYPE_CHECKING:
    from windlass.registry import Registry
    from windlass.repos import Repositories

LOOK = 300.0
UPKEEP = 86400.0

log = structlog.get_logger()


class Housekeeping:
    """Runs beside everything else; a failure is logged and tried again next time."""

    def __init__(self, repositories: Repositories, registry: Registry) -> None:
        self._repositories = repositories
        self._registry = registry

    async def run(self) -> None:
        """Run until cancelled."""
        upkeep_at = anyio.current_time() + UPKEEP
        while True:
            await anyio.sleep(LOOK)
            try:
                await self._repositories.record_unseen()
                if anyio.current_time() >= upkeep_at:
                    upkeep_at = anyio.current_time() + UPKEEP
                    await self._upkeep()
            except Exception:
                log.exception("housekeeping failed; trying again later")

    async def _upkeep(self) -> None:
        for repository in await self._repositories.list():
            await self._repositories.maintain(repository.name)
        collected = await self._registry.collect()
        log.info("registry collected", blobs=collected.blobs, bytes=collected.bytes)
