"""`buildMetadata`: where each object comes from and who changed it, as annotations."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from windlass.manifests.kustomize.resource import Resource
    from windlass.manifests.objects import Object

ORIGIN = "config.kubernetes.io/origin"
CHANGES = "alpha.config.kubernetes.io/transformations"


def by(file: str, kind: str, config: Object | None = None) -> dict[str, Any]:
    """Return the record of a generator or transformer that a file configures."""
    name = ((config or {}).get("metadata") or {}).get("name")
    who = {"apiVersion": "builtin", "kind": kind, **({"name": str(name)} if name else {})}
    return {"configuredIn": file, "configuredBy": who}


def _relative(record: dict[str, Any], root: str) -> dict[str, Any]:
    return {
        key: posixpath.relpath("/" + value, "/" + root) if key in ("path", "configuredIn") else value
        for key, value in record.items()
    }


def _lines(record: dict[str, Any]) -> list[str]:
    found = []
    for key, value in record.items():
        if isinstance(value, dict):
            found += [f"{key}:", *(f"  {line}" for line in _lines(value))]
        else:
            found.append(f"{key}: {value}")
    return found


def annotate(items: Iterable[Resource], what: Iterable[str], root: str) -> None:
    """Write the annotations that `buildMetadata` asks for."""
    wanted = set(what)
    for item in items:
        notes = item.meta.get("annotations") or {}
        if "originAnnotations" in wanted and item.origin:
            lines = _lines(_relative(item.origin, root))
            notes = {**notes, ORIGIN: "\n".join(lines) + "\n"}
        if "transformerAnnotations" in wanted and item.changes:
            lines = []
            for change in item.changes:
                first, *rest = _lines(_relative(change, root))
                lines += [f"- {first}", *(f"  {line}" for line in rest)]
            notes = {**notes, CHANGES: "\n".join(lines) + "\n"}
        if notes:
            item.meta["annotations"] = notes
