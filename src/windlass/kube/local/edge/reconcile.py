"""What has to be said to HAProxy so that its servers are the desired ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from windlass.kube.local.edge.config import server_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from windlass.kube.local.edge.model import EdgeState
    from windlass.kube.local.edge.runtime import RunningServer

DRAIN_LIMIT = 30.0


@dataclass(frozen=True, slots=True)
class Plan:
    """Commands in their order: first all that serve, then those that leave, then those that are gone.

    `switch` must succeed, `removal` may be refused while connections last and is tried again.
    """

    switch: tuple[str, ...] = ()
    removal: tuple[tuple[str, str], ...] = ()
    leaving: tuple[tuple[str, str], ...] = ()


def plan(
    desired: EdgeState,
    running: Sequence[RunningServer],
    sessions: Mapping[tuple[str, str], int],
    waited: Mapping[tuple[str, str], float],
) -> Plan:
    """Compare. `waited` says for how many seconds a server has been draining.

    Servers of backends that the running configuration does not have are left to the reload.
    """
    present = {(server.backend, server.name): server for server in running}
    wanted = {
        (backend.name, server.name): server_line(server, http2=backend.http2)
        for backend in desired.backends
        for server in backend.servers
    }
    enter: list[str] = []
    for (backend, name), line in wanted.items():
        server = present.get((backend, name))
        if server is None:
            enter += [f"add server {backend}/{name} {line}", f"enable server {backend}/{name}"]
        elif server.draining or server.stopped:
            enter.append(f"set server {backend}/{name} state ready")
    leave = [
        f"set server {s.backend}/{s.name} state drain" for key, s in present.items() if _fresh(key, s, wanted)
    ]
    unwanted = [key for key in present if key not in wanted]
    removal = [
        key
        for key in unwanted
        if present[key].stopped
        or (present[key].draining and (not sessions.get(key, 0) or waited.get(key, 0.0) >= DRAIN_LIMIT))
    ]
    return Plan(tuple(enter + leave), tuple(removal), tuple(unwanted))


def _fresh(key: tuple[str, str], server: RunningServer, wanted: Mapping[tuple[str, str], str]) -> bool:
    """Whether the server has to leave and has not begun to."""
    return key not in wanted and not server.draining and not server.stopped
