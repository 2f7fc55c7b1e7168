"""What has to happen to a pod's containers: a pure function of the pod, its containers and the time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from windlass.kube.local.node.names import JOINED, attempt_of, crashes_of
from windlass.kube.local.node.spec import init_containers, is_sidecar, main_containers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from windlass.engine.port import Container
    from windlass.kube.local.controllers.meta import Object

FIRST_BACKOFF, LONGEST_BACKOFF, FORGIVEN_AFTER = 10.0, 300.0, 600.0


@dataclass(frozen=True, slots=True)
class Start:
    """Start this attempt of a container. `joined` is the id of the container whose network it shares."""

    container: str
    attempt: int
    crashes: int
    joined: str = ""


@dataclass(frozen=True, slots=True)
class Kill:
    """End a running container, with its grace period; it is started again by the restart policy."""

    container: str
    id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Prune:
    """Remove an ended container that nobody asks for any more."""

    id: str


@dataclass(frozen=True, slots=True)
class Decision:
    """Actions, how long to wait before looking again (None: until something happens), and who is held back."""

    actions: tuple[Start | Kill | Prune, ...] = ()
    wait: float | None = None
    backing_off: Mapping[str, float] = field(default_factory=dict)
    initialized: bool = False


def latest(containers: Mapping[str, Sequence[Container]], name: str) -> Container | None:
    """Return the last attempt of a container."""
    attempts = containers.get(name)
    return attempts[-1] if attempts else None


def backoff(last: Container) -> float:
    """Seconds that must pass after the end of `last` before it is started again: 0, 10, 20 ... 300."""
    if last.finished_at - last.started_at >= FORGIVEN_AFTER:
        return 0.0
    crashes = crashes_of(last)
    return 0.0 if crashes == 0 else min(LONGEST_BACKOFF, FIRST_BACKOFF * 2 ** (crashes - 1))


def crashes_after(last: Container) -> int:
    """Return the count that the next attempt bears."""
    return 1 if last.finished_at - last.started_at >= FORGIVEN_AFTER else crashes_of(last) + 1


def restarts(policy: str, exit_code: int | None) -> bool:
    """Whether a container that ended with this code is started again."""
    return policy == "Always" or (policy == "OnFailure" and exit_code != 0)


def initialized(pod: Object, containers: Mapping[str, Sequence[Container]]) -> bool:
    """Whether all init containers have done their work. Once a main container ran, that is so."""
    if any(latest(containers, c["name"]) is not None for c in pod["spec"]["containers"]):
        return True
    for container in pod["spec"].get("initContainers") or ():
        last = latest(containers, container["name"])
        if last is None or last.state == "created":
            return False
        if not is_sidecar(container) and (last.state != "exited" or last.exit_code != 0):
            return False
    return True


def decide(
    pod: Object, containers: Mapping[str, Sequence[Container]], failed_probes: Mapping[str, str], now: float
) -> Decision:
    """Say what to do. `failed_probes` maps running containers that must be restarted to the reason."""
    plan = _Plan(pod, containers, failed_probes, now)
    plan.prune()
    done = initialized(pod, containers)
    if not done:
        plan.initialize()
    if done:
        plan.main()
    elif any(is_sidecar(c) for c in pod["spec"].get("initContainers") or ()):
        plan.sidecars()
    wait = min(plan.waits) if plan.waits else None
    return Decision(tuple(plan.actions), wait, plan.backing_off, done)


@dataclass(slots=True)
class _Plan:
    pod: Object
    containers: Mapping[str, Sequence[Container]]
    failed_probes: Mapping[str, str]
    now: float
    actions: list[Start | Kill | Prune] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    backing_off: dict[str, float] = field(default_factory=dict)

    @property
    def policy(self) -> str:
        return str(self.pod["spec"].get("restartPolicy") or "Always")

    def prune(self) -> None:
        """Keep the last attempt and the one before it, whose log `--previous` shows."""
        for attempts in self.containers.values():
            self.actions += [Prune(item.id) for item in attempts[:-2] if item.state != "running"]

    def initialize(self) -> None:
        """Start the first init container that is not through."""
        for container in init_containers(self.pod):
            last = latest(self.containers, container["name"])
            if last is not None and last.state == "exited" and last.exit_code == 0:
                continue
            if last is None or last.state != "running":
                self.one(container["name"], "OnFailure" if self.policy == "Always" else self.policy)
            return

    def sidecars(self) -> None:
        """Start sidecars that are due while the init containers run."""
        for container in main_containers(self.pod):
            if is_sidecar(container):
                self.one(container["name"], "Always")

    def main(self) -> None:
        """Keep all main containers running, the first one before the others, which share its network."""
        members = main_containers(self.pod)
        owner = members[0]["name"]
        holder = latest(self.containers, owner)
        self.one(owner, "Always" if is_sidecar(members[0]) else self.policy)
        if len(members) == 1 or holder is None or holder.state == "created":
            return
        for container in members[1:]:
            name = container["name"]
            last = latest(self.containers, name)
            if holder.state != "running":
                if last is not None and last.state == "running" and restarts(self.policy, holder.exit_code):
                    self.actions.append(
                        Kill(name, last.id, "the container that holds the pod's network ended")
                    )
                continue
            if last is not None and last.state == "running" and last.labels.get(JOINED) != holder.id:
                self.actions.append(
                    Kill(name, last.id, "the container that holds the pod's network was replaced")
                )
                continue
            self.one(name, "Always" if is_sidecar(container) else self.policy, holder.id)

    def one(self, name: str, policy: str, joined: str = "") -> None:
        """Keep one container as its restart policy says."""
        last = latest(self.containers, name)
        if last is None:
            self.actions.append(Start(name, 0, 0, joined))
        elif last.state == "created":  # we were interrupted between creating and starting it
            self.actions += [Prune(last.id), Start(name, attempt_of(last), crashes_of(last), joined)]
        elif last.state == "running":
            if name in self.failed_probes:
                self.actions.append(Kill(name, last.id, self.failed_probes[name]))
        elif restarts(policy, last.exit_code):
            left = last.finished_at + backoff(last) - self.now
            if left > 0:
                self.backing_off[name] = backoff(last)
                self.waits.append(left)
            else:
                self.actions.append(Start(name, attempt_of(last) + 1, crashes_after(last), joined))
