"""From a pod's container to the engine's: pure. What is not safe or not possible is refused with its reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from windlass.engine.port import ContainerSpec, Mount, Port
from windlass.kube.local.controllers.meta import name_of
from windlass.kube.local.node.environment import expand
from windlass.kube.local.node.errors import ContainerConfigError
from windlass.kube.local.node.names import container_name, labels
from windlass.kube.local.node.quantities import quantity

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from windlass.engine.port import ImageInfo
    from windlass.kube.local.controllers.meta import Object

ADDABLE = {  # what Kubernetes' baseline Pod Security Standard allows
    "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD",
    "NET_BIND_SERVICE", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a container is put into."""

    instance: str
    image: str
    info: ImageInfo
    env: Mapping[str, str]
    mounts: tuple[Mount, ...]
    network: str
    hosts_file: str
    ports: tuple[int, ...] = ()
    attempt: int = 0
    crashes: int = 0
    joined: str = ""
    privileged: bool = False


def is_sidecar(container: Object) -> bool:
    """Whether an init container goes on beside the others (`restartPolicy: Always`)."""
    return bool(container.get("restartPolicy") == "Always")


def init_containers(pod: Object) -> list[Object]:
    """Containers that run to their end before the others, sidecars left out."""
    return [c for c in pod["spec"].get("initContainers") or () if not is_sidecar(c)]


def main_containers(pod: Object) -> list[Object]:
    """Sidecars, then the pod's containers: all that run side by side. The first one holds the network."""
    return [*filter(is_sidecar, pod["spec"].get("initContainers") or ()), *pod["spec"]["containers"]]


def published_ports(pod: Object, wanted: Iterable[int] = ()) -> tuple[int, ...]:
    """TCP ports of the pod: declared, probed, and those that Services ask for (`wanted`)."""
    found = set(wanted)
    for container in main_containers(pod):
        declared = container.get("ports") or ()
        found |= {int(port["containerPort"]) for port in declared if port.get("protocol", "TCP") == "TCP"}
        for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
            number = probe_port(container, container.get(kind) or {})
            if number is not None:
                found.add(number)
    return tuple(sorted(found))


def probe_port(container: Object, probe: Object) -> int | None:
    """Return the port that an httpGet or tcpSocket asks, None for the others or for an unknown name."""
    action = probe.get("httpGet") or probe.get("tcpSocket")
    if not action:
        return None
    wanted = action.get("port")
    if str(wanted).isdigit():
        return int(wanted)
    for port in container.get("ports") or ():
        if port.get("name") == wanted:
            return int(port["containerPort"])
    return None


def check(pod: Object, container: Object, *, privileged: bool = False) -> None:
    """Raise ContainerConfigError for what the embedded cluster does not do or does not allow."""
    spec = pod["spec"]
    for key in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(key) and not privileged:
            raise ContainerConfigError(f"{key} is refused by the embedded cluster")
    context = container.get("securityContext") or {}
    if context.get("privileged") and not privileged:
        raise ContainerConfigError("privileged containers are refused by the embedded cluster")
    added = {_capability(c) for c in (context.get("capabilities") or {}).get("add") or ()}
    if added - ADDABLE and not privileged:
        raise ContainerConfigError(
            f"capabilities {sorted(added - ADDABLE)} are refused by the embedded cluster"
        )
    for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
        if (container.get(kind) or {}).get("grpc"):
            raise ContainerConfigError(
                f"{kind}: grpc probes are not supported; use httpGet, tcpSocket or exec"
            )


def _capability(name: str) -> str:
    return name.upper().removeprefix("CAP_")


def _user(pod: Object, container: Object, info: ImageInfo) -> str:
    """`uid[:gid]`, "" for the image's own. Checks `runAsNonRoot`."""
    both = {**(pod["spec"].get("securityContext") or {}), **(container.get("securityContext") or {})}
    user, group = both.get("runAsUser"), both.get("runAsGroup")
    if both.get("runAsNonRoot"):
        effective = str(user) if user is not None else info.user.partition(":")[0]
        if effective in {"", "0", "root"}:
            raise ContainerConfigError("container has runAsNonRoot and image will run as root")
        if not effective.isdigit():
            raise ContainerConfigError(
                f"container has runAsNonRoot and image has non-numeric user ({effective}), "
                "cannot verify user is non-root; set runAsUser"
            )
    if user is None:
        return ""
    return f"{user}:{group}" if group is not None else str(user)


def engine_spec(pod: Object, container: Object, around: Surroundings) -> ContainerSpec:
    """Return what the engine is to run. Raises ContainerConfigError."""
    check(pod, container, privileged=around.privileged)
    context = container.get("securityContext") or {}
    capabilities = context.get("capabilities") or {}
    limits = (container.get("resources") or {}).get("limits") or {}
    command = [expand(str(word), around.env) for word in container.get("command") or ()]
    arguments = [expand(str(word), around.env) for word in container.get("args") or ()]
    return ContainerSpec(
        name=container_name(around.instance, pod, container["name"], around.attempt),
        image=around.image,
        entrypoint=tuple(command) or None,
        command=tuple(arguments) or None,
        env=dict(around.env),
        labels=labels(around.instance, pod, container["name"], around.attempt, around.crashes, around.joined),
        ports=() if around.joined else tuple(Port(number) for number in around.ports),
        mounts=around.mounts,
        network=f"container:{around.joined}" if around.joined else around.network,
        hostname="" if around.joined else (pod["spec"].get("hostname") or name_of(pod))[:63],
        hosts_file=around.hosts_file,
        memory=int(quantity(limits.get("memory", 0))),
        cpus=float(quantity(limits.get("cpu", 0))),
        user=_user(pod, container, around.info),
        workdir=container.get("workingDir") or "",
        read_only=bool(context.get("readOnlyRootFilesystem")),
        privileged=bool(context.get("privileged")) and around.privileged,
        no_new_privileges=context.get("allowPrivilegeEscalation") is False,
        cap_add=tuple(_capability(name) for name in capabilities.get("add") or ()),
        cap_drop=tuple(_capability(name) for name in capabilities.get("drop") or ()),
        tty=bool(container.get("tty")),
    )
