"""Events under `events.k8s.io/v1`: the same objects as core/v1 has, with the newer names of their fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from windlass.kube.local.kinds import NEW_EVENTS, Resource
from windlass.kube.local.storage import encode

if TYPE_CHECKING:
    from windlass.kube.local.history import Stored

Object = dict[str, Any]
NEW_TO_OLD = {
    "regarding": "involvedObject",
    "note": "message",
    "reportingController": "reportingComponent",
    "deprecatedCount": "count",
    "deprecatedFirstTimestamp": "firstTimestamp",
    "deprecatedLastTimestamp": "lastTimestamp",
    "deprecatedSource": "source",
}
OLD_TO_NEW = {old: new for new, old in NEW_TO_OLD.items()}


def stored_as(resource: Resource) -> str:
    """Return the key of the resource under which objects are stored."""
    return "events" if resource is NEW_EVENTS else resource.key


def to_new(event: Object) -> Object:
    """Turn a core/v1 event into one of events.k8s.io/v1."""
    renamed = {OLD_TO_NEW.get(key, key): value for key, value in event.items()}
    return {**renamed, "apiVersion": NEW_EVENTS.api_version, "kind": "Event"}


def to_old(event: Any) -> Any:
    """Turn an event of events.k8s.io/v1 into one of core/v1."""
    if not isinstance(event, dict):
        return event
    renamed = {NEW_TO_OLD.get(key, key): value for key, value in event.items()}
    return {**renamed, "apiVersion": "v1", "kind": "Event"}


def encoded(resource: Resource, stored: Stored) -> bytes:
    """Return an object's JSON in the resource's version."""
    return encode(to_new(stored.obj)) if resource is NEW_EVENTS else stored.encoded


def field_selector(resource: Resource, fields: str | None) -> str | None:
    """Translate a field selector to the stored names."""
    if resource is not NEW_EVENTS or not fields:
        return fields
    for new, old in NEW_TO_OLD.items():
        fields = fields.replace(f"{new}.", f"{old}.").replace(f"{new}=", f"{old}=")
    return fields
