"""The container engine as the rest of the house sees it: one protocol, and the records that cross it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    import builtins
    from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
    from pathlib import Path

State = Literal["created", "running", "exited"]
Stream = Literal["stdout", "stderr"]
EventKind = Literal["resync", "created", "started", "exited", "removed", "oom"]


@dataclass(frozen=True, slots=True)
class Port:
    """A port of the container, published at `address`:`host`; `host` 0 lets the engine pick a free one."""

    container: int
    host: int = 0
    protocol: Literal["tcp", "udp"] = "tcp"
    address: str = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Mount:
    """`source` seen at `target`: a path (`bind`), a named volume (`volume`) or memory (`tmpfs`, no source).

    `size` limits a tmpfs, in bytes (0: the engine's own limit).
    """

    source: str
    target: str
    kind: Literal["bind", "volume", "tmpfs"] = "bind"
    read_only: bool = False
    size: int = 0


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """What a container shall be.

    `entrypoint` and `command` None keep the image's; an `entrypoint` of one's own also drops the image's
    command, as Kubernetes does. `memory` in bytes, `cpus` in cores, 0 for no limit; a limit that the machine
    cannot enforce (`EngineInfo.can_limit`) is left out with a warning in the log. Capabilities are named
    without `CAP_`. `ulimits` are (name, soft, hard); nofile and nproc are always set within this machine's.
    `network` is a name, "host", "none" or "" for the engine's default; `hosts_file` is mounted as /etc/hosts.
    Values of `env` are not visible in the process list.
    """

    name: str
    image: str
    entrypoint: tuple[str, ...] | None = None
    command: tuple[str, ...] | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    ports: tuple[Port, ...] = ()
    mounts: tuple[Mount, ...] = ()
    network: str = ""
    aliases: tuple[str, ...] = ()
    hostname: str = ""
    hosts: tuple[tuple[str, str], ...] = ()
    """Extra (name, address) lines of /etc/hosts; not together with `hosts_file`."""
    hosts_file: str = ""
    memory: int = 0
    cpus: float = 0.0
    pids: int = 0
    user: str = ""
    workdir: str = ""
    read_only: bool = False
    privileged: bool = False
    no_new_privileges: bool = True
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    ulimits: tuple[tuple[str, int, int], ...] = ()
    init: bool = False
    """A small init as process 1, which reaps orphans."""
    tty: bool = False
    stop_signal: str = ""
    """For images whose process wants another signal than SIGTERM, such as SIGQUIT."""


@dataclass(frozen=True, slots=True)
class Container:
    """A container as it now is. Times are seconds since the epoch, 0.0 for "not yet".

    `ports` maps container port to the host's port on 127.0.0.1 (tcp), known once it was started; it may change
    with each start. `addresses` maps network to address. `exit_code` None until it has ended. `oom` is what
    the engine reports: False on some machines even after an out-of-memory kill, whose exit code is 137.
    """

    id: str
    name: str
    state: State
    image: str
    image_digest: str
    exit_code: int | None
    started_at: float
    finished_at: float
    created_at: float
    labels: Mapping[str, str]
    ports: Mapping[int, int]
    addresses: Mapping[str, str]
    pid: int = 0
    oom: bool = False
    error: str = ""


@dataclass(frozen=True, slots=True)
class ContainerEvent:
    """Something happened to a container, or `resync`: events may have been missed, so list again."""

    kind: EventKind
    id: str = ""
    name: str = ""
    at: float = 0.0
    exit_code: int | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """An image that the engine has. `digest` is the manifest's ("sha256:…"), "" where the engine knows none.

    `exposed` are tcp ports, `size` is in bytes, `layers` the digests of the unpacked layers, lowest first.
    """

    id: str
    digest: str
    tags: tuple[str, ...]
    env: Mapping[str, str]
    entrypoint: tuple[str, ...]
    command: tuple[str, ...]
    user: str
    workdir: str
    exposed: tuple[int, ...]
    labels: Mapping[str, str]
    size: int
    created_at: float
    architecture: str
    layers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Network:
    """A bridge network; `gateway` is the host's address as its containers see it."""

    name: str
    gateway: str
    subnet: str
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ExecResult:
    """How a command inside a container ended; output beyond `LIMIT` bytes each is cut at the front."""

    exit_code: int
    stdout: bytes
    stderr: bytes


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What the engine says about itself. `can_limit` holds the limits it can enforce: "memory", "cpus", "pids"."""

    name: Literal["podman", "docker", "fake"]
    version: str
    rootless: bool
    cgroup_version: int
    cgroup_manager: str
    can_limit: frozenset[str]
    storage_driver: str
    root: str
    endpoint: str
    architecture: str
    runtime: str = ""
    """Path of the OCI runtime, "" where the engine does not tell."""


class Engine(Protocol):
    """A container engine: podman, docker, or the scripted fake. Every driver passes `tests/engine/test_contract.py`.

    **Lifecycle.** A container goes created → running → exited, may be started again, and is gone after
    `remove`. Containers belong to the engine, not to this process: they outlive it, and a successor finds them
    by their labels with `list` and adopts them. Nothing restarts a container by itself. A driver holds no state
    that matters; `aclose` ends what it runs on its own behalf and touches no container.

    **Concurrency.** All methods may be called at once from any task of one event loop; the driver limits how
    many engine processes run, and long ones (`wait`, `logs` with follow, `events`, `exec`) do not count. Two
    calls about one container are not ordered by the driver. Cancelling a call ends its process; what the engine
    had already begun may still happen, so look (`inspect`) before concluding. A cancelled `exec` ends the
    client: the process inside the container is ended with the container.

    **Clean-up is idempotent.** `stop`, `kill`, `remove`, `network_remove`, `image_remove` of something that has
    ended or is gone succeed. `network_ensure` of an existing network returns it. `create` with a taken name
    raises `NameInUseError`, so that names derived from uids make creation safe to repeat.

    **Errors.** Everything raised is an `EngineError` that says what was attempted, what the engine answered and
    what helps. A container may be named by its id or its name throughout.
    """

    @property
    def name(self) -> str:
        """The driver: "podman", "docker" or "fake"."""

    async def info(self) -> EngineInfo:
        """Version and facts of the engine; raises `EngineUnavailableError` where it does not answer."""

    async def pull(
        self, image: str, *, auth_file: Path | None = None, tls_verify: bool = True, timeout: float = 600
    ) -> ImageInfo:
        """Fetch an image from its registry; where its digest is given and it is there, nothing is fetched.

        `auth_file` is in the format of docker's config.json. Raises `ImageNotFoundError`, `ImageAccessError`,
        `RegistryUnreachableError`.
        """

    async def push(
        self,
        image: str,
        destination: str,
        *,
        auth_file: Path | None = None,
        tls_verify: bool = True,
        on_line: Callable[[str], None] | None = None,
        timeout: float = 600,
    ) -> str:
        """Send a local image to a registry under the name `destination`; returns the digest of what is there."""

    async def image(self, image: str) -> ImageInfo | None:
        """Look up a local image by name or id, None when it is not there; never asks a registry."""

    async def tag(self, image: str, name: str) -> None:
        """Give a local image another name; raises `ImageNotFoundError`."""

    async def image_remove(self, image: str) -> None:
        """Take the name from a local image, and drop the image with its last name."""

    async def import_image(self, tar: Path, name: str, changes: Sequence[str] = ()) -> str:
        """Make an image of one layer from a root file system; `changes` are Dockerfile lines. Returns its id."""

    async def create(self, spec: ContainerSpec) -> str:
        """Create a container from a *local* image and return its id; never pulls (`ImageNotFoundError`)."""

    async def start(self, container: str) -> None:
        """Start a created or exited container; a running one stays as it is. Raises `StartError`."""

    async def run(self, spec: ContainerSpec) -> str:
        """Create and start in one go (faster than the two); a container that cannot start is removed again."""

    async def stop(self, container: str, grace: float = 10) -> None:
        """Ask the process to end, and kill it after `grace` seconds; returns when it has ended."""

    async def kill(self, container: str, signal: str = "KILL") -> None:
        """Send a signal; KILL returns when the container has ended."""

    async def remove(self, container: str) -> None:
        """Remove the container with its anonymous volumes, running or not."""

    async def wait(self, container: str) -> int:
        """Wait until the container has ended and return its exit code."""

    async def inspect(self, container: str) -> Container | None:
        """Look at a container as it now is, None when there is none."""

    async def list(self, labels: Mapping[str, str]) -> list[Container]:
        """All containers, ended ones too, that bear all these labels (value "" matches any value)."""

    def events(self, labels: Mapping[str, str]) -> AsyncGenerator[ContainerEvent, None]:
        """Tell what happens to containers with these labels, for ever, over restarts of the engine.

        The first event is `resync`, given when the stream is live, and again after each interruption: list then.
        Close it with `contextlib.aclosing`.
        """

    def logs(
        self,
        container: str,
        *,
        follow: bool = False,
        tail: int | None = None,
        since: float = 0.0,
        timestamps: bool = False,
        streams: Sequence[Stream] = ("stdout", "stderr"),
    ) -> AsyncGenerator[bytes, None]:
        """Read the container's output, line by line with the line's end, in the order it was written.

        `since` in seconds since the epoch; `timestamps` put RFC 3339 and a space before each line. `follow`
        goes on until the container has ended. Close it with `contextlib.aclosing`.
        """

    async def exec(
        self,
        container: str,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
        user: str = "",
        workdir: str = "",
        timeout: float | None = None,
        on_output: Callable[[Stream, bytes], None] | None = None,
    ) -> ExecResult:
        """Run a command in a running container. With `on_output` chunks go there and the result's are empty.

        After `timeout` seconds `EngineTimeoutError`. A command that is not there is exit code 127 or 126.
        """

    async def network_ensure(
        self, name: str, labels: Mapping[str, str] | None = None, *, dns: bool = False
    ) -> Network:
        """Make sure of a bridge network; `dns` lets its containers find each other's aliases."""

    async def networks(self, labels: Mapping[str, str]) -> builtins.list[Network]:
        """All networks that bear all these labels (value "" matches any value)."""

    async def network_remove(self, name: str) -> None:
        """Remove a network; containers still in it are disconnected, and removed where the engine demands it."""

    async def aclose(self) -> None:
        """End what the driver runs on its own behalf; containers go on."""
