"""Editing one scalar in place: its span is replaced, everything else in the file stays byte for byte."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from windlass.syntax.diagnostics import has_errors
from windlass.syntax.nodes import Mapping, Node, Scalar, Sequence, Value, plain, resolve
from windlass.syntax.reader import read

if TYPE_CHECKING:
    from collections.abc import Sequence as Steps

_PLAIN = re.compile(r"[A-Za-z0-9_./@+-](?:[A-Za-z0-9_./@+:,=~ -]*[A-Za-z0-9_./@+=~-])?")
_OTHER_SCHEMAS = re.compile(  # what YAML 1.1 readers would not take for a string
    r"(?i:y|n|yes|no|on|off)|[-+]?[0-9][0-9_:.,xobeE+-]*|[0-9]{4}-[0-9]{2}.*|[-.].*|.*:|.*: .*"
)


class EditError(ValueError):
    """The scalar cannot be replaced in place; the message says why."""


def find(root: Node | None, path: Steps[str | int]) -> Node:
    """Return the node under a path of keys and indexes. Raises `EditError`."""
    node = root
    for depth, step in enumerate(path):
        found: Node | None = None
        if isinstance(node, Mapping) and isinstance(step, str):
            found = node.get(step)
        elif isinstance(node, Sequence) and isinstance(step, int) and 0 <= step < len(node.items):
            found = node.items[step]
        if found is None:
            raise EditError(f"there is no {_show(path[: depth + 1])}")
        node = found
    if node is None:
        raise EditError("the file is empty")
    return node


def replace(text: str, path: Steps[str | int], value: Value, file: str = "") -> str:
    """Return the text with the scalar under the path replaced, quoted as it was or as it must be.

    Refuses what it could not do without changing something else: anchors, aliases, tags, scalars over
    several lines. Raises `EditError`.
    """
    document = read(text, file)
    if has_errors(document.diagnostics):
        raise EditError(f"the file cannot be read: {document.diagnostics[0]}")
    for depth in range(len(path) + 1):
        node = find(document.root, path[:depth])
        if text[node.start.index : node.start.index + 1] in {"&", "*"}:
            raise EditError(f"{_show(path[:depth])} has an anchor: another place may use it too")
    if not isinstance(node, Scalar):
        raise EditError(f"{_show(path)} is not a scalar")
    if node.tag is not None:
        raise EditError(f"{_show(path)} has the tag {node.tag}")
    if node.start.line != node.end.line or node.style in {"|", ">"}:
        raise EditError(f"{_show(path)} stands over several lines")
    written = _write(value, node.style)
    if node.start.index == node.end.index:  # an empty value
        written = f" {written}" if text[node.start.index - 1 : node.start.index] in {":", "-"} else written
    edited = text[: node.start.index] + written + text[node.end.index :]
    _verify(document.root, edited, path, value)
    return edited


def _show(path: Steps[str | int]) -> str:
    shown = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return shown.removeprefix(".") or "the document"


def _write(value: Value, style: str) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return json.dumps(value)
    if style == "'" and value.isprintable():
        return "'" + value.replace("'", "''") + "'"
    fits = (
        _PLAIN.fullmatch(value) and not _OTHER_SCHEMAS.fullmatch(value) and resolve(value, "", None) == value
    )
    return value if not style and fits else json.dumps(value, ensure_ascii=not value.isprintable())


def _verify(before: Node | None, edited: str, path: Steps[str | int], value: Value) -> None:
    expected = _with(plain(before), path, value)
    after = read(edited, "")
    if has_errors(after.diagnostics) or plain(after.root) != expected:
        raise EditError(f"replacing {_show(path)} would change more than this value")


def _with(data: Any, path: Steps[str | int], value: Value) -> Any:
    if not path:
        return value
    made: Any = dict(data) if isinstance(data, dict) else list(data)
    made[path[0]] = _with(data[path[0]], path[1:], value)
    return made
