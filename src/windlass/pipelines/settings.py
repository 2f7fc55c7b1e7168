"""What `pipelines` is told about the place where it runs."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from windlass.workflow import RESTRICTED

if TYPE_CHECKING:
    from pathlib import Path


def cores() -> int:
    """How many jobs run at once by default: the cores of this machine, at least 2."""
    return max(2, os.cpu_count() or 2)


@dataclass(frozen=True, slots=True)
class Settings:
    """Where and how jobs run. Times in seconds, sizes in bytes.

    `directory` is the data directory (`jobs/`, `artifacts/`, `caches/`, `run/` lie in it). `server_url` is
    how jobs reach this server. `mirrors` maps registry hosts to ours. `labels` are the `runs-on` patterns
    that this server runs. `permissions` is what a job's token may do where the workflow says
    nothing; `variables` are the `vars` of all workflows. `linger` is how long a process may stay after it has
    told its outcome.
    """

    directory: Path
    server_url: str = "http://127.0.0.1:8700"
    mirrors: dict[str, str] = field(default_factory=dict)
    isolation: str = "bubblewrap"
    engine: str = "podman"
    capacity: int = field(default_factory=cores)
    labels: tuple[str, ...] = (
        "ubuntu-*",
        "debian-*",
        "linux*",
        "Linux",
        "self-hosted",
        "x64",
        "X64",
        "arm64",
        "ARM64",
    )
    permissions: dict[str, str] = field(default_factory=lambda: dict(RESTRICTED))
    variables: dict[str, str] = field(default_factory=dict)
    shared_actions: tuple[str, ...] = ()
    """Patterns of repositories whose actions every job may read."""
    actions_mirror: str = ""
    """Address below which repositories of actions are that this server does not host."""
    resync: float = 5.0
    linger: float = 15.0
    job_limit: float = 6 * 3600.0 + 600
    runner_limit: float = 24 * 3600.0
    unserved: str = "failure"
    """How a job ends for whose labels no runner came within `runner_limit`: failure, or skipped."""
    token_ttl: float = 24 * 3600.0
    retention: float = 90 * 86400.0
    artifact_retention: float = 90 * 86400.0
    artifact_limit: int = 2 << 30
    artifact_files: int = 100_000
    artifact_unpacked: int = 20 << 30
    cache_limit: int = 10 << 30
    cache_entry_limit: int = 4 << 30
    job_artifacts_limit: int = 10 << 30

    @property
    def jobs(self) -> Path:
        """Job directories."""
        return self.directory / "jobs"

    @property
    def artifacts(self) -> Path:
        """Artifacts: `RUN/NAME.zip`."""
        return self.directory / "artifacts"

    @property
    def caches(self) -> Path:
        """Entries of `actions/cache`: `actions/ID`. Tool caches lie beside it."""
        return self.directory / "caches"

    @property
    def socket(self) -> Path:
        """Where job processes send their nudges."""
        return self.directory / "run" / "jobs.sock"
