"""Sets of field paths, as `managedFields` has them (FieldsV1), and what two objects differ in.

A path is a tuple of elements: `f:NAME` for a field, `k:{"name":"web"}` for an item of a list by its keys, `v:"x"`
for an item of a set. After structured-merge-diff, on which Kubernetes' server-side apply stands.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from windlass.kube.errors import BadRequestError
from windlass.kube.local.schema.fields import ANY, Shape, child
from windlass.kube.local.schema.merging import KEY_DEFAULTS, ListRule
from windlass.kube.local.storage import encode

Path = tuple[str, ...]
Paths = set[Path]
DEPTH = 64
# Kubernetes always writes these, so nobody comes to own that they are there.
ALWAYS = frozenset({"f:metadata", "f:spec", "f:status", "f:template", "f:strategy", "f:containers"})


def decode_paths(fields: Any, prefix: Path = ()) -> Paths:
    """Read FieldsV1 into a set of paths."""
    if not isinstance(fields, dict) or len(prefix) > DEPTH:
        raise BadRequestError("metadata.managedFields: fieldsV1 is malformed")
    found: Paths = set()
    for element, below in fields.items():
        if element == ".":
            found.add(prefix)
        elif below:
            found |= decode_paths(below, (*prefix, element))
        else:
            found.add((*prefix, element))
    return found


def encode_paths(paths: Paths) -> dict[str, Any]:
    """Write a set of paths as FieldsV1."""
    root: dict[str, Any] = {}
    for path in sorted(paths):
        node = root
        for element in path:
            node = node.setdefault(element, {})
    for path in paths:
        node = root
        for element in path:
            node = node[element]
        if node and path:
            node["."] = {}
    return _sorted(root)


def _sorted(node: dict[str, Any]) -> dict[str, Any]:
    return {key: _sorted(node[key]) for key in sorted(node)}


def path_text(path: Path) -> str:
    """Write a path as messages have it: `.spec.containers[name="web"].image`."""
    text = ""
    for element in path:
        kind, _, value = element.partition(":")
        if kind == "f":
            text += f".{value}"
        elif kind == "k":
            text += f"[{value.strip('{}').replace(chr(34) + ':', '=').replace(',' + chr(34), ',').lstrip(chr(34))}]"
        else:
            text += f"[={value}]"
    return text


def item_element(item: Any, rule: ListRule) -> str:
    """Name an item of a list by its keys, or by its value in a set."""
    if not rule.keys:
        return "v:" + encode(item).decode()
    keys: dict[str, Any] = {}
    for key in sorted(rule.keys):
        value = item.get(key, KEY_DEFAULTS.get(key)) if isinstance(item, dict) else None
        if value is None:
            raise BadRequestError(f"associative list with keys has an element that omits key field {key!r}")
        keys[key] = value
    return "k:" + encode(keys).decode()


def granular(value: Any, shape: Shape) -> bool:
    """Whether the value is owned field by field (or item by item) rather than as a whole."""
    if shape.atomic:
        return False
    if isinstance(value, dict):
        return shape.kind in {"struct", "map"}
    return isinstance(value, list) and shape.kind == "list" and shape.rule is not None


def items_by_element(items: list[Any], shape: Shape) -> dict[str, Any]:
    """Index a list by its items' elements; BadRequestError for two items of one identity."""
    rule = shape.rule or ListRule()
    found: dict[str, Any] = {}
    for item in items:
        element = item_element(item, rule)
        if element in found and rule.keys:
            raise BadRequestError(f"duplicate entries for key {path_text((element,))}")
        found[element] = item
    return found


def children(value: Any, shape: Shape) -> dict[str, tuple[Any, Shape]]:
    """Return what stands directly below a granular value: element to value and shape."""
    if isinstance(value, dict):
        return {f"f:{name}": (item, child(shape, name)) for name, item in value.items()}
    below = shape.items or ANY
    return {element: (item, below) for element, item in items_by_element(value, shape).items()}


