"""The ReplicaSet controller's decisions: how many pods, which go first, and what it says about them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from windlass.kube.local.controllers.effects import (
    EVENT_NORMAL,
    Create,
    Delete,
    Patch,
    Report,
    Requeue,
    SetStatus,
)
from windlass.kube.local.controllers.meta import (
    annotations_of,
    available_in,
    controlled_by,
    controller_of,
    created,
    deleting,
    is_active,
    is_ready,
    labels_of,
    name_of,
    namespace_of,
    owner_reference,
    ready_since,
    seconds,
    selects,
    status_of,
    uid_of,
)
from windlass.kube.local.controllers.scaling import replicas_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from windlass.kube.local.controllers.effects import Effect
    from windlass.kube.local.controllers.meta import Object

REPLICA_SETS = "replicasets.apps"
BURST = 500
DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
PHASES = {"Pending": 0, "Unknown": 1, "Running": 2}


def decide(replica_set: Object, pods: Sequence[Object], now: float) -> list[Effect]:
    """Say what is to be done about a ReplicaSet; `pods` are those of its namespace."""
    effects: list[Effect] = []
    claimed = _claim(replica_set, pods, effects)
    active = [pod for pod in claimed if is_active(pod)]
    if not deleting(replica_set):
        steps, active = _size(replica_set, active, now)
        effects += steps
    return effects + _status(replica_set, active, now)


def _claim(replica_set: Object, pods: Sequence[Object], effects: list[Effect]) -> list[Object]:
    """Return own pods that match; adopt matching orphans, let go of own ones that match no more."""
    claimed = []
    for pod in pods:
        matches = selects(replica_set["spec"].get("selector"), labels_of(pod))
        references = pod["metadata"].get("ownerReferences") or []
        if controlled_by(pod, replica_set):
            if matches:
                claimed.append(pod)
            elif not deleting(replica_set):
                kept = [item for item in references if item["uid"] != uid_of(replica_set)]
                effects.append(Patch("pods", pod, {"metadata": {"ownerReferences": kept or None}}))
        elif matches and controller_of(pod) is None and not deleting(replica_set) and is_active(pod):
            adopted = [*references, owner_reference(replica_set)]
            effects.append(Patch("pods", pod, {"metadata": {"ownerReferences": adopted}}))
            claimed.append(pod)
    return claimed


def _size(replica_set: Object, active: list[Object], now: float) -> tuple[list[Effect], list[Object]]:
    """Return what to create or delete, and the pods that are left: only those count as available."""
    difference = replicas_of(replica_set) - len(active)
    if difference > 0:
        pod = new_pod(replica_set)
        return [Create("pods", pod, reporter=replica_set) for _ in range(min(difference, BURST))], active
    effects: list[Effect] = []
    ranked = sorted(active, key=lambda pod: deletion_rank(pod, now))
    leaving, staying = ranked[: min(-difference, BURST)], ranked[min(-difference, BURST) :]
    for pod in leaving:
        text = f"Deleted pod: {name_of(pod)}"
        effects += [Delete("pods", pod), Report(replica_set, EVENT_NORMAL, "SuccessfulDelete", text)]
    return effects, staying


def new_pod(replica_set: Object) -> Object:
    """Return a pod of the ReplicaSet's template; the API completes its name."""
    template = replica_set["spec"]["template"]
    metadata = template.get("metadata") or {}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": f"{name_of(replica_set)}-",
            "namespace": namespace_of(replica_set),
            "labels": dict(metadata.get("labels") or {}),
            "annotations": dict(metadata.get("annotations") or {}),
            "ownerReferences": [owner_reference(replica_set)],
        },
        "spec": template["spec"],
    }


def _cost(pod: Object) -> int:
    try:
        return int(annotations_of(pod).get(DELETION_COST, "0"))
    except ValueError:
        return 0


def deletion_rank(pod: Object, now: float) -> tuple[Any, ...]:
    """Order in which pods are deleted, as Kubernetes' `ActivePodsWithRanks` on one node.

    Unassigned, pending, not ready, cheap, ready for a shorter time (by powers of two), more restarts, newer.
    """
    since = ready_since(pod)
    restarts = max(
        (item.get("restartCount", 0) for item in status_of(pod).get("containerStatuses") or ()), default=0
    )
    born = seconds(created(pod)) or 0.0
    return (
        bool(pod["spec"].get("nodeName")),
        PHASES.get(status_of(pod).get("phase", "Pending"), 1),
        is_ready(pod),
        _cost(pod),
        0 if since is None else int(math.log2(max(1.0, now - since + 1))) + 1,
        -restarts,
        -born,
        name_of(pod),
    )


def _status(replica_set: Object, active: Sequence[Object], now: float) -> list[Effect]:
    minimum = replica_set["spec"].get("minReadySeconds") or 0
    waits = [wait for pod in active if (wait := available_in(pod, minimum, now)) is not None]
    template_labels = (replica_set["spec"]["template"].get("metadata") or {}).get("labels") or {}
    labelled = [pod for pod in active if template_labels.items() <= labels_of(pod).items()]
    status: dict[str, Any] = {
        "replicas": len(active),
        "fullyLabeledReplicas": len(labelled),
        "readyReplicas": len(waits),
        "availableReplicas": sum(1 for wait in waits if wait <= 0),
        "observedGeneration": replica_set["metadata"].get("generation", 1),
    }
    shown = {
        key: value for key, value in status.items() if value or key in {"replicas", "observedGeneration"}
    }
    conditions = status_of(replica_set).get("conditions")
    if conditions:  # ReplicaFailure is set and taken away by who performs creations
        shown["conditions"] = conditions
    effects: list[Effect] = []
    if shown != status_of(replica_set):
        effects.append(SetStatus(REPLICA_SETS, replica_set, shown))
    pending = [wait for wait in waits if wait > 0]
    return [*effects, Requeue(min(pending) + 0.05)] if pending else effects
