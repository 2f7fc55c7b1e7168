"""The hosts file of a pod: its own name, and the Services at the gateway where the edge listens for them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from windlass.kube.local.controllers.meta import Object

BASE = """\
# Written by windlass.
127.0.0.1 localhost
::1 localhost ip6-localhost ip6-loopback
"""


def content(
    own: tuple[str, str], gateway: str, services: Iterable[str], aliases: Sequence[Object] = ()
) -> str:
    """Return the file. `own` is the pod's address and host name; `services` are names at the gateway."""
    lines = [BASE]
    address, name = own
    lines.append(f"{address or '127.0.1.1'} {name}\n")
    lines += [f"{item['ip']} {' '.join(item.get('hostnames') or ())}\n" for item in aliases]
    if gateway:
        lines += [f"{gateway} {service}\n" for service in sorted(services)]
    return "".join(lines)


def rewrite(file: Path, text: str) -> bool:
    """Write in place, keeping the inode that containers have mounted; True if it changed.

    The new content goes in with one write and the rest is cut off after it, so that a reader never sees less.
    """
    data = text.encode()
    if file.exists() and file.read_bytes() == data:
        return False
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        os.pwrite(descriptor, data, 0)
        os.ftruncate(descriptor, len(data))
    finally:
        os.close(descriptor)
    return True


def network_name(instance: str, namespace: str) -> str:
    """Name the engine's network of a namespace."""
    return f"windlass-{instance}-{namespace}"


def gateways(networks: Mapping[str, str]) -> dict[str, str]:
    """Only networks whose gateway is known."""
    return {namespace: gateway for namespace, gateway in networks.items() if gateway}
