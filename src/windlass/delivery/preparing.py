"""Before anything is applied: what it is, whether it may go out, and what is new with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from windlass.delivery import checks, marks, order
from windlass.delivery.errors import ChecksError, SourceError
from windlass.delivery.records import ASK, FAILED, HELD, SUPERSEDED, Delivery
from windlass.delivery.render import unique
from windlass.manifests import ManifestError, annotations_of
from windlass.registry import ImageNotFoundError
from windlass.repos import ZERO

if TYPE_CHECKING:
    from windlass.delivery.book import Book
    from windlass.delivery.case import Case
    from windlass.delivery.render import Target
    from windlass.delivery.settings import Settings
    from windlass.delivery.targets import Targets
    from windlass.delivery.undo import Undo
    from windlass.store import Row, Store


class Preparer:
    """Takes a delivery from `waiting` to `applying`, or ends it with the reason why not."""

    def __init__(self, store: Store, book: Book, targets: Targets, undo: Undo, settings: Settings) -> None:
        self._store = store
        self._book = book
        self._targets = targets
        self._undo = undo
        self._settings = settings

    async def prepare(  # noqa: PLR0911 each reason not to go on ends it here
        self, case: Case, delivery: Delivery
    ) -> Delivery:
        """Render, resolve, ask whether it may go out, and decide what is new with it."""
        if delivery.initiated_by == "automated" and case.automated is None:
            return await self._wait(delivery, ASK)
        try:
            target = await self._targets.of(case, delivery)
            checks.parse(annotations_of(case.app).get(marks.VERIFY, ""))
        except ImageNotFoundError as error:
            case.conditions.append(("ComparisonError", str(error)))
            case.look_again(self._settings.retry)
            return await self._wait(delivery, f"an image is not in its registry: {error}")
        except (SourceError, ManifestError, ChecksError) as error:
            case.conditions.append(("ComparisonError", str(error)))
            return await self._book.move(delivery, FAILED, f"the revision cannot be rendered: {error}")
        if twice := unique(target.objects):
            return await self._book.move(delivery, FAILED, f"rendered more than once: {', '.join(twice)}")
        live = await self._book.last_live(delivery.uid)
        before = await self._book.deployment(live.id) if live else None
        if (held := await self._held(delivery, target)) is not None:
            return await self._book.move(delivery, HELD, held)
        push = await self._push(delivery)
        if push is not None and before is not None:
            late = await self._late(target.images, before.images, push["pusher_kind"])
            if late is not None:
                good = push["old_sha"] if push["old_sha"] != ZERO or live is None else live.revision
                return await self._overtaken(case, delivery, good, late)
        old = before.templates if before else {}
        pending = [key for key, value in target.templates.items() if old.get(key) != value]
        if target.notes or target.hooks:
            notes = [*target.notes, *(f"{hook} is a hook and is not applied" for hook in target.hooks)]
            await self._book.add_evidence(
                delivery.id, "note", [(delivery.application, note) for note in notes]
            )
        return await self._book.begin(delivery, target.deployment(delivery.id), pending, "being applied")

    async def _wait(self, delivery: Delivery, reason: str) -> Delivery:
        await self._book.explain(delivery, reason)
        return delivery

    async def _held(self, delivery: Delivery, target: Target) -> str | None:
        for hold in await self._book.holds(delivery.uid):
            if target.templates.get(hold.workload) == hold.template:
                name = hold.workload.rpartition("/")[2]
                return (
                    f"the pod template {hold.template} of {name} is held since delivery {hold.delivery}: "
                    f"{hold.reason}. Deploy another one, or release it: windlass holds release "
                    f"{hold.application.rpartition('/')[2]}"
                )
        return None

    async def _push(self, delivery: Delivery) -> Row | None:
        ref = f"refs/heads/{delivery.branch}"
        return await self._store.one("delivery.push_of", repo=delivery.repo, ref=ref, sha=delivery.revision)

    async def _late(self, ours: dict[str, str], live: dict[str, str], pushed_by: str) -> order.Older | None:
        mine = {order.name_of(image): await self._published(digest) for image, digest in ours.items()}
        theirs = {order.name_of(image): await self._published(digest) for image, digest in live.items()}
        return order.older(mine, theirs, pushed_by=pushed_by)

    async def _published(self, digest: str) -> list[order.Published]:
        rows = await self._store.read("delivery.publishers", digest=digest)
        return [order.Published(row["id"], row["repository"], row["ref"], row["sha"]) for row in rows]

    async def _overtaken(self, case: Case, delivery: Delivery, good: str, late: order.Older) -> Delivery:
        """End what a late job put over something newer, and take its push back in git."""
        await self._book.explain(delivery, str(late))
        done = await self._undo.revert(case, delivery, good, str(late))
        return await self._book.move(
            delivery,
            SUPERSEDED,
            f"{late}; {done.message}",
            superseded_by=late.live.sha,
            revert_commit=done.commit,
        )
