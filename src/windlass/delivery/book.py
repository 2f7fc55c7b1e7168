"""The book of deliveries: every transition is one transaction with its row in the ledger."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from windlass.delivery.records import FINAL, SEGMENTS, Delivery, Deployment, Evidence, Hold

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from windlass.store import Row, Store, Transaction

STAMPS = (*SEGMENTS[1:], "revert_commit", "superseded_by", "ended_at")


def _say(tx: Transaction, row: Row, **more: Any) -> None:
    reached = {name: row[name] for name in SEGMENTS if row[name] is not None}
    tx.record(
        f"delivery.{row['state']}",
        f"delivery/{row['id']}",
        application=row["application"],
        repo=row["repo"],
        revision=row["revision"],
        attempt=row["attempt"],
        reason=row["reason"],
        segments=reached,
        **more,
    )


class Book:
    """Reads and writes deliveries, deployments, holds and evidence."""

    def __init__(self, store: Store, *, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock

    async def create(
        self,
        *,
        application: str,
        uid: str,
        repo: str,
        branch: str,
        revision: str,
        source: str,
        initiated_by: str,
        reason: str,
        committed_at: float | None,
    ) -> Delivery:
        """Open the next attempt of a revision, in the state `waiting`."""

        def work(tx: Transaction) -> Row:
            latest = tx.one("delivery.latest_of", uid=uid, revision=revision)
            live = tx.one("delivery.last_live", uid=uid)
            row = tx.one(
                "delivery.insert",
                application=application,
                uid=uid,
                repo=repo,
                branch=branch,
                revision=revision,
                attempt=latest["attempt"] + 1 if latest else 1,
                source=source,
                initiated_by=initiated_by,
                reason=reason,
                previous=live["id"] if live else None,
                created_at=self._clock(),
                committed_at=committed_at,
            )
            if row is None:
                raise AssertionError("INSERT … RETURNING returns a row")
            _say(tx, row)
            return row

        return Delivery.of(await self._store.transact(work))

    async def ask(self, delivery: Delivery, by: str) -> None:
        """Let a delivery that waits to be asked for go on, on somebody's behalf."""

        def work(tx: Transaction) -> None:
            row = tx.one("delivery.ask", id=delivery.id, by=by)
            if row is not None:
                _say(tx, row)

        await self._store.transact(work)

    async def begin(
        self, delivery: Delivery, deployment: Deployment, pending: Iterable[str], reason: str
    ) -> Delivery:
        """Move to `applying`: from here on what it deploys does not change any more."""

        def work(tx: Transaction) -> Row | None:
            live = tx.one("delivery.last_live", uid=delivery.uid)
            tx.run(
                "delivery.insert_deployment",
                uid=delivery.uid,
                revision=delivery.revision,
                attempt=delivery.attempt,
                delivery=delivery.id,
                images=json.dumps(deployment.images),
                templates=json.dumps(deployment.templates),
                files=json.dumps(deployment.files),
                at=self._clock(),
            )
            for image, digest in deployment.images.items():
                tx.run("delivery.insert_image", delivery=delivery.id, image=image, digest=digest)
            row = tx.one(
                "delivery.begin",
                id=delivery.id,
                reason=reason,
                pending=json.dumps(sorted(pending)),
                previous=live["id"] if live else None,
            )
            if row is not None:
                _say(tx, row, images=deployment.images, templates=deployment.templates)
            return row

        row = await self._store.transact(work)
        return Delivery.of(row) if row else await self.get(delivery.id)

    async def move(
        self,
        delivery: Delivery,
        state: str,
        reason: str,
        *stamps: str,
        holds: Mapping[str, str] | None = None,
        evidence: Mapping[str, Any] | None = None,
        revert_commit: str | None = None,
        superseded_by: str | None = None,
    ) -> Delivery:
        """Move to a state. `stamps` name the segments reached now; `holds` (workload → template) are held."""
        now = self._clock()
        values: dict[str, Any] = dict.fromkeys(STAMPS)
        values |= dict.fromkeys(stamps, now)
        values |= {"revert_commit": revert_commit, "superseded_by": superseded_by}
        if state in FINAL:
            values["ended_at"] = now

        def work(tx: Transaction) -> Row | None:
            row = tx.one("delivery.move", id=delivery.id, state=state, reason=reason, **values)
            if row is None:
                return None
            for workload, template in (holds or {}).items():
                tx.run(
                    "delivery.hold",
                    application=delivery.application,
                    uid=delivery.uid,
                    workload=workload,
                    template=template,
                    delivery=delivery.id,
                    reason=reason,
                    created_at=now,
                )
            more = {"holds": dict(holds)} if holds else {}
            _say(tx, row, **more, **({"evidence": dict(evidence)} if evidence else {}))
            return row

        row = await self._store.transact(work)
        return Delivery.of(row) if row else await self.get(delivery.id)

    async def explain(self, delivery: Delivery, reason: str) -> None:
        """Say what it waits for at present, without a transition."""
        if reason != delivery.reason:
            await self._store.transact(
                lambda tx: tx.run("delivery.set_reason", id=delivery.id, reason=reason)
            )

    async def add_evidence(self, delivery: int, kind: str, items: Iterable[tuple[str, Any]]) -> None:
        """Keep evidence of one kind, in place of what was kept of it before."""
        now = self._clock()

        def work(tx: Transaction) -> None:
            tx.run("delivery.forget_evidence", delivery=delivery, kind=kind)
            for subject, data in items:
                tx.run(
                    "delivery.insert_evidence",
                    delivery=delivery,
                    at=now,
                    kind=kind,
                    subject=subject,
                    data=json.dumps(data),
                )

        await self._store.transact(work)

    async def release(self, application: str, template: str, by: str) -> list[Hold]:
        """Release the holds of an Application (all of them without a template)."""

        def work(tx: Transaction) -> list[Row]:
            rows = tx.run(
                "delivery.release", application=application, template=template, at=self._clock(), by=by
            )
            for row in rows:
                tx.record(
                    "hold.released",
                    f"application/{application}",
                    actor=by,
                    workload=row["workload"],
                    template=row["template"],
                    delivery=row["delivery"],
                )
            return rows

        return [Hold.of(row) for row in await self._store.transact(work)]

    # -- reading

    async def get(self, delivery: int) -> Delivery:
        """Return a delivery; KeyError where there is none."""
        row = await self._store.one("delivery.get", id=delivery)
        if row is None:
            raise KeyError(delivery)
        return Delivery.of(row)

    async def open(self, uid: str) -> list[Delivery]:
        """Return the deliveries of an Application that are not final, oldest first."""
        return [Delivery.of(row) for row in await self._store.read("delivery.open", uid=uid)]

    async def latest_of(self, uid: str, revision: str) -> Delivery | None:
        """Return the latest attempt of a revision."""
        row = await self._store.one("delivery.latest_of", uid=uid, revision=revision)
        return Delivery.of(row) if row else None

    async def last_live(self, uid: str) -> Delivery | None:
        """Return the delivery that is live, or was last."""
        row = await self._store.one("delivery.last_live", uid=uid)
        return Delivery.of(row) if row else None

    async def lived(self, uid: str) -> list[Delivery]:
        """Return the last ten deliveries that went live, newest first."""
        return [Delivery.of(row) for row in await self._store.read("delivery.lived", uid=uid)]

    async def deployment(self, delivery: int) -> Deployment | None:
        """Return what a delivery deploys, once that is decided."""
        row = await self._store.one("delivery.deployment", delivery=delivery)
        return Deployment.of(row) if row else None

    async def holds(self, uid: str) -> list[Hold]:
        """Return the active holds of an Application."""
        return [Hold.of(row) for row in await self._store.read("delivery.holds_of", uid=uid)]

    async def released_since(self, uid: str, at: float) -> bool:
        """Whether a hold of the Application was released after `at`."""
        return await self._store.one("delivery.released_since", uid=uid, at=at) is not None

    async def evidence(self, delivery: int) -> list[Evidence]:
        """Return what was seen, oldest first."""
        rows = await self._store.read("delivery.evidence", delivery=delivery)
        return [Evidence(row["at"], row["kind"], row["subject"], json.loads(row["data"])) for row in rows]
