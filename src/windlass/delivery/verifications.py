"""Verifications in flight: begun when a rollout asks for them, their outcome seen at the next look."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import structlog

from windlass.delivery import marks
from windlass.delivery.case import Run
from windlass.delivery.checks import parse, readiness
from windlass.delivery.decorate import services_of
from windlass.delivery.rollout import Outcome
from windlass.delivery.verify import Record, Subject
from windlass.manifests import annotations_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from anyio.abc import TaskGroup

    from windlass.delivery.book import Book
    from windlass.delivery.case import Case
    from windlass.delivery.records import Delivery
    from windlass.delivery.render import Target
    from windlass.delivery.rollout import Workload
    from windlass.delivery.trails import Trails
    from windlass.delivery.verify import Verifier

log = structlog.get_logger()


def _pods(workloads: Iterable[Workload]) -> frozenset[str]:
    return frozenset(
        pod.uid
        for each in workloads
        if each.pending and each.gated
        for pod in each.new
        if pod.containers_ready
    )


class Verifications:
    """Starts, remembers and ends verifications. All of it may be lost: it is begun anew then."""

    def __init__(
        self, verifier: Verifier, trails: Trails, book: Book, tasks: TaskGroup, wake: Callable[[str], None]
    ) -> None:
        self._verifier = verifier
        self.trails = trails
        self._book = book
        self._tasks = tasks
        self._wake = wake

    def follow(self, case: Case, target: Target, workloads: Sequence[Workload]) -> None:
        """Ask candidates that are not ready why; stop asking those that are."""
        for each in workloads:
            item = target.named(each.key)
            probe = readiness(item) if item is not None else None
            if probe is None:
                continue
            unready = [pod for pod in each.new if each.pending and not pod.containers_ready]
            for pod in unready:
                self.trails.follow(pod, probe, lambda: self._wake(case.key))
            self.trails.drop({pod.uid for pod in unready}, {pod.uid for pod in each.new})

    def outcome(
        self, case: Case, delivery: Delivery, phase: str, workloads: Iterable[Workload]
    ) -> Outcome | None:
        """Return the outcome for the pods that there are now; None where none was begun for them."""
        run = case.memory.runs.get((delivery.id, phase))
        if run is None:
            return None
        if run.pods == _pods(workloads) or run.outcome.passed is False:
            return run.outcome
        run.scope.cancel()
        del case.memory.runs[delivery.id, phase]
        return None

    def begin(
        self, case: Case, delivery: Delivery, target: Target, phase: str, workloads: Iterable[Workload]
    ) -> None:
        """Begin a verification of the pending workloads' new pods."""
        if (delivery.id, phase) in case.memory.runs:
            return
        mine = [each for each in workloads if each.pending and each.gated and each.wanted > 0]
        run = Run(_pods(mine), anyio.CancelScope(), Outcome(passed=None))
        case.memory.runs[delivery.id, phase] = run
        subjects = []
        for each in mine:
            item = target.named(each.key)
            if item is not None:
                pods = tuple(pod for pod in each.new if pod.containers_ready)
                subjects.append(Subject(each.key, item, pods, tuple(services_of(item, target.objects))))
        self._tasks.start_soon(self._run, case, delivery, phase, run, subjects)

    async def _run(
        self, case: Case, delivery: Delivery, phase: str, run: Run, subjects: list[Subject]
    ) -> None:
        record = Record()
        ask: Any = self._verifier.candidate if phase == "candidate" else self._verifier.live
        with run.scope:
            try:
                checks = parse(annotations_of(case.app).get(marks.VERIFY, ""))
                outcome = await ask(subjects, checks, record)
            except Exception as error:
                log.exception("delivery.verification_broke", delivery=delivery.id, phase=phase)
                outcome = Outcome(False, f"the verification itself failed: {error!r}")
            run.outcome = outcome
            self._wake(case.key)
            await self._book.add_evidence(
                delivery.id, f"verification-{phase}", [(delivery.application, record.rows)]
            )

    def end(self, case: Case, delivery: Delivery) -> None:
        """Forget a delivery that has ended."""
        for key in [key for key in case.memory.runs if key[0] == delivery.id]:
            run = case.memory.runs.pop(key)
            if run.outcome.passed is None:
                run.scope.cancel()
