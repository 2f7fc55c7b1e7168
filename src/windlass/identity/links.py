"""Login links: codes that turn into a browser's session once, within minutes. They do not outlive the process."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from windlass.identity.principal import Principal

LINK_SECONDS = 600.0


class LoginLinks:
    """Codes that are waiting to be used, in memory."""

    def __init__(self) -> None:
        self._waiting: dict[str, tuple[float, Principal]] = {}

    def make(self, principal: Principal) -> str:
        """Return a code that logs in as the principal."""
        now = time.monotonic()
        self._waiting = {code: row for code, row in self._waiting.items() if row[0] > now}
        code = secrets.token_urlsafe(24)
        self._waiting[code] = (now + LINK_SECONDS, principal)
        return code

    def take(self, code: str) -> Principal | None:
        """Use a code up; None when it is unknown, used or too old."""
        expires, principal = self._waiting.pop(code, (0.0, None))
        return principal if expires > time.monotonic() else None
