"""The patch types that do not depend on who owns a field: JSON patch, merge patch, strategic merge patch."""

from __future__ import annotations

from typing import Any

from windlass.kube.errors import BadRequestError, InvalidError
from windlass.kube.local.schema.check import copy_of
from windlass.kube.local.schema.fields import ANY, Shape, child

OPERATIONS = 10_000


def merge_patch(target: Any, patch: Any) -> Any:
    """Apply a JSON merge patch (RFC 7386) and return the result; the target stays as it is."""
    if not isinstance(patch, dict):
        return copy_of(patch)
    out = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            out.pop(key, None)
        else:
            out[key] = merge_patch(out.get(key), value)
    return out


def _tokens(pointer: str) -> list[str]:
    if pointer == "":
        return []
    if not pointer.startswith("/"):
        raise BadRequestError(f"json patch: {pointer!r} is not a JSON pointer (RFC 6901)")
    return [token.replace("~1", "/").replace("~0", "~") for token in pointer[1:].split("/")]


def _index(token: str, length: int, pointer: str) -> int:
    if not token.isdigit() or int(token) >= length:
        raise InvalidError(
            f"the server rejected our request due to an error in our request: {pointer}: no such item"
        )
    return int(token)


def _walk(doc: Any, tokens: list[str], pointer: str) -> Any:
    for token in tokens:
        if isinstance(doc, dict) and token in doc:
            doc = doc[token]
        elif isinstance(doc, list):
            doc = doc[_index(token, len(doc), pointer)]
        else:
            raise InvalidError(
                f"the server rejected our request due to an error in our request: {pointer}: missing path"
            )
    return doc


def _add(doc: Any, pointer: str, value: Any) -> Any:
    tokens = _tokens(pointer)
    if not tokens:
        return value
    parent, last = _walk(doc, tokens[:-1], pointer), tokens[-1]
    if isinstance(parent, list):
        parent.insert(len(parent) if last == "-" else _index(last, len(parent) + 1, pointer), value)
    elif isinstance(parent, dict):
        parent[last] = value
    else:
        raise InvalidError(f"json patch: {pointer}: the parent is neither an object nor a list")
    return doc


def _remove(doc: Any, pointer: str) -> Any:
    tokens = _tokens(pointer)
    if not tokens:
        raise BadRequestError("json patch: the whole document cannot be removed")
    _walk(doc, tokens, pointer)
    parent, last = _walk(doc, tokens[:-1], pointer), tokens[-1]
    del parent[int(last) if isinstance(parent, list) else last]
    return doc


def _operate(doc: Any, operation: dict[str, Any]) -> Any:
    path = operation["path"]
    match operation["op"]:
        case "add":
            return _add(doc, path, copy_of(operation.get("value")))
        case "remove":
            return _remove(doc, path)
        case "replace":
            if _tokens(path):
                doc = _remove(doc, path)
            return _add(doc, path, copy_of(operation.get("value")))
        case "move":
            value = _walk(doc, _tokens(operation["from"]), operation["from"])
            return _add(_remove(doc, operation["from"]), path, value)
        case "copy":
            return _add(doc, path, copy_of(_walk(doc, _tokens(operation["from"]), operation["from"])))
        case "test":
            if _walk(doc, _tokens(path), path) != operation.get("value"):
                raise InvalidError(
                    f"the server rejected our request due to an error in our request: testing path {path} failed"
                )
            return doc
        case other:
            raise BadRequestError(f"json patch: unknown operation {other!r}")


