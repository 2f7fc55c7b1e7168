"""`replacements`: a field of one object is written into fields of others."""

from __future__ import annotations

import copy
import re
from typing import TYPE_CHECKING, Any

from windlass.manifests.documents import read
from windlass.manifests.errors import BuildError
from windlass.manifests.kustomize.generators import inside
from windlass.manifests.kustomize.patches import selects
from windlass.manifests.tree import demand

if TYPE_CHECKING:
    from collections.abc import Iterator

    from windlass.manifests.kustomize.resource import Resource
    from windlass.manifests.tree import Tree

SPLIT = re.compile(r"(?<!\\)\.(?![^\[]*\])")
SELECTOR = re.compile(r"^\[([^=\]]*)=(.*)\]$")


def load(entries: list[dict[str, Any]], tree: Tree, folder: str) -> Iterator[dict[str, Any]]:
    """Yield the replacements of a field's entries; an entry with `path` stands for those in a file."""
    for entry in entries:
        if not entry.get("path"):
            yield entry
            continue
        path = inside(folder, str(entry["path"]))
        for document in read(demand(tree, path, folder or "."), path):
            yield from document.value if isinstance(document.value, list) else [document.value]


def _path(text: str) -> list[str]:
    return [part.replace("\\.", ".") for part in SPLIT.split(text)]


def _selected(item: Resource, select: dict[str, Any]) -> bool:
    fits = any(
        all(select.get(key) in (None, "", getattr(name, key)) for key in ("group", "version", "kind", "name"))
        and select.get("namespace") in (None, "", name.namespace)
        for name in item.ids
    )
    labels, notes = item.meta.get("labels") or {}, item.meta.get("annotations") or {}
    return (
        fits
        and selects(str(select.get("labelSelector") or ""), labels)
        and selects(str(select.get("annotationSelector") or ""), notes)
    )


def _places(value: Any, path: list[str], *, create: bool) -> Iterator[tuple[Any, Any]]:
    """Yield container and key of every place that the path leads to."""
    key, rest = path[0], path[1:]
    for at in _keys(value, key, create=create and not rest):
        if not rest:
            yield value, at
            continue
        if create and isinstance(value, dict) and value.get(at) is None:
            value[at] = [] if rest[0].startswith("[") or rest[0] == "*" else {}
        yield from _places(value[at], rest, create=create)


def _keys(  # noqa: PLR0911 one for each kind of key
    value: Any, key: str, *, create: bool
) -> list[Any]:
    selector = SELECTOR.match(key)
    if isinstance(value, list):
        if key == "*":
            return list(range(len(value)))
        if selector is not None:
            name, wanted = selector[1], selector[2]
            return [
                index
                for index, item in enumerate(value)
                if (item.get(name) if name and isinstance(item, dict) else item) == wanted
            ]
        if key.isdigit() and int(key) < len(value):
            return [int(key)]
        return []
    if not isinstance(value, dict):
        return []
    if key == "*":
        return list(value)
    return [key] if key in value or create or not selector else []


def _cut(value: Any, options: dict[str, Any], where: str) -> Any:
    if not options.get("delimiter"):
        return value
    parts = str(value).split(str(options["delimiter"]))
    index = int(options.get("index") or 0)
    if not 0 <= index < len(parts):
        raise BuildError(f"{where}: {value!r} has no part {index}")
    return parts[index]


def _put(container: Any, key: Any, value: Any, options: dict[str, Any]) -> None:
    delimiter = options.get("delimiter")
    if not delimiter:
        container[key] = copy.deepcopy(value)
        return
    old = container.get(key, "") if isinstance(container, dict) else container[key]
    parts, index = str(old).split(str(delimiter)), int(options.get("index") or 0)
    if index < 0:
        parts.insert(0, str(value))
    elif index >= len(parts):
        parts.append(str(value))
    else:
        parts[index] = str(value)
    container[key] = str(delimiter).join(parts)


def _source(items: list[Resource], source: dict[str, Any], where: str) -> Any:
    found = [item for item in items if _selected(item, source)]
    if len(found) != 1:
        raise BuildError(f"{where}: the source must be one object, not {len(found)}: {source}")
    path = str(source.get("fieldPath") or "metadata.name")
    places = list(_places(found[0].value, _path(path), create=False))
    values = [place[key] for place, key in places if not isinstance(place, dict) or key in place]
    if len(values) != 1:
        raise BuildError(f"{where}: {path} of {found[0].id.kind} {found[0].id.name} does not exist")
    return _cut(values[0], source.get("options") or {}, where)


def replace(items: list[Resource], entry: dict[str, Any], where: str) -> None:
    """Carry one replacement out, in place; raises `BuildError` where a field to write does not exist."""
    place = f"{where or '.'}: replacements"
    value = (
        entry.get("sourceValue")
        if "sourceValue" in entry
        else _source(items, entry.get("source") or {}, place)
    )
    for target in entry.get("targets") or []:
        options = target.get("options") or {}
        chosen = [
            item
            for item in items
            if _selected(item, target.get("select") or {})
            and not any(_selected(item, each) for each in target.get("reject") or [])
        ]
        for item in chosen:
            before = item.id
            for text in target.get("fieldPaths") or ["metadata.name"]:
                _write(item, str(text), value, options, place)
            if item.id != before:
                item.previous.append(before)


def _write(item: Resource, text: str, value: Any, options: dict[str, Any], where: str) -> None:
    create = bool(options.get("create"))
    found = [
        (container, key)
        for container, key in _places(item.value, _path(text), create=create)
        if create or not isinstance(container, dict) or key in container
    ]
    if not found:
        raise BuildError(
            f"{where}: {item.id.kind} {item.id.name} has no field {text}; say `create: true` to make it"
        )
    for container, key in found:
        _put(container, key, value, options)
