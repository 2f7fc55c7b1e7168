"""Driving one delivery to its end: each step is decided from what is recorded and seen, then done."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from windlass.delivery import marks, rollout, sync
from windlass.delivery.mirror import POD
from windlass.delivery.observe import hindrance, workload
from windlass.delivery.records import FAILED, LIVE, PROGRESSING, ROLLING_BACK, WAITING, Delivery
from windlass.delivery.selection import unselecting
from windlass.delivery.targets import UNRENDERABLE
from windlass.manifests import Health, annotations_of, pod_template

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from windlass.delivery.book import Book
    from windlass.delivery.case import Case
    from windlass.delivery.evidence import Collector
    from windlass.delivery.gates import Gates
    from windlass.delivery.mirror import Mirror
    from windlass.delivery.preparing import Preparer
    from windlass.delivery.render import Target
    from windlass.delivery.settings import Settings
    from windlass.delivery.sync import Result, Syncer
    from windlass.delivery.targets import Targets
    from windlass.delivery.undo import Undo
    from windlass.delivery.verifications import Verifications
    from windlass.manifests import Object

log = structlog.get_logger()
MAX_STEPS = 60
PASSING = (rollout.Explain, rollout.Again, rollout.Verify)


class Driver:
    """The effects of a delivery: SQL through the book, the cluster through syncer and gates, git through reverter."""

    def __init__(
        self,
        *,
        book: Book,
        mirror: Mirror,
        targets: Targets,
        preparer: Preparer,
        undo: Undo,
        syncer: Syncer,
        gates: Gates,
        verifications: Verifications,
        collector: Collector,
        settings: Settings,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._book = book
        self._mirror = mirror
        self._targets = targets
        self._preparer = preparer
        self._undo = undo
        self._syncer = syncer
        self._gates = gates
        self._verifications = verifications
        self._collector = collector
        self._settings = settings
        self._clock = clock

    # -- a delivery's way

    async def drive(self, case: Case, delivery: Delivery) -> Delivery:
        """Do what can be done now; returns the delivery as it then stands."""
        for _ in range(MAX_STEPS):
            if delivery.final:
                break
            if delivery.state == WAITING:
                after = await self._preparer.prepare(case, delivery)
            elif delivery.applied_at is None and delivery.detected_at is None:
                after = await self._apply(case, delivery)
            else:
                after, moved = await self._step(case, delivery)
                if not moved:
                    return after
                delivery = after
                continue
            if after == delivery:
                break
            delivery = after
        return delivery

    async def _apply(self, case: Case, delivery: Delivery) -> Delivery:
        target = await self._targets.of(case, delivery)
        if case.sync_option("CreateNamespace"):
            spaces = {item["metadata"].get("namespace") for item in target.objects}
            for space in sorted(filter(None, spaces)):
                await self._syncer.namespace(space)
        await self._mirror.want_all(list(target.objects))
        results = await self.synchronise(case, target, delivery.pending, prune=False)
        case.memory.results = sync.complete(target, results)
        failed = [result for result in results if result.status == "SyncFailed"]
        if not failed:
            said = "applied; new pods start" if delivery.pending else "applied; no pod template is new"
            said = said if results else "nothing had to be applied"
            return await self._book.move(delivery, PROGRESSING, said, "applied_at")
        reason = "; ".join(f"{marks.workload_key(each.item)}: {each.message}" for each in failed[:3])
        case.conditions.append(("SyncError", reason))
        if all(each.transient for each in failed):
            case.look_again(1.0)
            await self._book.explain(delivery, f"being applied, again in a second: {reason}")
            return delivery
        return await self._book.move(delivery, FAILED, f"the cluster refused it: {reason}")

    async def synchronise(
        self, case: Case, target: Target, pending: Iterable[str], *, prune: bool
    ) -> list[Result]:
        """Apply (and prune) what is not as wanted; returns what was done."""
        items = sync.wanted(target, app=case.instance, application=case.key, pending=pending)
        steps = sync.plan(items, self._mirror.same, self.tracked(case), prune=prune)
        if steps.empty:
            return []
        results = await self._syncer.execute(steps)
        pruned = [result for result in results if result.status == "Pruned"]
        case.memory.results = [*case.memory.results, *pruned]
        return results

    def tracked(self, case: Case) -> list[Object]:
        """Return the live objects that bear the Application's mark."""
        return [item for item in self._mirror.everything() if marks.tracked_by(item) == case.instance]

    # -- one step of a rollout

    async def _step(self, case: Case, delivery: Delivery) -> tuple[Delivery, bool]:
        try:
            target, pending, enforce = await self._wanted(case, delivery)
        except UNRENDERABLE as error:
            reason = (
                f"{delivery.reason}; a person is needed: what is to stand cannot be rendered again: {error}"
            )
            return await self._book.move(delivery, FAILED, reason), True
        synced = True
        if enforce:
            results = await self.synchronise(case, target, pending, prune=False)
            synced = not any(result.status == "SyncFailed" for result in results)
            if not synced:
                case.look_again(1.0)
        seen = self.observe(
            case, target, delivery, pending, synced=synced, before=await self._before(delivery)
        )
        effects = rollout.decide(delivery, seen)
        after = delivery
        for effect in effects:
            after = await self.perform(case, after, target, seen, effect)
        moved = any(not isinstance(effect, PASSING) for effect in effects)
        return after, moved

    async def _before(self, delivery: Delivery) -> dict[str, str]:
        record = await self._book.deployment(delivery.previous) if delivery.previous is not None else None
        return record.templates if record else {}

    async def _wanted(self, case: Case, delivery: Delivery) -> tuple[Target, tuple[str, ...], bool]:
        """Return what should stand now, what of it is being cut over, and whether to put it so."""
        if delivery.detected_at is None:
            pending = () if delivery.verified_live_at is not None else delivery.pending
            return await self._targets.of(case, delivery), pending, True
        if delivery.evidence_at is None or delivery.previous is None:
            return await self._targets.of(case, delivery), delivery.pending, False
        previous = await self._book.get(delivery.previous)
        return await self._targets.of(case, previous), (), True

    def observe(
        self,
        case: Case,
        target: Target,
        delivery: Delivery | None,
        pending: Iterable[str],
        *,
        synced: bool = True,
        before: Mapping[str, str] | None = None,
    ) -> rollout.Observation:
        """Observe the workloads of a target. `before`: the templates that were live before."""
        new = set(delivery.pending) if delivery else set()
        cutting = set(pending)
        workloads = []
        for item in sync.wanted(target, app=case.instance, application=case.key, pending=cutting):
            key = marks.workload_key(item)
            if item.get("kind") in marks.WORKLOADS and item.get("kind") != "CronJob":
                template = target.templates.get(key, "")
                workloads.append(
                    workload(
                        self._mirror,
                        item,
                        template=template,
                        gated=key in target.gated,
                        pending=key in new,
                        before=(before or {}).get(key, ""),
                        verdicts=self._verifications.trails.verdict,
                    )
                )
        candidate = live = None
        if delivery is not None and delivery.detected_at is None:
            self._verifications.follow(case, target, workloads)
            candidate = self._verifications.outcome(case, delivery, "candidate", workloads)
            live = self._verifications.outcome(case, delivery, "live", workloads)
        return rollout.Observation(
            self._clock(), tuple(workloads), synced, candidate, live, self._settings.ready_grace
        )

    def beyond(self, case: Case, target: Target) -> dict[str, Health]:
        """Return the health, by workload key, of which the objects themselves do not tell."""
        idle = self._idle_services(target)
        found = {key: Health("Degraded", why) for key, why in idle.items()}
        for each in self.observe(case, target, None, ()).workloads:
            applied = self._applied_template(target, each.key) == target.templates.get(each.key)
            if applied and (trouble := hindrance(each)) is not None:
                found[each.key] = trouble
        return found

    def _applied_template(self, target: Target, key: str) -> str | None:
        """Return the template that a workload has in the cluster: that of another version while one is taken back."""
        live = self._mirror.same(target.named(key) or {})
        return annotations_of(pod_template(live or {}) or {}).get(marks.TEMPLATE)

    def _idle_services(self, target: Target) -> dict[str, str]:
        return unselecting(target.objects, lambda space: self._mirror.items(POD, space))

    async def perform(
        self,
        case: Case,
        delivery: Delivery,
        target: Target,
        seen: rollout.Observation,
        effect: rollout.Effect,
    ) -> Delivery:
        """Do one thing. Each is safe to do again."""
        match effect:
            case rollout.SetGate():
                await self._gates.set(effect.pod, open_=effect.open)
            case rollout.Move():
                idle = self._idle_services(target).values() if effect.state == LIVE else ()
                effect = replace(effect, reason="; ".join((effect.reason, *idle)))
                return await self._move(case, delivery, effect)
            case rollout.Explain():
                await self._book.explain(delivery, effect.reason)
            case rollout.Again():
                case.look_again(effect.seconds + 0.05)
            case rollout.Verify():
                self._verifications.begin(case, delivery, target, effect.phase, seen.workloads)
            case rollout.Verdict():
                held = {key: target.templates[key] for key in effect.workloads if key in target.templates}
                return await self._book.move(delivery, ROLLING_BACK, effect.reason, "detected_at", holds=held)
            case rollout.Collect():
                pods = [pod for each in seen.pending for pod in each.new]
                await self._collector.collect(delivery.id, pods)
                return await self._book.move(delivery, ROLLING_BACK, delivery.reason, "evidence_at")
            case rollout.Revert():
                return await self._revert(case, delivery)
        return delivery

    async def _move(self, case: Case, delivery: Delivery, effect: rollout.Move) -> Delivery:
        after = await self._book.move(delivery, effect.state, effect.reason, *effect.stamps)
        if after.final:
            log.info("delivery.ended", delivery=after.id, application=after.application, state=after.state)
            self._verifications.end(case, after)
        return after

    # -- taking back

    async def _revert(self, case: Case, delivery: Delivery) -> Delivery:
        previous = await self._book.get(delivery.previous or 0)
        done = await self._undo.revert(case, delivery, previous.revision, delivery.reason)
        reason = f"{delivery.reason}; {done.message}"
        return await self._book.move(delivery, ROLLING_BACK, reason, "reverted_at", revert_commit=done.commit)
