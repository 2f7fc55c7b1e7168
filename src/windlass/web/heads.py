"""HEAD for every address that has GET: what monitors and link checkers send."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

LOGIN = "/login"
"""Its links work once: whoever only looks must not use them up."""

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Heads:
    """ASGI middleware: answers HEAD with the head of GET's answer. One that lasts is not waited for."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request; HEAD as GET without its body."""
        if scope["type"] != "http" or scope["method"] != "HEAD" or scope["path"] == LOGIN:
            await self._app(scope, receive, send)
            return
        with anyio.CancelScope() as rest:

            async def head(message: Message) -> None:
                if message["type"] == "http.response.start":
                    await send(message)
                    await send({"type": "http.response.body", "body": b""})
                    rest.cancel()

            await self._app({**scope, "method": "GET"}, receive, head)
