"""JSON Patch (RFC 6902) on plain values."""

from __future__ import annotations

import copy
import json
from typing import Any

from windlass.manifests.documents import read
from windlass.manifests.errors import BuildError, ManifestError


def parse(text: str, where: str) -> list[dict[str, Any]]:
    """Read a patch from JSON or YAML; raises `BuildError`."""
    try:
        documents = read(text, where)
    except ManifestError:
        try:
            documents_value = json.loads(text)
        except ValueError as error:
            raise BuildError(f"{where}: not a JSON patch: {error}") from None
    else:
        documents_value = documents[0].value if documents else []
    operations = documents_value if isinstance(documents_value, list) else []
    if not operations or not all(isinstance(entry, dict) and "op" in entry for entry in operations):
        raise BuildError(f"{where}: a JSON patch is a list of operations, each with op and path")
    return operations


def _tokens(pointer: str, where: str) -> list[str]:
    if pointer and not pointer.startswith("/"):
        raise BuildError(f"{where}: the path {pointer!r} must begin with /")
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]


def _index(parent: list[Any], token: str, where: str, *, end: bool) -> int:
    if token == "-" and end:  # noqa: S105 RFC 6902's end-of-list token
        return len(parent)
    number = int(token) if token.lstrip("-").isdigit() else None
    if number is None or not -len(parent) <= number < len(parent) + end:
        raise BuildError(f"{where}: no element {token!r} in a list of {len(parent)}")
    return number if number >= 0 else len(parent) + number


def _get(value: Any, tokens: list[str], where: str) -> Any:
    for token in tokens:
        if isinstance(value, list):
            value = value[_index(value, token, where, end=False)]
        elif isinstance(value, dict) and token in value:
            value = value[token]
        else:
            raise BuildError(f"{where}: the path /{'/'.join(tokens)} does not exist")
    return value


def _add(parent: Any, token: str, value: Any, where: str) -> None:
    if isinstance(parent, list):
        parent.insert(_index(parent, token, where, end=True), value)
    elif isinstance(parent, dict):
        parent[token] = value
    else:
        raise BuildError(f"{where}: cannot add {token!r} to a scalar")


def _remove(parent: Any, token: str, where: str) -> Any:
    _get(parent, [token], where)
    return parent.pop(_index(parent, token, where, end=False) if isinstance(parent, list) else token)


def _one(root: Any, operation: dict[str, Any], where: str) -> None:
    kind = operation["op"]
    *way, last = _tokens(str(operation.get("path", "")), where) or [""]
    parent = _get(root, way, where)
    if kind == "add":
        _add(parent, last, copy.deepcopy(operation.get("value")), where)
    elif kind == "remove":
        _remove(parent, last, where)
    elif kind == "replace":
        _remove(parent, last, where)
        _add(parent, last, copy.deepcopy(operation.get("value")), where)
    elif kind in ("move", "copy"):
        *origin, leaf = _tokens(str(operation.get("from", "")), where) or [""]
        source = _get(root, origin, where)
        moved = _remove(source, leaf, where) if kind == "move" else copy.deepcopy(_get(source, [leaf], where))
        _add(_get(root, way, where), last, moved, where)
    elif kind == "test":
        if _get(parent, [last], where) != operation.get("value"):
            raise BuildError(f"{where}: test of {operation.get('path')} failed")
    else:
        raise BuildError(f"{where}: unknown operation {kind!r}")


def apply(root: dict[str, Any], operations: list[dict[str, Any]], where: str) -> None:
    """Apply a patch in place; raises `BuildError` at the operation that does not fit."""
    for number, operation in enumerate(operations, 1):
        _one(root, operation, f"{where}, operation {number}")
