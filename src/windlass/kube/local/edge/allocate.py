"""Which Service gets which port: stable over restarts, never that of another living Service."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from windlass.kube.local.controllers.meta import annotations_of, created, deleting, name_of, namespace_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from windlass.kube.local.controllers.meta import Object

ADDRESS = "windlass.dev/address"
Key = tuple[str, str]


def is_public(service: Object) -> bool:
    """Whether the Service gets an address of its own: it selects pods, is not headless and has a TCP port."""
    spec = service["spec"]
    return bool(
        spec.get("selector")
        and spec.get("type", "ClusterIP") != "ExternalName"
        and spec.get("clusterIP") != "None"
        and any(port.get("protocol", "TCP") == "TCP" for port in spec.get("ports") or ())
        and not deleting(service)
    )


def noted_port(service: Object) -> int | None:
    """Return the port in the Service's annotation, None where there is none or it is not one of ours."""
    scheme, _, rest = annotations_of(service).get(ADDRESS, "").partition("://")
    port = rest.rpartition(":")[2]
    return int(port) if scheme in {"http", "tcp"} and port.isdigit() else None


def allocate(
    services: Sequence[Object], ports: range, usable: Callable[[int], bool]
) -> tuple[dict[Key, int], list[Key]]:
    """Give each public Service a port; returns the ports and who got none because the range is full.

    What a Service's annotation says is kept, the older Service winning where two say the same. A new one
    starts looking at a place that follows from its name, so that it mostly gets its old port back after
    it was deleted. `usable` is asked for new ports only.
    """
    public = sorted(
        (s for s in services if is_public(s)), key=lambda s: (created(s), namespace_of(s), name_of(s))
    )
    given: dict[Key, int] = {}
    taken: set[int] = set()
    waiting: list[Key] = []
    for service in public:
        key, port = (namespace_of(service), name_of(service)), noted_port(service)
        if port is not None and port in ports and port not in taken:
            given[key] = port
            taken.add(port)
        else:
            waiting.append(key)
    left = []
    for key in waiting:
        port = next((port for port in _from(key, ports) if port not in taken and usable(port)), None)
        if port is None:
            left.append(key)
        else:
            given[key] = port
            taken.add(port)
    return given, left


def _from(key: Key, ports: range) -> list[int]:
    start = int.from_bytes(hashlib.sha256("/".join(key).encode()).digest()[:4], "big") % len(ports)
    return [*ports[start:], *ports[:start]]
