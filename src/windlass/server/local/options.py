"""How jobs are to run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Options:
    """How jobs run. `capacity` 0 is one for each core, at least two. `why_host`: why there is no sandbox."""

    isolation: str = "bubblewrap"
    engine: str = "podman"
    capacity: int = 0
    variables: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    why_host: str = ""
    actions_mirror: str = ""
    """Address below which the repositories of actions are that are not built in."""
