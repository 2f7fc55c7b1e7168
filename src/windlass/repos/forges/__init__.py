"""Forges elsewhere: their webhooks, what is fetched from them, and the statuses that they are told."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from windlass.repos.forges.records import FORGES, Remote

if TYPE_CHECKING:
    from windlass.repos.forges.api import Standing
    from windlass.repos.forges.following import Following
    from windlass.repos.forges.forges import Forges
    from windlass.repos.forges.hooks import WebhookHTTP
    from windlass.repos.forges.remotes import Remotes
    from windlass.repos.forges.telling import Standings, Telling

_LATER = {
    "Following": "windlass.repos.forges.following",
    "Forges": "windlass.repos.forges.forges",
    "Remotes": "windlass.repos.forges.remotes",
    "Standing": "windlass.repos.forges.api",
    "Standings": "windlass.repos.forges.telling",
    "Telling": "windlass.repos.forges.telling",
    "WebhookHTTP": "windlass.repos.forges.hooks",
}
"""Loaded when it is asked for: not everything that needs the package needs these, and they are slow to load."""


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LATER[name]), name)


__all__ = [
    "FORGES",
    "Following",
    "Forges",
    "Remote",
    "Remotes",
    "Standing",
    "Standings",
    "Telling",
    "WebhookHTTP",
]
