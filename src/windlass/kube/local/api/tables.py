"""`Table` output: what `kubectl get` prints, column by column."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from windlass.kube.local.api import columns

if TYPE_CHECKING:
    from collections.abc import Iterable

    from windlass.kube.local.history import Stored
    from windlass.kube.local.kinds import Resource

Object = dict[str, Any]
ACCEPTED = frozenset({"as=Table", "g=meta.k8s.io"})


def wanted(accept: str) -> str | None:
    """Return the representation that the client prefers: `Table`, `PartialObjectMetadata[List]`, or None for JSON."""
    for choice in accept.split(","):
        media, *params = (part.strip() for part in choice.split(";"))
        if media not in {"application/json", "*/*"}:
            continue
        found = dict(part.partition("=")[::2] for part in params)
        if found.get("g") == "meta.k8s.io" and found.get("v", "v1") == "v1":
            if found.get("as") in {"Table", "PartialObjectMetadata", "PartialObjectMetadataList"}:
                return found["as"]
            continue
        return None
    return None


def metadata_of(obj: Object, kind: str = "PartialObjectMetadata") -> Object:
    """Return only an object's metadata."""
    return {"kind": kind, "apiVersion": "meta.k8s.io/v1", "metadata": obj["metadata"]}


def table(
    resource: Resource,
    objects: Iterable[Stored],
    meta: Object,
    *,
    include: str = "Metadata",
    headed: bool = True,
) -> Object:
    """Return the Table of some objects. `include`: what each row carries of its object: None, Metadata, Object."""
    chosen = columns.of(resource)
    now = columns.now()
    rows = []
    for stored in objects:
        row: Object = {"cells": [column.cell(stored.obj, now) for column in chosen]}
        if include == "Object":
            row["object"] = stored.obj
        elif include == "Metadata":
            row["object"] = metadata_of(stored.obj)
        rows.append(row)
    definitions = [
        {
            "name": column.name,
            "type": column.type,
            "format": "name" if column.name == "Name" else "",
            "description": "",
            "priority": column.priority,
        }
        for column in chosen
    ]
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": meta,
        "columnDefinitions": definitions if headed else [],
        "rows": rows,
    }