def json_patch(target: Any, operations: Any) -> Any:
    """Apply a JSON patch (RFC 6902) and return the result; the target stays as it is."""
    if not isinstance(operations, list) or len(operations) > OPERATIONS:
        raise BadRequestError(f"a JSON patch is a list of at most {OPERATIONS} operations")
    doc = copy_of(target)
    for operation in operations:
        if (
            not isinstance(operation, dict)
            or not isinstance(operation.get("path"), str)
            or "op" not in operation
        ):
            raise BadRequestError("each operation of a JSON patch has `op` and `path`")
        if operation["op"] in {"move", "copy"} and not isinstance(operation.get("from"), str):
            raise BadRequestError(f"json patch: {operation['op']!r} needs `from`")
        doc = _operate(doc, operation)
    return doc


def strategic_merge(target: Any, patch: Any, shape: Shape) -> Any:
    """Apply a strategic merge patch and return the result; the target stays as it is.

    Understands `$patch: delete|replace|merge`, `$retainKeys`, `$deleteFromPrimitiveList/F` and `$setElementOrder/F`.
    """
    if not isinstance(patch, dict):
        return copy_of(patch)
    directive = patch.get("$patch")
    if directive == "replace":
        return {key: copy_of(value) for key, value in patch.items() if key != "$patch"}
    if directive == "delete":
        return {}
    out = dict(target) if isinstance(target, dict) else {}
    if (retained := patch.get("$retainKeys")) is not None:
        out = {key: value for key, value in out.items() if key in retained}
    for key, value in patch.items():
        if key.startswith("$"):
            _primitives(out, key, value)
        elif value is None:
            out.pop(key, None)
        else:
            _field(out, key, value, child(shape, key))
    for key, order in patch.items():
        if key.startswith("$setElementOrder/"):
            _reorder(out, key.partition("/")[2], order, shape)
    return out


def _primitives(out: dict[str, Any], key: str, value: Any) -> None:
    if key.startswith("$deleteFromPrimitiveList/"):
        name = key.partition("/")[2]
        out[name] = [item for item in out.get(name) or [] if item not in value]


def _field(out: dict[str, Any], key: str, value: Any, shape: Shape) -> None:
    have = out.get(key)
    if isinstance(value, list) and shape.kind == "list" and shape.rule is not None:
        if shape.rule.merge:
            out[key] = _merge_items(have or [], value, shape.rule.merge, shape.items or ANY)
        else:
            out[key] = [*(have or []), *(item for item in value if item not in (have or []))]
    elif isinstance(value, dict) and shape.kind in {"struct", "map", "any"}:
        out[key] = strategic_merge(have, value, shape)
        if value.get("$patch") == "delete":
            out.pop(key)
    else:
        out[key] = copy_of(value)


def _merge_items(have: list[Any], patch: list[Any], key: str, shape: Shape) -> list[Any]:
    if any(isinstance(item, dict) and item.get("$patch") == "replace" for item in patch):
        return [copy_of(item) for item in patch if not (isinstance(item, dict) and "$patch" in item)]
    out = list(have)
    for item in patch:
        if not isinstance(item, dict) or key not in item:
            raise BadRequestError(f"map: {item} does not contain declared merge key: {key}")
        at = next((index for index, old in enumerate(out) if old.get(key) == item[key]), None)
        if item.get("$patch") == "delete":
            out = [old for old in out if old.get(key) != item[key]]
        elif at is None:
            out.append(strategic_merge({}, item, shape))
        else:
            out[at] = strategic_merge(out[at], item, shape)
    return out


def _reorder(out: dict[str, Any], name: str, order: Any, shape: Shape) -> None:
    """Put the items that the patch names into its order; the others keep their place behind their neighbours."""
    items, rule = out.get(name), child(shape, name).rule
    if not isinstance(items, list) or not isinstance(order, list) or rule is None:
        return

    def identity(item: Any) -> Any:
        return item.get(rule.merge) if rule.merge and isinstance(item, dict) else item

    wanted = {str(identity(item)): index for index, item in enumerate(order)}
    named = iter(
        sorted((i for i in items if str(identity(i)) in wanted), key=lambda i: wanted[str(identity(i))])
    )
    out[name] = [next(named) if str(identity(item)) in wanted else item for item in items]
