"""An OCI runtime in front of the real one, which shows a build's RUN steps the aids and leaves no trace of them.

Neither podman nor buildah can give RUN a variable without recording it in the image. The runtime's configuration
of one step is recorded nowhere: the shim adds the variables and one read-only mount below /dev to it, then lets
the real runtime go on.
"""

from __future__ import annotations

import json
import shlex
import sys
from typing import TYPE_CHECKING

from windlass.images.machine import PLACE

if TYPE_CHECKING:
    from pathlib import Path

    from windlass.images.machine import BuildAids

_EDIT = """
import json, sys
words, bundle = sys.argv[2:], "."
for i, word in enumerate(words):
    if word in ("--bundle", "-b"):
        bundle = words[i + 1]
    elif word.startswith("--bundle="):
        bundle = word.partition("=")[2]
with open(sys.argv[1]) as file:
    aids = json.load(file)
path = bundle + "/config.json"
with open(path) as file:
    config = json.load(file)
env = config["process"].setdefault("env", [])
known = {item.partition("=")[0] for item in env}
env.extend(name + "=" + value for name, value in aids["env"].items() if name not in known)
config.setdefault("mounts", []).append(aids["mount"])
with open(path, "w") as file:
    json.dump(config, file)
"""


def write_shim(directory: Path, aids: BuildAids, runtime: str) -> Path:
    """Write the shim and the aids' files into a directory of the build's own; returns the shim's path."""
    files = directory / "aids"
    files.mkdir()
    for name, content in aids.files.items():
        target = files / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    for path in (files, *files.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    mount = {
        "destination": PLACE,
        "type": "bind",
        "source": str(files),
        "options": ["rbind", "ro", "nosuid", "nodev", "noexec"],
    }
    data, edit, shim = directory / "aids.json", directory / "edit.py", directory / "runtime"
    data.write_text(json.dumps({"env": dict(aids.env), "mount": mount}), encoding="utf-8")
    edit.write_text(_EDIT, encoding="utf-8")
    shim.write_text(_shim(sys.executable, edit, data, runtime), encoding="utf-8")
    shim.chmod(0o755)
    return shim


def _shim(python: str, edit: Path, data: Path, runtime: str) -> str:
    return f"""#!/bin/sh
for word in "$@"; do
    case $word in
    create|run)
        {shlex.quote(python)} -I -S {shlex.quote(str(edit))} {shlex.quote(str(data))} "$@" || exit 1
        break ;;
    esac
done
exec {shlex.quote(runtime)} "$@"
"""
