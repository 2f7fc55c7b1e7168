"""Whether, and how far, a delivery is taken back in git."""

from __future__ import annotations

from typing import TYPE_CHECKING

from windlass.delivery.rollback import Reverted, files_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from windlass.delivery.book import Book
    from windlass.delivery.case import Case
    from windlass.delivery.records import Delivery
    from windlass.delivery.rollback import Reverter
    from windlass.delivery.targets import Targets
    from windlass.manifests import Object


class Undo:
    """Takes deliveries back in git, with regard for what others wrote and for what came after."""

    def __init__(
        self, book: Book, targets: Targets, reverter: Reverter, applications: Callable[[], Iterable[Object]]
    ) -> None:
        self._book = book
        self._targets = targets
        self._reverter = reverter
        self._applications = applications

    async def revert(self, case: Case, delivery: Delivery, good: str, why: str) -> Reverted:
        """Put the Application's paths back to the commit `good`, unless that is done, or somebody has done better."""
        if (made := await self._reverter.done(delivery)) is not None:
            return made
        if (newer := await self._replaced(case, delivery)) is not None:
            return Reverted(None, f"nothing is reverted in git: {newer} has another version already")
        folder = case.source.path if case.source else ""
        live = await self._book.last_live(delivery.uid)
        before = await self._book.deployment(live.id) if live else None
        bad = await self._targets.of_or_none(case, delivery)
        files = files_of(before, await self._book.deployment(delivery.id))
        files |= set(bad.files) if bad else set()
        return await self._reverter.revert(
            delivery,
            good,
            folder=folder,
            files=files,
            others=await self._others(delivery),
            why=why,
        )

    async def _replaced(self, case: Case, delivery: Delivery) -> str | None:
        """Return the branch's tip where it already deploys something else than what was bad."""
        if case.head is None or case.head == delivery.revision:
            return None
        record = await self._book.deployment(delivery.id)
        if record is None:
            return None
        tip = await self._targets.tip(case)
        if tip is None:
            return None
        holds = {hold.workload: hold.template for hold in await self._book.holds(delivery.uid)}
        bad = {key: value for key, value in record.templates.items() if holds.get(key) == value}
        same = any(tip.templates.get(key) == value for key, value in (bad or record.templates).items())
        return None if same else case.head[:12]

    async def _others(self, delivery: Delivery) -> Mapping[str, Iterable[str]]:
        """Return the files of the other Applications of the same branch."""
        found = {}
        for app in self._applications():
            uid = app["metadata"]["uid"]
            live = await self._book.last_live(uid) if uid != delivery.uid else None
            if live is not None and (live.repo, live.branch) == (delivery.repo, delivery.branch):
                record = await self._book.deployment(live.id)
                found[str(app["metadata"]["name"])] = record.files if record else ()
        return found
