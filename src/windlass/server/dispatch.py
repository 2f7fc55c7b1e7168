"""One port, five parts: which application a request is for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from windlass.pipelines.api import JOB_PATHS
from windlass.repos import GitHTTP
from windlass.repos.forges import WebhookHTTP

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]


class Dispatch:
    """Git, the registry (`/v2/`), what jobs ask (`JOB_PATHS`), webhooks (`/hooks/`), the web for everything else."""

    def __init__(self, *, git: App, registry: App, jobs: App, web: App, hooks: App | None = None) -> None:
        self._git = git
        self._registry = registry
        self._jobs = jobs
        self._hooks = hooks
        self._web = web

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Hand the connection on."""
        await self._choose(scope)(scope, receive, send)

    def _choose(self, scope: MutableMapping[str, Any]) -> App:
        path = scope.get("path", "")
        if scope["type"] != "http":
            return self._web
        if path == "/v2" or path.startswith("/v2/"):
            return self._registry
        if path.startswith(JOB_PATHS) and not _starts_runs(path):
            return self._jobs
        if self._hooks is not None and WebhookHTTP.serves(path):
            return self._hooks
        return self._git if GitHTTP.serves(path) else self._web


def _starts_runs(path: str) -> bool:
    """Whether it is one of GitHub's addresses that start runs, which robots and people ask as well as jobs."""
    return path.startswith("/api/v3/repos/") and path.endswith("/dispatches")
