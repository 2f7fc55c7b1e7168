"""Pushes under way: who pushes, and whether they still listen."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from windlass.identity import Principal

NO = frozenset({"no", "false", "off", "0"})


def follows(kind: str, options: Sequence[str], *, default: bool) -> bool:
    """Decide whether a push waits for what it sets in motion: people wait, unless `-o follow=no` says otherwise."""
    if kind != "user":
        return False
    for option in reversed(options):
        name, _, value = option.partition("=")
        if name in {"follow", "windlass.follow"}:
            return value.lower() not in NO
    return default


@dataclass(slots=True)
class Session:
    """One request that may push. Lives on the event loop."""

    id: str
    repository: str
    principal: Principal
    recorded: bool = False
    release: Callable[[], None] | None = None
    left: anyio.Event = field(default_factory=anyio.Event)

    def leave(self) -> None:
        """Note that the client does not listen any more."""
        self.left.set()

    def done_with_turn(self) -> None:
        """Let another request have this one's turn, once."""
        release, self.release = self.release, None
        if release:
            release()

    async def cancel_when_left(self, scope: anyio.CancelScope) -> None:
        """Cancel `scope` as soon as the client leaves."""
        await self.left.wait()
        scope.cancel()


class Sessions:
    """The pushes under way in this process, by session id."""

    def __init__(self) -> None:
        self._open: dict[str, Session] = {}

    @contextmanager
    def open(self, session: Session) -> Iterator[None]:
        """Know a session until its request ends."""
        self._open[session.id] = session
        try:
            yield
        finally:
            session.leave()
            del self._open[session.id]

    def get(self, session_id: str) -> Session | None:
        """Return the session under way with this id."""
        return self._open.get(session_id)

    def leave_all(self) -> None:
        """Let every push that waits end (the server stops)."""
        for session in self._open.values():
            session.leave()
