"""Probes as state machines: when to ask next and what an answer means. Pure; `probing` asks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from windlass.kube.local.controllers.meta import Object

QUICK_FIRST, QUICK_GROWTH, QUICK_LONGEST, QUICK_PHASE = 0.04, 1.3, 1.0, 120.0


@dataclass(frozen=True, slots=True)
class Terms:
    """The probe's numbers, in seconds, with Kubernetes' defaults."""

    initial_delay: float = 0.0
    period: float = 10.0
    timeout: float = 1.0
    failures: int = 3
    successes: int = 1


def terms(probe: Object) -> Terms:
    """Read them from a v1.Probe."""
    return Terms(
        initial_delay=float(probe.get("initialDelaySeconds") or 0),
        period=float(probe.get("periodSeconds") or 10),
        timeout=float(probe.get("timeoutSeconds") or 1),
        failures=int(probe.get("failureThreshold") or 3),
        successes=int(probe.get("successThreshold") or 1),
    )


@dataclass(frozen=True, slots=True)
class ProbeState:
    """Where one probe of one running container stands.

    `passing` None: no verdict yet (not ready, but alive). `quick` probes may come more often than the period
    until the first success, so that a service is ready as soon as it listens; failures then count at most once
    for each period, so thresholds mean what they say.
    """

    terms: Terms
    started_at: float
    quick: bool
    passing: bool | None = None
    due: float = 0.0
    successes: int = 0
    failed: int = 0
    counted_at: float = 0.0
    gap: float = QUICK_FIRST

    def observe(self, *, ok: bool, now: float) -> ProbeState:
        """Take an answer in; returns the next state."""
        if ok:
            successes = self.successes + 1
            passing = True if successes >= self.terms.successes else self.passing
            due = now + self.terms.period
            return replace(self, passing=passing, successes=successes, failed=0, due=due, counted_at=now)
        hurried = self.quick and self.passing is None and now < self.started_at + QUICK_PHASE
        counts = now >= self.counted_at + self.terms.period * 0.999
        failed = self.failed + counts
        passing = False if failed >= self.terms.failures else self.passing
        if passing is False:
            hurried = hurried or (self.quick and now < self.started_at + QUICK_PHASE)
        gap = min(self.gap * QUICK_GROWTH, QUICK_LONGEST, self.terms.period)
        due = now + (self.gap if hurried else self.terms.period)
        return replace(
            self,
            passing=passing,
            successes=0,
            failed=failed,
            counted_at=now if counts else self.counted_at,
            gap=gap,
            due=due,
        )


def begin(probe: Object, started_at: float, *, quick: bool, passing: bool | None = None) -> ProbeState:
    """Return the state in which probing begins; `passing` is what was known before the server restarted."""
    found = terms(probe)
    first = started_at + found.initial_delay
    return ProbeState(
        found,
        started_at,
        quick,
        passing=passing,
        due=first,
        counted_at=first - found.period if quick else 0.0,
    )
