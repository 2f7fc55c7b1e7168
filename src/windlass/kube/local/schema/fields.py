"""The field types of all kinds that are served: what may stand where, and how it merges."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from windlass.kube.local.schema import argo
from windlass.kube.local.schema.merging import ATOMIC, ATOMIC_MAPS, LISTS, RETAIN_KEYS, ListRule

SCALARS = frozenset({"str", "int", "bool", "number", "time", "quantity", "intstr"})


@dataclass(frozen=True, slots=True)
class Shape:
    """What may stand at one place.

    `kind`: `struct` (its fields are `fields_of(type)`), `map` and `list` (of `items`), `any`, or a scalar: `str`,
    `int`, `bool`, `number`, `time`, `quantity`, `intstr`. `atomic`: replaced whole. `rule`: how a list merges.
    """

    kind: str
    type: str = ""
    items: Shape | None = None
    required: bool = False
    atomic: bool = False
    rule: ListRule | None = None
    retain_keys: bool = False


ANY = Shape("any", atomic=True)


@cache
def _types() -> dict[str, dict[str, str]]:
    text = Path(__file__).with_name("kubernetes.json").read_text(encoding="utf-8")
    return {**json.loads(text), **argo.TYPES}


def _shape(notation: str, owner: str, field: str) -> Shape:
    required = notation.endswith("!")
    text = notation.removesuffix("!")
    if text.startswith("["):
        rule = LISTS.get((owner, field))
        return Shape("list", "", _shape(text[1:-1], "", ""), required, rule is None, rule)
    if text.startswith("{"):
        return Shape("map", "", _shape(text[1:-1], "", ""), required, (owner, field) in ATOMIC_MAPS)
    if text in SCALARS or text == "any":
        return Shape(text, required=required, atomic=True)
    return Shape(
        "struct", text, required=required, atomic=text in ATOMIC, retain_keys=(owner, field) in RETAIN_KEYS
    )


@cache
def fields_of(type_name: str) -> dict[str, Shape]:
    """Return the fields of a struct, by name."""
    return {name: _shape(text, type_name, name) for name, text in _types()[type_name].items()}


@cache
def shape_of(type_name: str) -> Shape:
    """Return the shape of a whole object."""
    return Shape("struct", type_name)


def child(shape: Shape | None, name: str) -> Shape:
    """Return what stands under `name` in a struct or map; `any` below what is not known."""
    if shape is None or shape.kind not in {"struct", "map"}:
        return ANY
    if shape.kind == "map":
        return shape.items or ANY
    return fields_of(shape.type).get(name, ANY)
