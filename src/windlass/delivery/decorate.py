"""What is added to rendered objects on their way into the cluster. Pure.

A Deployment that a Service selects is *gated*: its pods carry a readiness gate, so that they get traffic only
when they are told to, and while a cut-over is pending `minReadySeconds` keeps the old pods warm.
"""

from __future__ import annotations

import copy
import hashlib
import json
from typing import TYPE_CHECKING, Any

from windlass.delivery import marks
from windlass.manifests import dig, identify, pod_template, template_hash

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from windlass.manifests import Object

PENDING_MIN_READY = 3600
PENDING_DEADLINE = 7200
DEFAULT_DEADLINE = 600


def services_of(item: Object, objects: Iterable[Object]) -> list[Object]:
    """Return the Services among `objects` that select the workload's pods."""
    labels = dig(pod_template(item) or {}, "metadata", "labels") or {}
    space = identify(item).namespace
    found = []
    for other in objects:
        if other.get("kind") == "Service" and identify(other).namespace == space:
            selector = dig(other, "spec", "selector") or {}
            if selector and all(labels.get(key) == value for key, value in selector.items()):
                found.append(other)
    return found


def is_gated(item: Object, objects: Iterable[Object]) -> bool:
    """Whether traffic to the workload is cut over by us: a rolling Deployment with a Service."""
    if identify(item).kind != "Deployment" or identify(item).group != "apps":
        return False
    if dig(item, "spec", "strategy", "type") == "Recreate" or dig(item, "spec", "paused"):
        return False
    return bool(services_of(item, objects))


def replicas(item: Object) -> int:
    """Return how many pods are wanted."""
    value = dig(item, "spec", "replicas")
    return value if isinstance(value, int) else 1


def deadline(item: Object) -> float:
    """Return the manifest's own progress deadline, in seconds."""
    value = dig(item, "spec", "progressDeadlineSeconds")
    return float(value) if isinstance(value, int) else DEFAULT_DEADLINE


def _gate(item: Object, *, pending: bool) -> None:
    spec = item["spec"]
    pod = spec["template"]["spec"]
    gates = [gate for gate in pod.get("readinessGates") or [] if gate.get("conditionType") != marks.TRAFFIC]
    pod["readinessGates"] = [*gates, {"conditionType": marks.TRAFFIC}]
    own = {marks.MIN_READY: spec.get("minReadySeconds", 0), marks.DEADLINE: int(deadline(item))}
    _annotate(item["metadata"], {key: str(value) for key, value in own.items()})
    spec["strategy"] = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "100%", "maxUnavailable": 0}}
    spec["minReadySeconds"] = PENDING_MIN_READY if pending else own[marks.MIN_READY]
    spec["progressDeadlineSeconds"] = PENDING_DEADLINE if pending else own[marks.DEADLINE]


def _annotate(metadata: dict[str, Any], pairs: dict[str, str]) -> None:
    metadata["annotations"] = {**(metadata.get("annotations") or {}), **pairs}


def fingerprint(item: Object) -> str:
    """Return a hash over the whole object."""
    return hashlib.sha256(json.dumps(item, sort_keys=True).encode()).hexdigest()[:16]


def decorate(item: Object, *, app: str, application: str, gated: bool, pending: bool) -> Object:
    """Return the object as it is applied. `app` is the tracking name, `application` is `NAMESPACE/NAME`."""
    out = copy.deepcopy(item)
    out.setdefault("metadata", {})
    template = template_hash(item)
    inner = pod_template(out)
    if template and inner is not None and out.get("kind") != "Pod":
        inner.setdefault("metadata", {})
        _annotate(inner["metadata"], {marks.TEMPLATE: template, marks.APPLICATION: application})
    if gated:
        _gate(out, pending=pending)
    _annotate(out["metadata"], {marks.TRACKING: marks.tracking_id(app, identify(item))})
    _annotate(out["metadata"], {marks.APPLIED: fingerprint(out)})
    return out


def comparable(item: Object, *, gated: bool) -> Object:
    """Return the rendered object without the fields that are driven by us, for the status of the sync."""
    if not gated:
        return item
    out = {**item, "spec": dict(item["spec"])}
    for field in ("strategy", "minReadySeconds", "progressDeadlineSeconds"):
        out["spec"].pop(field, None)
    return out


def templates(objects: Sequence[Object]) -> dict[str, str]:
    """Return the template hash of every workload."""
    return {marks.workload_key(item): found for item in objects if (found := template_hash(item))}
