"""Ready pods that cannot be reached: told of once, and only when it lasts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from collections.abc import Mapping

LIMIT = 10.0
Key = tuple[str, str, int]
log = structlog.get_logger()


class Unreached:
    """Endpoints say for a moment still that a pod is ready that has just ended: after a restart all of them do."""

    def __init__(self) -> None:
        self._since: dict[Key, float] = {}
        self._told: set[Key] = set()

    def note(self, failures: Mapping[Key, str], now: float) -> float | None:
        """Take in who cannot be reached now, and why; returns after how many seconds to look again."""
        self._since = {key: self._since.get(key, now) for key in failures}
        self._told &= failures.keys()
        for key, reason in failures.items():
            if key not in self._told and now - self._since[key] >= LIMIT:
                self._told.add(key)
                pod = "/".join(key[:2])
                log.warning("a ready pod cannot be reached", pod=pod, port=key[2], error=reason)
        waiting = [since + LIMIT - now for key, since in self._since.items() if key not in self._told]
        return min(waiting, default=None)
