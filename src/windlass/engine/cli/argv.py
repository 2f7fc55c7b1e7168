"""Argument vectors for the engines' command lines: pure functions, what podman and docker share and where they part."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from windlass.engine.cli.limits import ulimits
from windlass.engine.cli.process import Command
from windlass.engine.port import Mount

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from windlass.engine.cli.limits import HostLimits
    from windlass.engine.port import ContainerSpec, Port

LOG_SIZE = "64m"
"""Where an engine starts a container's log afresh."""

OWN_VARIABLES = frozenset(
    (
        "PATH",
        "HOME",
        "USER",
        "TMPDIR",
        "XDG_RUNTIME_DIR",
        "XDG_CONFIG_HOME",
        "XDG_DATA_HOME",
        "LD_PRELOAD",
        "LD_LIBRARY_PATH",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "GODEBUG",
        "GOMAXPROCS",
        "GOGC",
        "GOMEMLIMIT",
        "GOTRACEBACK",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "NO_PROXY",
        "ALL_PROXY",
        "http_proxy",
        "https_proxy",
        "no_proxy",
        "all_proxy",
        "CONTAINERS_CONF",
        "CONTAINERS_CONF_OVERRIDE",
        "CONTAINERS_REGISTRIES_CONF",
        "CONTAINERS_STORAGE_CONF",
        "CONTAINER_HOST",
        "CONTAINER_CONNECTION",
        "CONTAINER_SSHKEY",
        "STORAGE_DRIVER",
        "STORAGE_OPTS",
        "REGISTRY_AUTH_FILE",
        "NETAVARK_FW",
        "BUILDAH_ISOLATION",
        "PODMAN_USERNS",
        "PODMAN_CONNECTIONS_CONF",
        "NOTIFY_SOCKET",
        "LISTEN_FDS",
        "LISTEN_PID",
        "DBUS_SESSION_BUS_ADDRESS",
        "DOCKER_HOST",
        "DOCKER_CONFIG",
        "DOCKER_CONTEXT",
        "DOCKER_CERT_PATH",
        "DOCKER_TLS",
        "DOCKER_TLS_VERIFY",
        "DOCKER_API_VERSION",
        "DOCKER_BUILDKIT",
        "DOCKER_DEFAULT_PLATFORM",
        "DOCKER_CONTENT_TRUST",
        "BUILDKIT_HOST",
        "BUILDKIT_PROGRESS",
        "BUILDX_CONFIG",
        "BUILDX_BUILDER",
    )
)
"""Variables that would change the engine's own client: only these appear in its argument vector."""
OWN_PREFIXES = (
    "LD_", "GLIBC_", "GCONV_", "MALLOC_", "CONTAINERS_", "_CONTAINERS_", "PODMAN_", "DOCKER_", "BUILDAH_", "BUILDKIT_",
    "XDG_", "NETAVARK_", "GO", "SSL_CERT_", "LOCPATH",
)  # fmt: skip
"""And all that begin so: a container's `LD_AUDIT` must not be one of the client, which runs on the host."""


@dataclass(frozen=True, slots=True)
class Tool:
    """An engine's command line on this machine: program, flags before any command, environment."""

    dialect: Literal["podman", "docker"]
    program: str
    limits: HostLimits
    flags: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)

    def command(self, *arguments: str, env: Mapping[str, str] | None = None) -> Command:
        """Make a whole command of arguments."""
        return Command((self.program, *self.flags, *arguments), {**self.env, **(env or {})})


def create(tool: Tool, spec: ContainerSpec, *, run: bool = False, limit: frozenset[str]) -> Command:
    """Create a container, or `run` it detached; `limit` holds the resource limits that can be enforced."""
    hidden, shown = split_env(spec.env)
    arguments = [
        *(("run", "--detach") if run else ("create",)),
        "--pull=never",
        "--no-healthcheck",  # podman's needs systemd; probes are run by who wants to know
        *_flag("--name", spec.name),
        *_logging(tool),
        *(part for key, value in sorted(spec.labels.items()) for part in ("--label", f"{key}={value}")),
        *(part for part in env_flags(hidden, shown)),
        *_network(tool, spec),
        *_resources(tool, spec, limit),
        *_security(spec),
        *(part for mount in spec.mounts for part in ("--mount", mount_option(mount))),
        *_process(spec),
    ]
    if tool.dialect == "podman":
        arguments.append("--http-proxy=false")  # as docker: what a container needs it is given in `env`
    entry = spec.entrypoint or ()
    if entry:
        arguments += ["--entrypoint", entry[0]]
    return tool.command(*arguments, "--", spec.image, *entry[1:], *(spec.command or ()), env=hidden)


