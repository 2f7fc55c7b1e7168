"""The probes of one running container, in motion: startup first, then readiness and liveness beside each other."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from windlass.kube.local.node.probes import begin

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from windlass.engine.port import Container
    from windlass.kube.local.controllers.meta import Object
    from windlass.kube.local.node.probes import ProbeState
    from windlass.kube.local.node.probing import Answer

STARTUP, READINESS, LIVENESS = "startupProbe", "readinessProbe", "livenessProbe"
WORDS = {STARTUP: "Startup", READINESS: "Readiness", LIVENESS: "Liveness"}
QUIET = 1.0  # a service that does not listen in its first second is no news


class ContainerProbes:
    """What probes say about one container. `changed` is called when that changes, `told` for each failure counted.

    `seed` is (ready, started) as it was before the server restarted. `failed` says why the container has to be
    restarted, empty while it has not.
    """

    def __init__(
        self,
        spec: Object,
        container: Container,
        *,
        ask: Callable[[Object], Awaitable[Answer]],
        changed: Callable[[], None],
        told: Callable[[str], None],
        seed: tuple[bool, bool] = (False, False),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.container = container
        self._probes = {kind: spec[kind] for kind in WORDS if spec.get(kind)}
        self._ask = ask
        self._changed = changed
        self._told = told
        self._clock = clock
        ready, started = seed
        self.started = started or STARTUP not in self._probes
        self.ready = ready or (self.started and READINESS not in self._probes)
        self.failed = ""
        self.evidence = ""
        self._task = asyncio.get_running_loop().create_task(self._run()) if self._probes else None

    async def close(self) -> None:
        """Stop asking."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        begun = self.container.started_at or self._clock()
        if STARTUP in self._probes and not self.started:
            await self._loop(STARTUP, begin(self._probes[STARTUP], begun, quick=True))
            begun = self._clock()
        loops = []
        if READINESS in self._probes:
            passing = True if self.ready else None
            loops.append(
                self._loop(READINESS, begin(self._probes[READINESS], begun, quick=True, passing=passing))
            )
        if LIVENESS in self._probes:
            loops.append(
                self._loop(LIVENESS, begin(self._probes[LIVENESS], begun, quick=False, passing=True))
            )
        await asyncio.gather(*loops)

    async def _loop(self, kind: str, state: ProbeState) -> None:
        """Ask until there is nothing more to learn: a startup probe ends with its verdict."""
        while True:
            await asyncio.sleep(max(0.0, state.due - self._clock()))
            answer = await self._ask(self._probes[kind])
            counted = state.failed
            state = state.observe(ok=answer.ok, now=self._clock())
            if not answer.ok and state.failed != counted:
                self._note(kind, answer)
            self._apply(kind, state)
            if kind == STARTUP and state.passing is not None:
                return

    def _note(self, kind: str, answer: Answer) -> None:
        text = f"{WORDS[kind]} probe failed: {answer.said}"
        self.evidence = text
        if self._clock() > self.container.started_at + QUIET:
            self._told(text)
            self._changed()

    def _apply(self, kind: str, state: ProbeState) -> None:
        before = (self.ready, self.started, self.failed)
        if kind == READINESS:
            self.ready = state.passing is True
        elif kind == STARTUP and state.passing:
            self.started = True
            self.ready = READINESS not in self._probes
        if kind != READINESS and state.passing is False:
            self.failed = f"failed {WORDS[kind].lower()} probe"
        if self.ready:
            self.evidence = ""
        if before != (self.ready, self.started, self.failed):
            self._changed()
