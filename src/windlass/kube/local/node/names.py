"""Names and labels of containers, from which everything is found again after a restart."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from windlass.kube.local.controllers.meta import name_of, namespace_of, uid_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from windlass.engine.port import Container
    from windlass.kube.local.controllers.meta import Object

INSTANCE = "windlass.dev/instance"
POD_UID = "windlass.dev/pod-uid"
NAMESPACE = "windlass.dev/namespace"
POD = "windlass.dev/pod"
CONTAINER = "windlass.dev/container"
ATTEMPT = "windlass.dev/attempt"
CRASHES = "windlass.dev/crashes"
JOINED = "windlass.dev/joined"
IMAGE = "windlass.dev/image"


def container_name(instance: str, pod: Object, container: str, attempt: int) -> str:
    """Name an attempt: the same for the same attempt, so that starting it twice is refused by the engine."""
    return f"wl-{instance}-{name_of(pod)[:60]}-{container[:60]}-{uid_of(pod)[:13]}-{attempt}"


def labels(  # noqa: PLR0917 all of it is the identity
    instance: str, pod: Object, container: str, attempt: int, crashes: int, joined: str
) -> dict[str, str]:
    """Make the labels of a container."""
    return {
        INSTANCE: instance,
        POD_UID: uid_of(pod),
        NAMESPACE: namespace_of(pod),
        POD: name_of(pod),
        CONTAINER: container,
        ATTEMPT: str(attempt),
        CRASHES: str(crashes),
        JOINED: joined,
    }


def attempt_of(container: Container) -> int:
    """Which start of its pod's container this is, from 0."""
    text = container.labels.get(ATTEMPT, "0")
    return int(text) if text.isdigit() else 0


def crashes_of(container: Container) -> int:
    """How many times in a row it had ended before."""
    text = container.labels.get(CRASHES, "0")
    return int(text) if text.isdigit() else 0


def by_container(containers: Iterable[Container]) -> dict[str, list[Container]]:
    """Group a pod's containers by their name in the pod, oldest attempt first."""
    groups: dict[str, list[Container]] = defaultdict(list)
    for container in sorted(containers, key=attempt_of):
        groups[container.labels.get(CONTAINER, "")].append(container)
    return dict(groups)


def removal_order(containers: Iterable[Container]) -> list[Container]:
    """Order so that containers which share another's network go before it: engines insist on that."""
    return sorted(containers, key=lambda container: not container.labels.get(JOINED))
