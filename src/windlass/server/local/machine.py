"""What this machine gives to jobs: a sandbox, a container engine."""

from __future__ import annotations

import shutil
from typing import Any

from windlass.server.local.errors import LocalError
from windlass.server.local.options import Options

ENGINES = ("podman", "docker")


def how(isolation: str, engine: str, refusal: str, **others: Any) -> Options:
    """Return how jobs are to run here; `others` are further `Options`.

    `refusal` says why there is no sandbox to be had here, "" where there is one. Raises `LocalError` where
    bubblewrap is asked for and not to be had.
    """
    if engine == "auto":
        engine = next((name for name in ENGINES if shutil.which(name)), ENGINES[0])
    if isolation != "host" and refusal:
        if isolation == "bubblewrap":
            raise LocalError(refusal)
        return Options("host", engine, why_host=refusal, **others)
    return Options("host" if isolation == "host" else "bubblewrap", engine, **others)
