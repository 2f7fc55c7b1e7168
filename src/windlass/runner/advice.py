"""What helps where a step wanted something that the sandbox does not have; pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_ABSENT = re.compile(
    r"(?:^|[\s:'\"])(?P<tool>sudo|docker|podman|docker-compose)['\"]?: "
    r"(?:(?:command )?not found|No such file or directory)"
    r"|No such file or directory: '(?P<opened>sudo|docker|podman|docker-compose)'"
)
_ENGINE = re.compile(r"(?i)cannot connect to the docker daemon|failed to connect to the docker api")
_PACKAGES = re.compile(r"^E: .*(?:/var/lib/(?:apt|dpkg)|are you root)")
_OTHERWISE = (
    "or run without a sandbox (`windlass run --isolation host`; on a server, the setting `isolation`)."
)
ROOT = (
    "Jobs in the sandbox cannot become root: install what is missing on this machine, give the job a `container:` "
    f"that has it, {_OTHERWISE}"
)
ENGINE = (
    "Jobs in the sandbox do not reach a container engine: use docker/build-push-action, `services:` or "
    f"`container:`, {_OTHERWISE}"
)


def advice(lines: Iterable[str]) -> str:
    """Return what helps with the first line that shows such a lack, "" where none does."""
    for line in lines:
        found = _ABSENT.search(line)
        if _PACKAGES.search(line) or (found and "sudo" in found.groups()):
            return ROOT
        if found or _ENGINE.search(line):
            return ENGINE
    return ""
