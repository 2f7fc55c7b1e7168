"""What the person who pushed is told: first of the runs, then of the deliveries."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from windlass.delivery import Deliveries
    from windlass.identity import Principal
    from windlass.pipelines import Pipelines
    from windlass.repos import Push

PATIENCE = 3.0
"""Seconds to wait for a delivery to begin, where one is expected."""


class News:
    """`repos.PushNews` over both halves. They are handed in late, since they stand on what tells the news."""

    def __init__(self, url: str = "") -> None:
        self.runs: Pipelines | None = None
        self.deliveries: Deliveries | None = None
        self._url = url
        self._waiting: set[anyio.CancelScope] = set()
        self._stopped = False

    def stop(self) -> None:
        """Let those who follow go, with a word of where they can read on. The server is about to stop."""
        self._stopped = True
        for scope in self._waiting:
            scope.cancel()

    async def lines(
        self,
        pushes: Sequence[Push],
        principal: Principal,
        *,
        follow: bool,
    ) -> AsyncGenerator[str, None]:
        """Yield what happens because of the pushes, in their order; where the server stops, how it stands then."""
        async with aclosing(self._lines(pushes, principal, follow=follow)) as told:
            while (line := await self._next(told)) is not None:
                yield line
        if self._stopped:
            for push in pushes:
                for line in await self._so_far(push):
                    yield line

    async def _next(self, told: AsyncGenerator[str, None]) -> str | None:
        """Return the next line; None when there is none, or no time to wait for it."""
        if self._stopped:
            return None
        with anyio.CancelScope() as scope:
            self._waiting.add(scope)
            try:
                return await anext(told, None)
            finally:
                self._waiting.discard(scope)
        return None

    async def _so_far(self, push: Push) -> list[str]:
        found = [f"the server stops; what it does goes on when it is back: {self._url}/commits/{push.after}"]
        runs = await self.runs.runs_of_push(push.id) if self.runs else []
        found += [f"run {run.id} {run.workflow}: {run.conclusion or run.status} so far" for run in runs]
        deliveries = await self.deliveries.of_commit(push.repo, push.after) if self.deliveries else []
        found += [
            f"{item.application.rpartition('/')[2]}: delivery {item.id} is {item.state} so far: {item.reason}"
            for item in deliveries
        ]
        return found

    async def _lines(
        self, pushes: Sequence[Push], principal: Principal, *, follow: bool
    ) -> AsyncGenerator[str, None]:
        for push in pushes:
            if self.runs is not None:
                async for line in self.runs.news(push.id, follow=follow):
                    yield line
            if follow and self.deliveries is not None and await self._delivers(push):
                # What containers say is shown to nobody else on the pages either.
                evidence = principal.may("api:read", "*")
                told = self.deliveries.news(push.repo, push.after, patience=PATIENCE, evidence=evidence)
                async for line in told:
                    yield line

    async def _delivers(self, push: Push) -> bool:
        """Whether a delivery is to be expected: something was published, or Applications stand on the repository."""
        if self.runs is None or self.deliveries is None:
            return False
        for run in await self.runs.runs_of_push(push.id):
            if await self.runs.images(run.id):
                return True
        return await self.deliveries.expects(push.repo)
