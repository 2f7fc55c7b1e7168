"""What the composition root decides for deliveries."""

from __future__ import annotations

from dataclasses import dataclass, field

from windlass.repos import Identity


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Times are in seconds.

    `forges`: host names whose repositories are hosted here under the same name (`github.com`), the server's
    own `host:port` among them. `namespace`: where Applications without one are put. `trace_secret`: what the
    edge must be shown (`X-Windlass-Trace`) to name the pod that answered. `server_url` stands in messages.
    """

    forges: tuple[str, ...] = ("github.com",)
    namespace: str = "argocd"
    trace_secret: str = field(default="", repr=False)
    server_url: str = ""
    author: Identity = field(default_factory=lambda: Identity("Windlass", "windlass@localhost"))
    resync: float = 300.0
    retry: float = 10.0
    address_grace: float = 5.0
    ready_grace: float = 60.0
    workers: int = 4
