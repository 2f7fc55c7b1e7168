"""Tools that npm and uv bring into the directory that jobs share: whole or not at all, whoever else is at it."""

from __future__ import annotations

import secrets as random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from windlass.runner.actions.base import ActionRun

NPM_OPTIONS = (
    "--no-audit",
    "--no-fund",
    "--no-save",
    "--ignore-scripts",
    "--loglevel=error",
    "--fetch-retries=1",
)
NPM_ENVIRONMENT = {"NPM_CONFIG_USERCONFIG": "/dev/null", "npm_config_userconfig": "/dev/null"}
"""What the job set up for its own packages is not where the runner's tools come from."""
_TAKE_PLACE = """if mv -T -- "$1" "$2" 2>/dev/null; then exit 0; fi; rm -rf -- "$1"; test -d "$2" """


def fetch_once(run: ActionRun, place: str, install: Callable[[str], int]) -> bool:
    """Return whether `place` is there, after having it made by `install`, which is given a directory to fill.

    `install` returns 0 when it is done. Of several jobs at once the first one's is kept.
    """
    if run.host_path(place).is_dir():
        return True
    temporary = f"{place}.{random.token_hex(6)}"
    run.run(["mkdir", "-p", "--", temporary], quiet=True)
    if install(temporary) != 0:
        run.run(["rm", "-rf", "--", temporary], quiet=True, check=False)
        return False
    return run.run(["sh", "-c", _TAKE_PLACE, "sh", temporary, place], quiet=True, check=False) == 0
