"""From an engine's own words to the error that names the failure and its remedy."""

from __future__ import annotations

import re
from dataclasses import dataclass

from windlass.engine.errors import (
    ContainerNotFoundError,
    EngineError,
    EngineUnavailableError,
    ImageAccessError,
    ImageNotFoundError,
    NameInUseError,
    RegistryUnreachableError,
    StartError,
)


@dataclass(frozen=True, slots=True)
class _Sign:
    pattern: re.Pattern[str]
    error: type[EngineError]
    remedy: str


def _sign(pattern: str, error: type[EngineError], remedy: str) -> _Sign:
    return _Sign(re.compile(pattern, re.IGNORECASE), error, remedy)


_SIGNS = (
    _sign(
        r"cannot connect to the docker daemon|is the docker daemon running|error during connect",
        EngineUnavailableError,
        "start the Docker daemon (systemctl start docker), or use podman (engine: podman)",
    ),
    _sign(
        r"cannot connect to podman|error obtaining lock|database is locked",
        EngineUnavailableError,
        "see whether another podman process hangs (podman ps), then try again",
    ),
    _sign(
        r"name .* is already in use|already in use by",
        NameInUseError,
        "adopt the container of that name or remove it first",
    ),
    _sign(
        r"unauthorized|authentication required|denied|forbidden|no basic auth credentials|invalid username",
        ImageAccessError,
        "log in to the registry, and see that the credentials may read (or write) this repository",
    ),
    _sign(
        r"dial tcp|no such host|connection refused|network is unreachable|i/o timeout|TLS handshake|x509|"
        r"server gave HTTP response to HTTPS client|Client\.Timeout",
        RegistryUnreachableError,
        "see whether the registry's address is right and reachable from here, and trusts the same certificates",
    ),
    _sign(
        r"image not known|no such image|manifest unknown|name unknown|unable to find image|not found: manifest|"
        r"reading manifest .* not found|name_unknown|manifest for .* not found|does not exist locally",
        ImageNotFoundError,
        "check the image's name and tag; pull or build it first",
    ),
    _sign(
        r"no such container|no container with|no such object",
        ContainerNotFoundError,
        "list what there is (windlass status, podman ps -a); it may have been removed",
    ),
    _sign(
        r"address already in use|port is already allocated",
        StartError,
        "another program holds the port on this machine: free it or publish another one",
    ),
    _sign(
        r"executable file not found|exec format error|"
        r"(exec|runc|crun).*(no such file or directory|permission denied)|"
        r"(no such file or directory|permission denied).*(exec|runc|crun)",
        StartError,
        "the command must exist in the image, be executable, and built for this machine's architecture",
    ),
    _sign(
        r"OCI runtime|runc create failed|failed to create (shim|task)|error response from daemon: .*oci|"
        r"statfs .*no such file|bind source path does not exist",
        StartError,
        "check the container's mounts, user and limits against what the engine says",
    ),
    _sign(
        r"no space left on device", EngineError, "free disk space (podman system prune, docker system prune)"
    ),
    _sign(
        r"permission denied.*(sock|connect)|dial unix .* permission denied",
        EngineUnavailableError,
        "add this user to the engine's group, or run podman rootless",
    ),
)


def failure(attempted: str, stderr: str) -> EngineError:
    """Name the failure behind an engine's words."""
    words = clean(stderr)
    for sign in _SIGNS:
        if sign.pattern.search(words):
            return sign.error(attempted, stderr=words, remedy=sign.remedy)
    return EngineError(attempted, stderr=words, remedy="the engine's own log may say more")


def clean(stderr: str) -> str:
    """Drop warnings that are not the matter when there is an error beside them."""
    kept = [line for line in stderr.splitlines() if "level=warning" not in line and line.strip()]
    return "\n".join(kept) or stderr.strip()
