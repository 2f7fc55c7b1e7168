"""What a Deployment says about itself: counts and the conditions Available and Progressing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from windlass.kube.local.controllers.meta import (
    condition,
    name_of,
    seconds,
    stamp,
    status_of,
    with_condition,
    without,
)
from windlass.kube.local.controllers.scaling import counted, max_unavailable, replicas_of, wanted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from windlass.kube.local.controllers.meta import Object

NEVER = 2**31 - 1


def make(kind: str, status: str, reason: str, message: str, now: float) -> Object:
    """Make a Deployment condition with both its times."""
    at = stamp(now)
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastUpdateTime": at,
        "lastTransitionTime": at,
    }


def deadline(deployment: Object) -> int:
    """`progressDeadlineSeconds`, 600 where it is not said."""
    value = deployment["spec"].get("progressDeadlineSeconds")
    return 600 if value is None else int(value)


def _available(deployment: Object, available: int, now: float) -> Object:
    if available >= replicas_of(deployment) - max_unavailable(deployment):
        text = "Deployment has minimum availability."
        return make("Available", "True", "MinimumReplicasAvailable", text, now)
    text = "Deployment does not have minimum availability."
    return make("Available", "False", "MinimumReplicasUnavailable", text, now)


def counts(deployment: Object, new: Object | None, everyone: Sequence[Object], now: float) -> dict[str, Any]:
    """Status with its counts and the Available condition; the other conditions as they are."""
    newest = [new] if new is not None else []
    available = counted(everyone, "availableReplicas")
    old = status_of(deployment)
    conditions = list(old.get("conditions") or ())
    status = {
        "observedGeneration": deployment["metadata"].get("generation", 1),
        "replicas": counted(everyone, "replicas"),
        "updatedReplicas": counted(newest, "replicas"),
        "readyReplicas": counted(everyone, "readyReplicas"),
        "availableReplicas": available,
        "unavailableReplicas": max(0, wanted(everyone) - available),
        "collisionCount": old.get("collisionCount", 0),
    }
    kept = {key: value for key, value in status.items() if value or key == "observedGeneration"}
    return {**kept, "conditions": with_condition(conditions, _available(deployment, available, now))}


def is_complete(deployment: Object, status: dict[str, Any]) -> bool:
    """Whether all replicas are updated and available and no old ones are left."""
    desired = replicas_of(deployment)
    return all(
        status.get(key, 0) == desired for key in ("updatedReplicas", "replicas", "availableReplicas")
    ) and status["observedGeneration"] >= deployment["metadata"].get("generation", 1)


def _moved(deployment: Object, status: dict[str, Any]) -> bool:
    old = status_of(deployment)

    def before(key: str) -> int:
        return int(old.get(key, 0))

    def after(key: str) -> int:
        return int(status.get(key, 0))

    return (
        after("updatedReplicas") > before("updatedReplicas")
        or after("replicas") - after("updatedReplicas") < before("replicas") - before("updatedReplicas")
        or after("readyReplicas") > before("readyReplicas")
        or after("availableReplicas") > before("availableReplicas")
    )


def overdue(deployment: Object, now: float) -> float | None:
    """Seconds until the progress deadline (at most 0 = passed), None where nothing is awaited."""
    current = condition(deployment, "Progressing")
    if current is None or deadline(deployment) == NEVER or current["reason"] == "NewReplicaSetAvailable":
        return None
    if current["reason"] == "ProgressDeadlineExceeded":
        return 0.0
    since = seconds(current.get("lastUpdateTime")) or now
    return since + deadline(deployment) - now


def progress(deployment: Object, new: Object | None, status: dict[str, Any], now: float) -> list[Object]:
    """Return the conditions of `status` with Progressing brought up to date."""
    conditions: list[Object] = status["conditions"]
    if deadline(deployment) == NEVER:
        return without(conditions, "Progressing")
    current = condition(deployment, "Progressing")
    settled = current is not None and current["reason"] == "NewReplicaSetAvailable"
    if settled and status.get("replicas", 0) == status.get("updatedReplicas", 0):
        return conditions
    subject = f'ReplicaSet "{name_of(new)}"' if new is not None else f'Deployment "{name_of(deployment)}"'
    left = overdue(deployment, now)
    if is_complete(deployment, status):
        text = f"{subject} has successfully progressed."
        return with_condition(conditions, make("Progressing", "True", "NewReplicaSetAvailable", text, now))
    if _moved(deployment, status):
        fresh = make("Progressing", "True", "ReplicaSetUpdated", f"{subject} is progressing.", now)
        if current is not None and current["status"] == "True":
            fresh["lastTransitionTime"] = current.get("lastTransitionTime")
        return [*without(conditions, "Progressing"), fresh]
    if left is not None and left <= 0:
        text = f"{subject} has timed out progressing."
        return with_condition(conditions, make("Progressing", "False", "ProgressDeadlineExceeded", text, now))
    return conditions


def failures(conditions: list[Object], new: Object | None, everyone: Sequence[Object]) -> list[Object]:
    """Carry a ReplicaSet's ReplicaFailure up, the new one's first."""
    for replica_set in [*([new] if new is not None else []), *everyone]:
        found = condition(replica_set, "ReplicaFailure")
        if found is not None and found["status"] == "True":
            at = found.get("lastTransitionTime")
            return with_condition(conditions, {**found, "lastUpdateTime": at, "lastTransitionTime": at})
    return without(conditions, "ReplicaFailure")
