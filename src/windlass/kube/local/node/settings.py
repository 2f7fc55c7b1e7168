"""What the node is told by the server's configuration."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """Settings of the node. `instance` marks its containers and networks and must be unique on the machine.

    `mirrors` maps a registry's host to where it is fetched from (`ghcr.io` to `127.0.0.1:8700`); `auth_file`
    is in the format of docker's config.json. `host_path` and `privileged` let pods reach into this machine.
    """

    directory: Path
    instance: str
    name: str = "windlass"
    mirrors: Mapping[str, str] = field(default_factory=dict)
    auth_file: Path | None = None
    host_path: bool = False
    privileged: bool = False
