"""What the figures were measured on: no names, nothing that tells whose machine it is."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from pathlib import Path
from typing import Any

TOOLS = {
    "git": ["git", "--version"],
    "bubblewrap": ["bwrap", "--version"],
    "haproxy": ["haproxy", "-v"],
    "bash": ["bash", "--version"],
}


def describe() -> dict[str, Any]:
    """Return cores, processor, system, versions, and the load average of the last minute."""
    return {
        "cores": cores(),
        "processor": _processor(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "tools": {name: _first_line(argv) for name, argv in TOOLS.items() if shutil.which(argv[0])},
        "load_before": load(),
        "load_after": 0.0,
    }


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def load() -> float:
    """Return the load average of the last minute."""
    return round(os.getloadavg()[0], 2)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _first_line(argv: list[str]) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return (done.stdout or done.stderr).partition("\n")[0].strip()
