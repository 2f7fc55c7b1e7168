"""What the edge shall be, as plain records: listeners, their routes, backends and servers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Mode = Literal["http", "tcp"]


@dataclass(frozen=True, slots=True, order=True)
class Server:
    """One pod's port as the edge reaches it. The name changes with the address, the pod's name is part of it."""

    pod: str
    host: str
    port: int

    @property
    def name(self) -> str:
        """`POD_PORT`: pod names hold no underscore."""
        return f"{self.pod}_{self.port}"


@dataclass(frozen=True, slots=True)
class Backend:
    """One port of one Service."""

    name: str
    title: str
    mode: Mode = "http"
    servers: tuple[Server, ...] = ()
    http2: bool = False
    replay: bool = True
    """Whether a GET whose pod broke off before it answered is put to another pod, once."""


@dataclass(frozen=True, slots=True)
class Route:
    """Which requests go to a backend. `host` "" is any, `*.x` one label more; `path` "" is any."""

    backend: str
    hosts: tuple[str, ...] = ()
    path: str = ""
    exact: bool = False


@dataclass(frozen=True, slots=True)
class Listener:
    """An address that accepts connections. `default` "" answers 404 with `otherwise` as its text."""

    name: str
    bind: str
    mode: Mode = "http"
    routes: tuple[Route, ...] = ()
    default: str = ""
    otherwise: str = ""
    traced: bool = False
    foreign: bool = False
    """The address may not be there yet (a network's gateway)."""


@dataclass(frozen=True, slots=True)
class EdgeState:
    """All of it. The order of listeners and backends is that of the configuration."""

    listeners: tuple[Listener, ...] = ()
    backends: tuple[Backend, ...] = ()
