"""Reading what the engines' command lines print: pure functions from their JSON to the port's records."""

from __future__ import annotations

import contextlib
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from windlass.engine.port import Container, ContainerEvent, EngineInfo, ImageInfo, Network

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from windlass.engine.port import EventKind, State

Json = dict[str, Any]

_STATES: dict[str, State] = {
    "running": "running",
    "paused": "running",
    "restarting": "running",
    "stopping": "running",
    "exited": "exited",
    "stopped": "exited",
    "dead": "exited",
    "removing": "exited",
}
_EVENTS: dict[str, EventKind] = {
    "create": "created",
    "start": "started",
    "restart": "started",
    "die": "exited",
    "died": "exited",
    "destroy": "removed",
    "remove": "removed",
    "oom": "oom",
}


def seconds(timestamp: str | float | None) -> float:
    """Turn RFC 3339 with any number of decimals (or seconds) into seconds since the epoch; year 1 is 0.0."""
    if isinstance(timestamp, (int, float)):
        return float(timestamp)
    match = re.fullmatch(
        r"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)(\.\d+)?\s*(Z|[+-]\d\d:?\d\d)?.*", timestamp or ""
    )
    if not match or match[1].startswith("0001"):
        return 0.0
    zone = match[3] or "Z"
    moment = datetime.fromisoformat(match[1].replace(" ", "T") + ("+00:00" if zone == "Z" else zone))
    return moment.timestamp() + float(match[2] or 0)


