"""Candidates that are not ready are asked why, so that a definite error need not wait for the deadline."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import anyio
import structlog

from windlass.delivery.checks import Check, Readiness

if TYPE_CHECKING:
    from collections.abc import Callable

    from anyio.abc import TaskGroup

    from windlass.delivery.rollout import Pod
    from windlass.delivery.verify import Answer, Verifier

log = structlog.get_logger()
PACE = 1.0
SHOWN = 300


@dataclass(slots=True)
class Trail:
    """What one pod answered to its readiness probe. `failing_since`: without a good answer in between."""

    scope: anyio.CancelScope
    pod: str
    first: float | None = None
    failing_since: float | None = None
    verdict: str = ""
    answers: list[dict[str, Any]] = field(default_factory=list)

    def add(self, now: float, probe: Readiness, answer: Answer) -> None:
        """Judge one answer: definite errors (5xx) for as long as the probe bears them are a verdict."""
        row: dict[str, Any] = {
            "at": time.time(),
            "pod": self.pod,
            "request": f"GET {probe.path}",
            "status": answer.status,
        }
        if answer.error:
            row["fault"] = answer.error
        elif answer.status >= 400:
            row["body"] = answer.body[:SHOWN].decode(errors="replace")
        self.answers = [*self.answers, row][-50:]
        if answer.status == 0:
            return
        self.first = self.first if self.first is not None else now
        if answer.status < 500:
            self.failing_since = None
            return
        self.failing_since = self.failing_since if self.failing_since is not None else now
        since = max(self.failing_since, self.first)
        if now - since >= probe.patience:
            said = answer.body[:120].decode(errors="replace").strip()
            lasting = f"{now - since:.0f} s"
            self.verdict = f"readiness {probe.path} has answered {answer.status} for {lasting}" + (
                f": {said}" if said else ""
            )


class Trails:
    """One task for each candidate that runs and is not ready."""

    def __init__(self, verifier: Verifier, tasks: TaskGroup) -> None:
        self._verifier = verifier
        self._tasks = tasks
        self._trails: dict[str, Trail] = {}

    def verdict(self, uid: str) -> str:
        """Return what was found definitely wrong with a pod."""
        trail = self._trails.get(uid)
        return trail.verdict if trail else ""

    def answers(self, uid: str) -> list[dict[str, Any]]:
        """Return what a pod answered last."""
        trail = self._trails.get(uid)
        return list(trail.answers) if trail else []

    def follow(self, pod: Pod, probe: Readiness, wake: Callable[[], None]) -> None:
        """Ask a pod from now on, as often as its probe would, but at least once a second."""
        if pod.uid not in self._trails:
            trail = self._trails[pod.uid] = Trail(anyio.CancelScope(), pod.name)
            self._tasks.start_soon(self._run, trail, pod, probe, wake)

    def drop(self, keep: set[str], among: set[str]) -> None:
        """End the trails of those of `among` that are not to be kept."""
        for uid in among - keep:
            if (trail := self._trails.pop(uid, None)) is not None:
                trail.scope.cancel()

    def forget(self, alive: set[str]) -> None:
        """End the trails of pods that are gone."""
        self.drop(alive, set(self._trails))

    async def _run(self, trail: Trail, pod: Pod, probe: Readiness, wake: Callable[[], None]) -> None:
        check = Check("candidate", probe.path, timeout=probe.timeout)
        with trail.scope:
            while True:
                try:
                    answer = await self._verifier.ask_pod(pod, probe.port, check, dict(probe.headers))
                except Exception:
                    log.exception("delivery.trail_broke", pod=pod.name)
                    return
                trail.add(anyio.current_time(), probe, answer)
                if trail.verdict:
                    wake()
                    return
                await anyio.sleep(min(probe.period, PACE))