def paths_of(value: Any, shape: Shape, prefix: Path = ()) -> Paths:
    """Return the paths that an applied configuration owns."""
    if not granular(value, shape) or not value:
        return {prefix}
    found: Paths = set()
    for element, (item, below) in children(value, shape).items():
        if not element.startswith("f:"):
            found.add((*prefix, element))
        found |= paths_of(item, below, (*prefix, element))
    return found


@dataclass(slots=True)
class Difference:
    """In which paths two versions of an object differ."""

    removed: Paths = field(default_factory=set)
    modified: Paths = field(default_factory=set)
    added: Paths = field(default_factory=set)


def _whole(value: Any, shape: Shape, prefix: Path, into: Paths) -> None:
    """Collect every path of a value that stands on one side only, its containers too."""
    if prefix and prefix[-1] not in ALWAYS:
        into.add(prefix)
    if granular(value, shape):
        for element, (item, below) in children(value, shape).items():
            _whole(item, below, (*prefix, element), into)


def compare(
    old: Any, new: Any, shape: Shape, prefix: Path = (), into: Difference | None = None
) -> Difference:
    """Compare two versions of a value."""
    out = into if into is not None else Difference()
    if old == new:
        return out
    if not granular(old, shape) or not granular(new, shape) or type(old) is not type(new):
        out.modified.add(prefix)
        return out
    before, after = children(old, shape), children(new, shape)
    for element, (item, below) in after.items():
        path = (*prefix, element)
        if element in before:
            compare(before[element][0], item, below, path, out)
        else:
            _whole(item, below, path, out.added)
    for element, (item, below) in before.items():
        if element not in after:
            _whole(item, below, (*prefix, element), out.removed)
    return out


def merge(live: Any, config: Any, shape: Shape) -> Any:
    """Lay a configuration over a live value; maps and keyed lists merge, all else is the configuration's."""
    if not granular(live, shape) or not granular(config, shape) or type(live) is not type(config):
        return config
    if isinstance(config, dict):
        out = dict(live)
        for name, value in config.items():
            out[name] = merge(live[name], value, child(shape, name)) if name in live else value
        return out
    return _merge_items(items_by_element(live, shape), items_by_element(config, shape), shape.items or ANY)


def _merge_items(live: dict[str, Any], config: dict[str, Any], shape: Shape) -> list[Any]:
    """Merge keyed items: the configuration's order, with the live list's own items where they stood."""
    out: list[Any] = []
    rest = [element for element in live if element not in config]
    order = list(live)
    for element, value in config.items():
        if element in live:
            at = order.index(element)
            while rest and order.index(rest[0]) < at:
                out.append(live[rest.pop(0)])
        out.append(merge(live[element], value, shape) if element in live else value)
    return out + [live[element] for element in rest]


def remove(value: Any, shape: Shape, previous: dict[str, Any], kept: dict[str, Any]) -> Any:
    """Take out of a value what stands in `previous` and no longer in `kept` (both FieldsV1).

    What goes, goes with all below it, so that the defaults inside a struct that is no longer applied go too.
    """
    if not granular(value, shape):
        return value
    keys = shape.rule.keys if shape.rule else ()
    out: dict[str, Any] = {}
    for element, (item, below) in children(value, shape).items():
        before, still = previous.get(element), kept.get(element)
        if before is None:
            out[element] = item
        elif still is not None:
            out[element] = remove(item, below, _without_keys(before, below, keys), still)
    if isinstance(value, dict):
        return {element[2:]: item for element, item in out.items()}
    return list(out.values())


def _without_keys(previous: dict[str, Any], shape: Shape, keys: tuple[str, ...]) -> dict[str, Any]:
    """Let an item that stays keep the fields that identify it."""
    if not keys or shape.kind != "struct":
        return previous
    return {element: below for element, below in previous.items() if element[2:] not in keys}
