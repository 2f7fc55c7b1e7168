"""What controllers read from objects again and again: owners, labels, times, intstr, readiness."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Object = dict[str, Any]


def stamp(now: float) -> str:
    """Seconds since the epoch as Kubernetes writes them: RFC 3339, UTC, whole seconds."""
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def micro(now: float) -> str:
    """`MicroTime`, as Kubernetes writes `eventTime`."""
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def seconds(text: str | None) -> float | None:
    """Seconds since the epoch of an RFC 3339 time, None if there is none."""
    if not text:
        return None
    return datetime.fromisoformat(text).timestamp()


def name_of(obj: Object) -> str:
    """`metadata.name`."""
    return str(obj["metadata"]["name"])


def namespace_of(obj: Object) -> str:
    """`metadata.namespace`, empty for what has none."""
    return str(obj["metadata"].get("namespace", ""))


def uid_of(obj: Object) -> str:
    """`metadata.uid`."""
    return str(obj["metadata"].get("uid", ""))


def labels_of(obj: Object) -> dict[str, str]:
    """`metadata.labels`, never None."""
    return obj["metadata"].get("labels") or {}


def annotations_of(obj: Object) -> dict[str, str]:
    """`metadata.annotations`, never None."""
    return obj["metadata"].get("annotations") or {}


def status_of(obj: Object) -> dict[str, Any]:
    """`status`, never None."""
    return obj.get("status") or {}


def created(obj: Object) -> str:
    """`metadata.creationTimestamp`; RFC 3339 in UTC sorts as text."""
    return str(obj["metadata"].get("creationTimestamp", ""))


def deleting(obj: Object) -> bool:
    """Whether the object is on its way out."""
    return bool(obj["metadata"].get("deletionTimestamp"))


def controller_of(obj: Object) -> Object | None:
    """Return the owner reference that says `controller: true`."""
    for reference in obj["metadata"].get("ownerReferences") or ():
        if reference.get("controller"):
            return dict(reference)
    return None


def controlled_by(obj: Object, owner: Object) -> bool:
    """Whether `owner` is the controller of `obj`."""
    reference = controller_of(obj)
    return reference is not None and reference["uid"] == uid_of(owner)


def owner_reference(owner: Object) -> Object:
    """Make the reference to `owner` as controller that holds up its foreground deletion."""
    return {
        "apiVersion": owner.get("apiVersion", "apps/v1"),
        "kind": owner["kind"],
        "name": name_of(owner),
        "uid": uid_of(owner),
        "controller": True,
        "blockOwnerDeletion": True,
    }


def _expression(labels: Mapping[str, str], term: Mapping[str, Any]) -> bool:
    value, values = labels.get(term["key"]), term.get("values") or []
    match term["operator"]:
        case "In":
            return value is not None and value in values
        case "NotIn":
            return value is None or value not in values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
    return False


def selects(selector: Mapping[str, Any] | None, labels: Mapping[str, str]) -> bool:
    """Whether a LabelSelector matches. As in workloads an empty or missing one selects nothing."""
    selector = selector or {}
    equal, terms = selector.get("matchLabels") or {}, selector.get("matchExpressions") or []
    if not equal and not terms:
        return False
    return equal.items() <= labels.items() and all(_expression(labels, term) for term in terms)


def scaled(value: int | str, total: int, *, up: bool) -> int:
    """IntOrString: a number as it is, a percentage of `total` rounded up or down."""
    if isinstance(value, int):
        return value
    exact = total * int(value.removesuffix("%")) / 100
    return math.ceil(exact) if up else math.floor(exact)


def condition(obj: Object, kind: str) -> Object | None:
    """Return the condition of this type in `status.conditions`."""
    for found in status_of(obj).get("conditions") or ():
        if found["type"] == kind:
            return dict(found)
    return None


def is_ready(pod: Object) -> bool:
    """Whether the pod's Ready condition is True."""
    found = condition(pod, "Ready")
    return found is not None and found["status"] == "True"


def ready_since(pod: Object) -> float | None:
    """When the pod became ready, None if it is not."""
    found = condition(pod, "Ready")
    if found is None or found["status"] != "True":
        return None
    return seconds(found.get("lastTransitionTime"))


def available_in(pod: Object, min_ready: int, now: float) -> float | None:
    """Seconds until the pod is available (0 = it is), None while it is not ready."""
    if not is_ready(pod):
        return None
    since = ready_since(pod)
    if min_ready == 0:
        return 0.0
    return None if since is None else max(0.0, since + min_ready - now)


def is_active(pod: Object) -> bool:
    """Whether the pod counts as a replica: neither ended nor being deleted."""
    return status_of(pod).get("phase") not in {"Succeeded", "Failed"} and not deleting(pod)


def total(values: Iterable[int | None]) -> int:
    """Sum where a missing field is zero."""
    return sum(value or 0 for value in values)


def without(conditions: Iterable[Object], kind: str) -> list[Object]:
    """All conditions but the one of this type."""
    return [found for found in conditions if found["type"] != kind]


def with_condition(conditions: list[Object], new: Object) -> list[Object]:
    """Set a condition as Kubernetes does: `lastTransitionTime` stays while the status stays.

    Nothing changes where status, reason and message are what they were.
    """
    old = next((found for found in conditions if found["type"] == new["type"]), None)
    if old is not None and all(
        old.get(key, "") == new.get(key, "") for key in ("status", "reason", "message")
    ):
        return conditions
    if old is not None and old["status"] == new["status"]:
        new = {**new, "lastTransitionTime": old.get("lastTransitionTime")}
    if old is None:
        return [*conditions, new]
    return [new if found is old else found for found in conditions]
