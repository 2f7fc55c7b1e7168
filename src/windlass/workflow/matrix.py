"""The legs of a matrix: the product of its vectors, less `exclude`, with `include`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any

from windlass.workflow.expressions.values import equals, lookup, to_string
from windlass.workflow.model import WorkflowError

MAX_LEGS = 256
Leg = dict[str, Any]
Path = tuple[str | int, ...]


class MatrixError(WorkflowError):
    """The matrix cannot be expanded. `path` leads to what is wrong, from `matrix` on."""

    def __init__(self, message: str, path: Path = ()) -> None:
        super().__init__(message)
        self.path = path


def vectors(matrix: Mapping[str, Any]) -> dict[str, Sequence[Any]]:
    """Return the vectors of an evaluated matrix. Raises `MatrixError`."""
    found: dict[str, Sequence[Any]] = {}
    for name, values in matrix.items():
        if name in {"include", "exclude"}:
            continue
        if not isinstance(values, (list, tuple)):
            raise MatrixError(f"Matrix vector '{name}' is not a list", (name,))
        if not values:
            raise MatrixError(f"Matrix vector '{name}' does not contain any values", (name,))
        found[name] = values
    return found


def expand(matrix: Mapping[str, Any]) -> list[Leg]:
    """Return the legs of an evaluated matrix, in GitHub's order. Raises `MatrixError`."""
    return [leg for leg, _ in named(matrix)]


def named(matrix: Mapping[str, Any]) -> list[tuple[Leg, list[str]]]:
    """Return the legs, each with the values that its job's name shows. Raises `MatrixError`."""
    dimensions = vectors(matrix)
    includes = _items(matrix, "include")
    excludes = _items(matrix, "exclude")
    if not dimensions and not includes:
        raise MatrixError("Matrix must define at least one vector")
    _check_excludes(dimensions, excludes)
    _check_size(dimensions, includes)
    matched: set[int] = set()
    legs: list[tuple[Leg, list[str]]] = []
    if dimensions:
        for values in product(*dimensions.values()):
            leg = dict(zip(dimensions, values, strict=True))
            if any(_matches(leg, item) for item in excludes):
                continue
            shown = _segments(leg)
            legs.append(({**leg, **_extra(leg, dimensions, includes, matched)}, shown))
    legs += [(dict(item), _segments(item)) for index, item in enumerate(includes) if index not in matched]
    if len(legs) > MAX_LEGS:
        raise MatrixError(f"The matrix has {len(legs)} combinations; {MAX_LEGS} are allowed")
    return legs


def _items(matrix: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    items = matrix.get(key) or []
    if not isinstance(items, (list, tuple)):
        raise MatrixError(f"Matrix {key} is not a list", (key,))
    for index, item in enumerate(items):
        if not isinstance(item, Mapping):
            raise MatrixError(f"Matrix {key} item is not a mapping", (key, index))
        if not item and key == "include":
            raise MatrixError("Matrix include mapping does not contain any values", (key, index))
        if not item:
            raise MatrixError("Matrix exclude filter must not be empty", (key, index))
    return list(items)


def _check_excludes(dimensions: Mapping[str, Any], excludes: Sequence[Mapping[str, Any]]) -> None:
    for index, item in enumerate(excludes):
        for key in item:
            if lookup(dimensions, key) is None:
                message = f"Matrix exclude key '{key}' does not match any key within the matrix"
                raise MatrixError(message, ("exclude", index, key))


def _check_size(dimensions: Mapping[str, Sequence[Any]], includes: Sequence[Any]) -> None:
    size = math.prod(len(values) for values in dimensions.values())
    if size + len(includes) > 100 * MAX_LEGS:
        raise MatrixError(f"The matrix has {size} combinations; {MAX_LEGS} are allowed")


def _extra(
    leg: Leg, dimensions: Mapping[str, Any], includes: Sequence[Mapping[str, Any]], matched: set[int]
) -> Leg:
    """Return what `include` adds to a leg; entries that matched are noted."""
    extra: Leg = {}
    for index, item in enumerate(includes):
        filters = {key: value for key, value in item.items() if lookup(dimensions, key) is not None}
        if _matches(leg, filters):
            matched.add(index)
            extra |= {key: value for key, value in item.items() if key not in filters}
    return extra


def _matches(value: Any, wanted: Any) -> bool:
    """Return whether each leaf of `wanted` equals the value's at the same place."""
    if isinstance(wanted, Mapping):
        inner = value if isinstance(value, Mapping) else {}
        return all(_matches(lookup(inner, key), item) for key, item in wanted.items())
    if isinstance(wanted, (list, tuple)):
        items = value if isinstance(value, (list, tuple)) else ()
        return all(
            _matches(items[index] if index < len(items) else None, item) for index, item in enumerate(wanted)
        )
    return equals(value, wanted)


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        for item in value.values():
            yield from _leaves(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _leaves(item)
    else:
        yield value


def _segments(leg: Mapping[str, Any]) -> list[str]:
    return [shown for value in _leaves(leg) if (shown := to_string(value))]