def rfc3339(moment: float) -> str:
    """Turn seconds since the epoch into RFC 3339 with nanoseconds' place, as both engines read it."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def container(data: Json, digests: Mapping[str, str]) -> Container:
    """Read one entry of `container inspect`; `digests` maps image ids to digests where the entry has none."""
    state = data.get("State") or {}
    config = data.get("Config") or {}
    network = data.get("NetworkSettings") or {}
    status = _STATES.get(str(state.get("Status", "")), "created")
    image_id = str(data.get("Image", ""))
    return Container(
        id=str(data["Id"]),
        name=str(data.get("Name", "")).lstrip("/"),
        state=status,
        image=str(data.get("ImageName") or config.get("Image") or image_id),
        image_digest=str(data.get("ImageDigest") or digests.get(image_id, "")),
        exit_code=int(state.get("ExitCode", 0)) if status == "exited" else None,
        started_at=seconds(state.get("StartedAt")),
        finished_at=seconds(state.get("FinishedAt")) if status == "exited" else 0.0,
        created_at=seconds(data.get("Created")),
        labels=config.get("Labels") or {},
        ports=_ports(network.get("Ports") or {}),
        addresses={
            name: str(entry.get("IPAddress") or "")
            for name, entry in (network.get("Networks") or {}).items()
            if entry.get("IPAddress")
        },
        pid=int(state.get("Pid") or 0),
        oom=bool(state.get("OOMKilled")),
        error=str(state.get("Error") or ""),
    )


def image(data: Json) -> ImageInfo:
    """Read one entry of `image inspect`."""
    config = data.get("Config") or {}
    repo_digests = data.get("RepoDigests") or []
    return ImageInfo(
        id=prefixed(str(data["Id"])),
        digest=str(data.get("Digest") or (repo_digests[0].partition("@")[2] if repo_digests else "")),
        tags=tuple(data.get("RepoTags") or ()),
        env=dict(item.partition("=")[::2] for item in config.get("Env") or ()),
        entrypoint=_argv(config.get("Entrypoint")),
        command=_argv(config.get("Cmd")),
        user=str(config.get("User") or ""),
        workdir=str(config.get("WorkingDir") or ""),
        exposed=tuple(_exposed(config.get("ExposedPorts") or {})),
        labels=config.get("Labels") or {},
        size=int(data.get("Size") or 0),
        created_at=seconds(data.get("Created")),
        architecture=str(data.get("Architecture") or ""),
        layers=tuple((data.get("RootFS") or {}).get("Layers") or ()),
    )


def podman_event(data: Json) -> ContainerEvent | None:
    """Read one line of `podman events --format json`; None for what does not matter here."""
    kind = _EVENTS.get(str(data.get("Status")))
    if kind is None:
        return None
    exit_code = int(data.get("ContainerExitCode") or 0) if kind == "exited" else None
    moment = seconds(data.get("Time") or data.get("time"))
    return ContainerEvent(
        kind, data["ID"], data.get("Name", ""), moment, exit_code, data.get("Attributes") or {}
    )


def docker_event(data: Json) -> ContainerEvent | None:
    """Read one line of `docker events`; None for what does not matter here."""
    kind = _EVENTS.get(str(data.get("Action") or data.get("status")))
    if kind is None:
        return None
    attributes = dict((data.get("Actor") or {}).get("Attributes") or {})
    name = str(attributes.pop("name", ""))
    attributes.pop("image", None)
    code = attributes.pop("exitCode", None)
    identity = str((data.get("Actor") or {}).get("ID") or data.get("id"))
    exit_code = int(code) if kind == "exited" and code is not None else None
    return ContainerEvent(kind, identity, name, int(data.get("timeNano") or 0) / 1e9, exit_code, attributes)


def network(data: Json) -> Network:
    """Read one entry of `network inspect`, podman's or docker's."""
    subnets = data.get("subnets") or [
        {"subnet": item.get("Subnet", ""), "gateway": item.get("Gateway", "")}
        for item in (data.get("IPAM") or {}).get("Config") or ()
    ]
    first: Json = next((item for item in subnets if ":" not in item.get("subnet", "")), {})
    return Network(
        name=str(data.get("name") or data.get("Name")),
        gateway=str(first.get("gateway") or "").partition("/")[0],
        subnet=str(first.get("subnet") or ""),
        labels=data.get("labels") or data.get("Labels") or {},
    )


def podman_info(data: Json) -> EngineInfo:
    """Read `podman info --format json`."""
    host, storage = data["host"], data["store"]
    unified = host.get("cgroupVersion") == "v2"
    names = {
        "memory": "memory",
        "cpu": "cpus",
        "pids": "pids",
        **({"memory.swap": "swap"} if unified else {}),
    }
    controllers = set(host.get("cgroupControllers") or ())
    if unified and "memory" in controllers:
        controllers.add("memory.swap")
    return EngineInfo(
        name="podman",
        version=str((data.get("version") or {}).get("Version", "")),
        rootless=bool((host.get("security") or {}).get("rootless")),
        cgroup_version=2 if unified else 1,
        cgroup_manager=str(host.get("cgroupManager", "")),
        can_limit=frozenset(names[name] for name in controllers & set(names)),
        storage_driver=str(storage.get("graphDriverName", "")),
        root=str(storage.get("graphRoot", "")),
        endpoint="command line",
        architecture=str(host.get("arch", "")),
        runtime=str((host.get("ociRuntime") or {}).get("path", "")),
    )


def docker_info(data: Json, endpoint: str) -> EngineInfo:
    """Read `docker info --format '{{json .}}'`."""
    limits = {"memory": "MemoryLimit", "cpus": "CpuCfsQuota", "pids": "PidsLimit", "swap": "SwapLimit"}
    return EngineInfo(
        name="docker",
        version=str(data.get("ServerVersion", "")),
        rootless=any("rootless" in str(option) for option in data.get("SecurityOptions") or ()),
        cgroup_version=int(data.get("CgroupVersion") or 1),
        cgroup_manager=str(data.get("CgroupDriver", "")),
        can_limit=frozenset(name for name, key in limits.items() if data.get(key)),
        storage_driver=str(data.get("Driver", "")),
        root=str(data.get("DockerRootDir", "")),
        endpoint=endpoint,
        architecture={"x86_64": "amd64", "aarch64": "arm64"}.get(str(data.get("Architecture")), ""),
    )


def prefixed(identity: str) -> str:
    """Spell an image id with its algorithm; podman leaves it out."""
    return identity if ":" in identity else f"sha256:{identity}"


def _argv(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,) if value else ()
    return tuple(str(part) for part in cast("Iterable[object]", value or ()))


def _exposed(ports: Mapping[str, object]) -> list[int]:
    found = []
    for port in ports:
        number, _, protocol = port.partition("/")
        with contextlib.suppress(ValueError):
            if protocol in {"", "tcp"}:
                found.append(int(number))
    return sorted(found)


def _ports(ports: Mapping[str, Any]) -> dict[int, int]:
    found = {}
    for port, bindings in ports.items():
        number, _, protocol = port.partition("/")
        hosts = [int(binding["HostPort"]) for binding in bindings or () if binding.get("HostPort")]
        if hosts and protocol in {"", "tcp"}:
            found[int(number)] = hosts[0]
    return found