def split_env(env: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Part variables into those handed through the client's environment and those its argument vector must show."""
    shown = {
        name: value for name, value in env.items() if name in OWN_VARIABLES or name.startswith(OWN_PREFIXES)
    }
    return {name: value for name, value in env.items() if name not in shown}, shown


def env_flags(hidden: Mapping[str, str], shown: Mapping[str, str]) -> list[str]:
    """Spell the flags: a bare name takes the value from the client's environment."""
    named = [("--env", name) for name in sorted(hidden)]
    return [
        part for pair in [*named, *(("--env", f"{k}={v}") for k, v in sorted(shown.items()))] for part in pair
    ]


def mount_option(mount: Mount) -> str:
    """Spell a mount as the CSV that both engines read, so that commas and colons in paths are safe."""
    fields = [f"type={mount.kind}"]
    if mount.kind != "tmpfs":
        fields.append(f"source={mount.source}")
    fields.append(f"target={mount.target}")
    if mount.read_only:
        fields.append("readonly")
    if mount.kind == "tmpfs" and mount.size:
        fields.append(f"tmpfs-size={mount.size}")
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(fields)
    return line.getvalue()


def publish_option(port: Port) -> str:
    """Spell a published port; an empty host port lets the engine choose."""
    address = f"[{port.address}]" if ":" in port.address else port.address
    return f"{address}:{port.host or ''}:{port.container}/{port.protocol}"


def execute(
    tool: Tool,
    container: str,
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    stdin: bool,
    user: str,
    workdir: str,
    tty: bool = False,
) -> Command:
    """Run a command in a container."""
    hidden, shown = split_env(env)
    return tool.command(
        "exec",
        *(("--interactive",) if stdin else ()),
        *(("--tty",) if tty else ()),
        *env_flags(hidden, shown),
        *_flag("--user", user),
        *_flag("--workdir", workdir),
        container,
        *argv,
        env=hidden,
    )


def pull(tool: Tool, image: str, *, auth_file: Path | None, tls_verify: bool) -> Command:
    """Fetch an image; docker knows loopback registries as insecure by itself."""
    return tool.command(
        "pull",
        "--quiet",
        *_registry(tool, auth_file, tls_verify=tls_verify),
        image,
        env=_auth_env(tool, auth_file),
    )


def push(
    tool: Tool, image: str, destination: str, *, auth_file: Path | None, tls_verify: bool, digest_file: Path
) -> Command:
    """Send an image; docker wants it tagged as `destination` before, and prints the digest instead of writing it."""
    registry = _registry(tool, auth_file, tls_verify=tls_verify)
    if tool.dialect == "podman":
        return tool.command(
            "push", *registry, "--digestfile", str(digest_file), image, f"docker://{destination}"
        )
    return tool.command("push", destination, env=_auth_env(tool, auth_file))


def logs(
    tool: Tool, container: str, *, follow: bool, tail: int | None, since: str, timestamps: bool
) -> Command:
    """Read a container's output."""
    return tool.command(
        "logs",
        *(("--follow",) if follow else ()),
        *(() if tail is None else ("--tail", str(tail))),
        *_flag("--since", since),
        *(("--timestamps",) if timestamps else ()),
        container,
    )


def listing(tool: Tool, labels: Mapping[str, str]) -> Command:
    """List the ids of containers, ended ones too, by labels."""
    return tool.command("ps", "--all", "--quiet", "--no-trunc", *label_filters(labels))


def label_filters(labels: Mapping[str, str]) -> list[str]:
    """Spell label filters; an empty value matches any."""
    return [
        part
        for key, value in sorted(labels.items())
        for part in ("--filter", f"label={key}={value}" if value else f"label={key}")
    ]


def events(tool: Tool, labels: Mapping[str, str], *, since: str) -> Command:
    """Follow what happens to containers with these labels, from a moment on."""
    shape = "json" if tool.dialect == "podman" else "{{json .}}"
    filters = ("--filter", "type=container", *label_filters(labels))
    return tool.command("events", "--since", since, "--format", shape, *filters)


def stop(tool: Tool, container: str, grace: float) -> Command:
    """Ask the process to end; whole seconds, rounded up."""
    return tool.command("stop", "-t", str(math.ceil(grace)), container)


def remove(tool: Tool, container: str) -> Command:
    """Remove a container at once, with its anonymous volumes."""
    now = ("--ignore", "-t", "0") if tool.dialect == "podman" else ()
    return tool.command("rm", "--force", "--volumes", *now, container)


def network_create(tool: Tool, name: str, labels: Mapping[str, str], *, dns: bool) -> Command:
    """Make a bridge network; docker's always resolves aliases."""
    quiet = ("--disable-dns",) if tool.dialect == "podman" and not dns else ()
    marks = [part for key, value in sorted(labels.items()) for part in ("--label", f"{key}={value}")]
    return tool.command("network", "create", *quiet, *marks, name)


def network_listing(tool: Tool, labels: Mapping[str, str]) -> Command:
    """List the names of networks by labels."""
    return tool.command("network", "ls", "--format", "{{.Name}}", *label_filters(labels))


def import_image(tool: Tool, tar: Path, name: str, changes: Sequence[str]) -> Command:
    """Make an image of a root file system."""
    return tool.command("import", *(part for line in changes for part in ("--change", line)), str(tar), name)


def _flag(name: str, value: str) -> tuple[str, ...]:
    return (name, value) if value else ()


def _logging(tool: Tool) -> tuple[str, ...]:
    if tool.dialect == "podman":
        return ("--log-driver", "k8s-file", "--log-opt", f"max-size={LOG_SIZE}b")
    return ("--log-driver", "json-file", "--log-opt", f"max-size={LOG_SIZE}")


def _network(tool: Tool, spec: ContainerSpec) -> list[str]:
    arguments = [*_flag("--network", spec.network), *_flag("--hostname", spec.hostname)]
    if spec.network not in {"host", "none"}:
        arguments += [part for alias in spec.aliases for part in ("--network-alias", alias)]
        arguments += [part for port in spec.ports for part in ("--publish", publish_option(port))]
    if spec.hosts_file:
        if tool.dialect == "podman":
            arguments.append("--no-hosts")
        arguments += ["--mount", mount_option(Mount(spec.hosts_file, "/etc/hosts", read_only=True))]
    else:
        arguments += [part for name, address in spec.hosts for part in ("--add-host", f"{name}:{address}")]
    return arguments


def _resources(tool: Tool, spec: ContainerSpec, limit: frozenset[str]) -> list[str]:
    arguments: list[str] = []
    if spec.memory and "memory" in limit:
        arguments += ["--memory", str(spec.memory)]
        if "swap" in limit:
            arguments += ["--memory-swap", str(spec.memory)]  # a limit that swap does not soften
    if spec.cpus and "cpus" in limit:
        arguments += ["--cpus", f"{spec.cpus:g}"]
    if spec.pids and "pids" in limit:
        arguments += ["--pids-limit", str(spec.pids)]
    for name, soft, hard in ulimits(spec.ulimits, tool.limits):
        arguments += ["--ulimit", f"{name}={soft}:{hard}"]
    return arguments


def _security(spec: ContainerSpec) -> list[str]:
    arguments = ["--read-only"] if spec.read_only else []
    if spec.privileged:
        return [*arguments, "--privileged"]
    arguments += [part for name in spec.cap_drop for part in ("--cap-drop", name)]
    arguments += [part for name in spec.cap_add for part in ("--cap-add", name)]
    if spec.no_new_privileges:
        arguments += ["--security-opt", "no-new-privileges"]
    return arguments


def _process(spec: ContainerSpec) -> list[str]:
    return [
        *_flag("--user", spec.user),
        *_flag("--workdir", spec.workdir),
        *_flag("--stop-signal", spec.stop_signal),
        *(("--init",) if spec.init else ()),
        *(("--tty",) if spec.tty else ()),
    ]


def _registry(tool: Tool, auth_file: Path | None, *, tls_verify: bool) -> tuple[str, ...]:
    if tool.dialect == "docker":
        return ()
    return (*_flag("--authfile", str(auth_file or "")), f"--tls-verify={str(tls_verify).lower()}")


def _auth_env(tool: Tool, auth_file: Path | None) -> dict[str, str]:
    """Docker reads DIRECTORY/config.json: the caller gives a file of that name."""
    return {"DOCKER_CONFIG": str(auth_file.parent)} if tool.dialect == "docker" and auth_file else {}
