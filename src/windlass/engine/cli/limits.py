"""What this machine lets a container have: resource limits within which an engine can start anything at all."""

from __future__ import annotations

import resource
from dataclasses import dataclass
from pathlib import Path

_WANTED_FILES = 1_048_576
_WANTED_PROCESSES = 32_768


@dataclass(frozen=True, slots=True)
class HostLimits:
    """Hard limits of this process: what a container may be given without more rights than we have."""

    nofile: int
    nproc: int


def host_limits() -> HostLimits:
    """Read the limits of this process and the machine's `pid_max`."""
    try:
        pid_max = int(Path("/proc/sys/kernel/pid_max").read_text(encoding="ascii"))
    except (OSError, ValueError):
        pid_max = _WANTED_PROCESSES
    return HostLimits(
        nofile=_within(resource.RLIMIT_NOFILE, _WANTED_FILES),
        nproc=min(_within(resource.RLIMIT_NPROC, _WANTED_PROCESSES), pid_max),
    )


def ulimits(wanted: tuple[tuple[str, int, int], ...], limits: HostLimits) -> tuple[tuple[str, int, int], ...]:
    """Add nofile and nproc where they are not given, and keep those two within this machine's."""
    ceilings = {"nofile": limits.nofile, "nproc": limits.nproc}
    given = {name: (soft, hard) for name, soft, hard in wanted}
    for name, ceiling in ceilings.items():
        soft, hard = given.get(name, (ceiling, ceiling))
        given[name] = (min(soft, ceiling), min(hard, ceiling))
    return tuple((name, soft, hard) for name, (soft, hard) in given.items())


def _within(which: int, wanted: int) -> int:
    _, hard = resource.getrlimit(which)
    return wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
