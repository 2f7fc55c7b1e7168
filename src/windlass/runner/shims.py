"""Tools that GitHub's runners have on PATH and this machine may have elsewhere: small scripts for all jobs."""

from __future__ import annotations

import functools
import os
import shlex
import shutil
import sys
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from windlass.runner.shared import keep

if TYPE_CHECKING:
    from collections.abc import Mapping

    from windlass.runner.paths import Paths

_SETTINGS = (".config/uv/uv.toml", ".config/pip/pip.conf", ".pip/pip.conf")
_SETTINGS_LIMIT = 1 << 16


def uv_program() -> str:
    """Return the uv that Windlass depends on, else the machine's, else ""."""
    beside = os.path.join(os.path.dirname(sys.executable), "uv")  # noqa: PTH118, PTH120
    return beside if os.access(beside, os.X_OK) else (shutil.which("uv") or "")


@functools.cache
def scripts(*, isolated: bool) -> Mapping[str, str]:
    """Return the shims by name. A tool that the machine has under its own name needs none.

    Kept for the life of the process: the fork server looks once, its jobs inherit it.
    """
    python = shlex.quote(sys.executable)
    made = {"kustomize": f'exec {python} -I -m windlass.manifests.kustomize "$@"'}
    if uv := uv_program():
        made["uv"] = f'exec {shlex.quote(uv)} "$@"'
        made["uvx"] = f'exec {shlex.quote(uv)} tool run "$@"'
    if isolated or not shutil.which("python"):
        system = next(
            (path for path in ("/usr/bin/python3", "/usr/local/bin/python3") if os.access(path, os.X_OK)), ""
        )
        if system and not os.path.exists("/usr/bin/python"):  # noqa: PTH110
            made["python"] = f'exec {system} "$@"'
    return MappingProxyType({name: f"#!/bin/sh\n{text}\n" for name, text in made.items()})


def bring_settings(paths: Paths) -> tuple[str, ...]:
    """Copy what the machine's user has configured of package indexes into the job's fresh home.

    Returns the texts, whose credentials logs must not show. Other tools' files (`.npmrc`, `.netrc`, …) may hold
    tokens that publish; they stay where they are.
    """
    texts = []
    for name in _SETTINGS:
        source = Path.home() / name
        if source.is_file() and source.stat().st_size <= _SETTINGS_LIMIT:
            target = paths.home.host / name
            target.parent.mkdir(parents=True, exist_ok=True)
            texts.append(source.read_text("utf-8", "replace"))
            target.write_text(texts[-1], "utf-8")
    return tuple(texts)


def keep_shims(data: Path, *, isolated: bool) -> Path:
    """Return the directory with the shims of this data directory's jobs, where their PATH begins."""
    name = "shims-isolated" if isolated else "shims"
    return keep(data / "run" / name, scripts(isolated=isolated), mode=0o755)
