"""The arithmetic of a rolling update, as Kubernetes does it (pkg/controller/deployment/util)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from windlass.kube.local.controllers.meta import annotations_of, created, name_of, scaled, status_of, total

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from windlass.kube.local.controllers.meta import Object

DESIRED = "deployment.kubernetes.io/desired-replicas"
MAXIMUM = "deployment.kubernetes.io/max-replicas"


def replicas_of(obj: Object) -> int:
    """`spec.replicas`, 1 where it is not said."""
    value = obj["spec"].get("replicas")
    return 1 if value is None else int(value)


def wanted(objects: Iterable[Object]) -> int:
    """Sum of `spec.replicas`."""
    return total(replicas_of(obj) for obj in objects)


def counted(objects: Iterable[Object], field: str) -> int:
    """Sum of one field of `status`."""
    return total(status_of(obj).get(field) for obj in objects)


def is_rolling(deployment: Object) -> bool:
    """Whether the strategy is RollingUpdate, which is the default."""
    kind: str = (deployment["spec"].get("strategy") or {}).get("type", "RollingUpdate")
    return kind == "RollingUpdate"


def _rolling(deployment: Object) -> dict[str, Any]:
    return (deployment["spec"].get("strategy") or {}).get("rollingUpdate") or {}


def fenceposts(surge: int | str, unavailable: int | str, desired: int) -> tuple[int, int]:
    """Resolve both to numbers, rounding surge up and unavailable down; where both are 0 one may be unavailable."""
    up, down = scaled(surge, desired, up=True), scaled(unavailable, desired, up=False)
    return (up, 1) if up == 0 and down == 0 else (up, down)


def max_surge(deployment: Object) -> int:
    """How many pods may exist beyond `spec.replicas`."""
    if not is_rolling(deployment):
        return 0
    rolling = _rolling(deployment)
    return fenceposts(
        rolling.get("maxSurge", "25%"), rolling.get("maxUnavailable", "25%"), replicas_of(deployment)
    )[0]


def max_unavailable(deployment: Object) -> int:
    """How many of `spec.replicas` may be unavailable."""
    desired = replicas_of(deployment)
    if not is_rolling(deployment) or desired == 0:
        return 0
    rolling = _rolling(deployment)
    _, down = fenceposts(rolling.get("maxSurge", "25%"), rolling.get("maxUnavailable", "25%"), desired)
    return min(down, desired)


def new_replicas(deployment: Object, everyone: Iterable[Object], present: int) -> int:
    """To how many replicas the new ReplicaSet, `present` now, may grow."""
    desired = replicas_of(deployment)
    if not is_rolling(deployment):
        return desired
    rolling = _rolling(deployment)
    room = desired + scaled(rolling.get("maxSurge", "25%"), desired, up=True) - wanted(everyone)
    return present if room <= 0 else present + min(room, desired - present)


def down_old(deployment: Object, new: Object, old: Sequence[Object]) -> dict[str, int]:
    """To how many replicas old ReplicaSets are to shrink now, by name; those that stay are not named.

    Unhealthy replicas go first, bounded by what the new one's unavailable pods leave over; then healthy
    ones, bounded by availability.
    """
    if wanted(old) == 0:
        return {}
    minimum = replicas_of(deployment) - max_unavailable(deployment)
    new_unavailable = replicas_of(new) - counted([new], "availableReplicas")
    room = wanted([*old, new]) - minimum - new_unavailable
    if room <= 0:
        return {}
    oldest_first = sorted(old, key=lambda rs: (created(rs), name_of(rs)))
    sizes = {name_of(rs): replicas_of(rs) for rs in oldest_first}
    for rs in oldest_first:
        unhealthy = max(0, sizes[name_of(rs)] - counted([rs], "availableReplicas"))
        taken = min(room, unhealthy)
        sizes[name_of(rs)] -= taken
        room -= taken
    spare = counted([*old, new], "availableReplicas") - minimum
    for rs in oldest_first:
        taken = max(0, min(spare, sizes[name_of(rs)]))
        sizes[name_of(rs)] -= taken
        spare -= taken
    return {name_of(rs): sizes[name_of(rs)] for rs in old if sizes[name_of(rs)] != replicas_of(rs)}


def is_saturated(deployment: Object, replica_set: Object | None) -> bool:
    """Whether the ReplicaSet alone carries the whole Deployment."""
    if replica_set is None:
        return False
    desired = replicas_of(deployment)
    noted = annotations_of(replica_set).get(DESIRED)
    return (
        noted == str(desired)
        and replicas_of(replica_set) == desired
        and status_of(replica_set).get("availableReplicas", 0) == desired
    )


@dataclass(frozen=True, slots=True)
class _Share:
    """One ReplicaSet's part in a proportional scaling."""

    name: str
    size: int
    created: str
    ideal: int


def _share(deployment: Object, replica_set: Object) -> _Share:
    size = replicas_of(replica_set)
    before = int(annotations_of(replica_set).get(MAXIMUM, "0")) or status_of(deployment).get("replicas", 0)
    if replicas_of(deployment) == 0:
        ideal = -size
    elif not before:
        ideal = 0
    else:
        now = replicas_of(deployment) + max_surge(deployment)
        ideal = int(size * now / before + 0.5) - size
    return _Share(name_of(replica_set), size, created(replica_set), ideal)


def proportional(deployment: Object, active: Sequence[Object]) -> dict[str, int]:
    """Sizes of all active ReplicaSets when a Deployment is scaled in the middle of a rolling update."""
    desired = replicas_of(deployment)
    add = (desired + max_surge(deployment) if desired > 0 else 0) - wanted(active)
    shares = sorted(
        (_share(deployment, rs) for rs in active), key=lambda share: share.created, reverse=add > 0
    )
    shares.sort(key=lambda share: share.size, reverse=True)
    sizes: dict[str, int] = {}
    added = 0
    for share in shares:
        allowed = add - added
        part = min(share.ideal, allowed) if add > 0 else max(share.ideal, allowed)
        if share.size == 0 or allowed == 0:
            part = 0
        sizes[share.name] = share.size + part
        added += part
    if shares and add != added:
        sizes[shares[0].name] = max(0, sizes[shares[0].name] + add - added)
    return sizes
