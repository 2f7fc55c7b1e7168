"""What is to be built, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """A build: `dockerfile` None is `context`/Dockerfile, `target` "" the last stage.

    `secrets` maps ids to files, for `RUN --mount=type=secret`. `platforms` as "linux/amd64". `timestamp` (seconds
    since the epoch) makes the result reproducible where the steps are. `network` is what RUN sees: "" the engine's
    default, "host" or "none". `cache_from` names images whose layers may be used.
    """

    context: Path
    tags: tuple[str, ...] = ()
    dockerfile: Path | None = None
    target: str = ""
    build_args: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    platforms: tuple[str, ...] = ()
    secrets: Mapping[str, Path] = field(default_factory=dict)
    cache_from: tuple[str, ...] = ()
    no_cache: bool = False
    timestamp: int | None = None
    network: Literal["", "host", "none"] = ""
    add_hosts: tuple[tuple[str, str], ...] = ()

    @property
    def file(self) -> Path:
        """The Dockerfile."""
        return self.dockerfile or self.context / "Dockerfile"


@dataclass(frozen=True, slots=True)
class BuildResult:
    """A built image: `digest` is the local manifest's; what a registry holds is what `push` returns.

    `size` in bytes, `steps` and `cached` count the Dockerfile's instructions. `stand_in` says that a base image
    was not the real one.
    """

    image_id: str
    digest: str
    tags: tuple[str, ...]
    size: int
    seconds: float
    steps: int
    cached: int
    stand_in: bool = False
