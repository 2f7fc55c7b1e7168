"""Everything about forges behind one door."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from windlass.repos.forges.following import Following
from windlass.repos.forges.hooks import WebhookHTTP
from windlass.repos.forges.remotes import Remotes
from windlass.repos.forges.telling import Telling

if TYPE_CHECKING:
    from windlass.identity import Secrets
    from windlass.repos.forges.telling import Standings
    from windlass.repos.repositories import Repositories
    from windlass.store import Store


class Forges:
    """Repositories that come from elsewhere: `remotes` says from where, `hooks` is the address for webhooks.

    `run()` follows them and tells them how their commits stand, until cancelled. `url` is the server's own address.
    """

    def __init__(
        self, store: Store, repositories: Repositories, secrets: Secrets, standings: Standings, *, url: str
    ) -> None:
        self.remotes = Remotes(store, repositories, secrets)
        self.hooks = WebhookHTTP(store, repositories, self.remotes, url=url)
        self._following = Following(store, repositories, self.remotes)
        self._telling = Telling(store, self.remotes, standings)

    async def run(self) -> None:
        """Keep everything in motion."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._following.run)
            tasks.start_soon(self._telling.run)
