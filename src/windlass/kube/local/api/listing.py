"""Get and list: from memory, in the representation that the client prefers, a page at a time."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any

from windlass.kube.errors import BadRequestError, GoneError
from windlass.kube.local.api import events, tables
from windlass.kube.local.api.calls import Answer, Call, as_json
from windlass.kube.local.storage import decode, encode

if TYPE_CHECKING:
    from windlass.kube.local.api.routes import Target
    from windlass.kube.local.history import Stored
    from windlass.kube.local.kinds import Resource
    from windlass.kube.local.memory import Entries
    from windlass.kube.local.objects import Objects

Object = dict[str, Any]


def one(call: Call, resource: Resource, stored: Stored, status: int = 200) -> Answer:
    """Answer with one object."""
    match tables.wanted(call.accept):
        case "Table":
            meta = {"resourceVersion": stored.obj["metadata"].get("resourceVersion", "")}
            include = call.query.get("includeObject", "Metadata")
            return as_json(tables.table(resource, [stored], meta, include=include), status)
        case "PartialObjectMetadata" | "PartialObjectMetadataList":
            return as_json(tables.metadata_of(stored.obj), status)
    return Answer(events.encoded(resource, stored), status)


async def get(call: Call, objects: Objects, target: Target) -> Answer:
    """GET an object."""
    stored = objects.stored(events.stored_as(target.resource), target.namespace, target.name or "")
    return one(call, target.resource, stored)


async def collection(call: Call, objects: Objects, target: Target) -> Answer:
    """GET a collection."""
    return many(call, objects, target)


def many(call: Call, objects: Objects, target: Target) -> Answer:
    """Answer with a list."""
    resource = target.resource
    entries = selected(call, objects, target)
    entries, meta = _page(call, entries, objects.version)
    match tables.wanted(call.accept):
        case "Table":
            include = call.query.get("includeObject", "Metadata")
            return as_json(tables.table(resource, (stored for _, stored in entries), meta, include=include))
        case "PartialObjectMetadata" | "PartialObjectMetadataList":
            items = [tables.metadata_of(stored.obj) for _, stored in entries]
            head = {"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": meta}
            return as_json({**head, "items": items})
    head_text = encode({"kind": f"{resource.kind}List", "apiVersion": resource.api_version, "metadata": meta})
    items_text = b",".join(events.encoded(resource, stored) for _, stored in entries)
    return Answer(head_text[:-1] + b',"items":[' + items_text + b"]}")


def selected(call: Call, objects: Objects, target: Target) -> Entries:
    """Return what the selectors of a call choose."""
    fields = call.query.get("fieldSelector")
    return objects.stored_list(
        events.stored_as(target.resource),
        target.namespace,
        call.query.get("labelSelector"),
        events.field_selector(target.resource, fields),
    )


def _page(call: Call, entries: Entries, version: str) -> tuple[Entries, Object]:
    limit, token = call.number("limit"), call.query.get("continue")
    if token:
        version, start = _read_token(token)
        entries = [entry for entry in entries if entry[0] >= start]
    meta: Object = {"resourceVersion": version}
    if limit and len(entries) > limit:
        following = entries[limit][0]
        meta["remainingItemCount"] = len(entries) - limit
        meta["continue"] = base64.urlsafe_b64encode(encode([version, *following])).decode().rstrip("=")
        entries = entries[:limit]
    return entries, meta


def _read_token(token: str) -> tuple[str, tuple[str, str]]:
    try:
        version, namespace, name = decode(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    except (binascii.Error, ValueError) as error:
        raise BadRequestError(f"continue key is not valid: {error}") from None
    if not str(version).isdigit():
        raise GoneError("the provided continue parameter is too old: list from the start")
    return str(version), (str(namespace), str(name))
