"""What deliveries deploy: rendered once, and again after a restart with the same digests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from windlass.delivery.errors import SourceError
from windlass.delivery.render import earlier
from windlass.manifests import ManifestError
from windlass.registry import ImageNotFoundError

if TYPE_CHECKING:
    from windlass.delivery.book import Book
    from windlass.delivery.case import Case
    from windlass.delivery.records import Delivery
    from windlass.delivery.render import Renderer, Target

KEPT = 6
UNRENDERABLE = (SourceError, ManifestError, ImageNotFoundError)


class Targets:
    """Renders deliveries, and keeps a few in the Application's memory."""

    def __init__(self, book: Book, renderer: Renderer) -> None:
        self._book = book
        self._renderer = renderer

    async def of(self, case: Case, delivery: Delivery) -> Target:
        """Return what a delivery deploys. Raises one of `UNRENDERABLE`."""
        known = case.memory.targets.get(delivery.id)
        if known is None:
            source = case.source
            if source is None or source.text != delivery.source:
                source = earlier(delivery.repo, delivery.source)
            record = await self._book.deployment(delivery.id)
            known = await self._renderer.render(
                case.app, source, delivery.revision, record.images if record else None
            )
            case.memory.targets[delivery.id] = known
            for old in sorted(case.memory.targets)[:-KEPT]:
                del case.memory.targets[old]
        return known

    async def of_or_none(self, case: Case, delivery: Delivery) -> Target | None:
        """Return what a delivery deploys, None where it can no longer be rendered."""
        try:
            return await self.of(case, delivery)
        except UNRENDERABLE:
            return None

    async def tip(self, case: Case) -> Target | None:
        """Render the branch's tip as it is now; None where that is not possible."""
        if case.source is None or case.head is None:
            return None
        try:
            return await self._renderer.render(case.app, case.source, case.head)
        except UNRENDERABLE:
            return None
