"""Bring an object into the shape of its kind: copy it, drop nulls and unknown fields, report what does not fit."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from windlass.kube.errors import BadRequestError
from windlass.kube.local.schema.fields import Shape, fields_of, shape_of

DEPTH = 100
GO_TYPES = {"str": "string", "int": "int32", "bool": "bool", "number": "float64", "time": "Time"}
PYTHON: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "time": (str,),
    "int": (int,),
    "bool": (bool,),
    "number": (int, float),
    "intstr": (int, str),
    "quantity": (str, int, float),
}


@dataclass(slots=True)
class FieldChecks:
    """How unknown fields are met (`fieldValidation`: Strict, Warn, Ignore), and the warnings that came of it.

    Typed is server-side apply's way: a field that is not in the schema can have no owner.
    """

    mode: str = "Warn"
    warnings: list[str] = field(default_factory=list)


class WrongTypeError(Exception):
    """A value is not of its field's type."""


def _json_type(value: Any) -> str:
    names = {dict: "object", list: "array", str: "string", bool: "bool", int: "number", float: "number"}
    return names.get(type(value), "null")


@dataclass(slots=True)
class _Pass:
    unknown: list[str] = field(default_factory=list)
    depth: int = 0

    def value(self, value: Any, shape: Shape, path: str) -> Any:
        if shape.kind == "any":
            return copy_of(value)
        if shape.kind == "struct":
            return self.struct(value, shape, path)
        if shape.kind == "list" and isinstance(value, list) and shape.items:
            items = shape.items
            return [self.value(item, items, f"{path}[{index}]") for index, item in enumerate(value)]
        if shape.kind == "map" and isinstance(value, dict) and shape.items:
            items = shape.items
            return {
                str(key): self.value(
                    "" if item is None and items.kind == "str" else item, items, f"{path}.{key}"
                )
                for key, item in value.items()
            }
        return self.scalar(value, shape, path)

    def scalar(self, value: Any, shape: Shape, path: str) -> Any:
        allowed = PYTHON.get(shape.kind, ())
        if not isinstance(value, allowed) or (isinstance(value, bool) and shape.kind != "bool"):
            if shape.kind == "int" and isinstance(value, float) and value.is_integer():
                return int(value)
            wanted = GO_TYPES.get(shape.kind, shape.kind)
            raise WrongTypeError(f"cannot unmarshal {_json_type(value)} into field {path} of type {wanted}")
        return str(value) if shape.kind == "quantity" else value

    def struct(self, value: Any, shape: Shape, path: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise WrongTypeError(
                f"cannot unmarshal {_json_type(value)} into field {path} of type {shape.type}"
            )
        known = fields_of(shape.type)
        self.depth += 1
        if self.depth > DEPTH:
            raise WrongTypeError(f"{path} is nested deeper than {DEPTH} levels")
        out: dict[str, Any] = {}
        for name, item in value.items():
            below = f"{path}.{name}" if path else name
            if name not in known:
                self.unknown.append(below)
            elif item is not None:
                out[name] = self.value(item, known[name], below)
        self.depth -= 1
        return out


def copy_of(value: Any) -> Any:
    """Copy plain JSON data deeply (some ten times faster than `copy.deepcopy`)."""
    if type(value) is dict:
        return {key: copy_of(item) for key, item in value.items()}
    if type(value) is list:
        return [copy_of(item) for item in value]
    return value


def _identity(obj: Any) -> str:
    """Write whose patch it is, as Kubernetes does: `NAMESPACE/NAME`."""
    meta = obj.get("metadata")
    meta = meta if isinstance(meta, dict) else {}
    return f"{meta.get('namespace') or ''}/{meta.get('name') or ''}"


def conform(
    obj: Any, type_name: str, kind: str, api_version: str, checks: FieldChecks | None = None
) -> dict[str, Any]:
    """Return a copy of `obj` that has only the fields of its type; numbers become strings where they are quantities.

    Unknown fields raise BadRequestError (Strict, Typed), become warnings (Warn), or are dropped in silence (Ignore).
    A value of the wrong type always raises.
    """
    version = api_version.rpartition("/")[2]
    cannot = f'{kind} in version "{version}" cannot be handled as a {kind}'
    work = _Pass()
    try:
        out = work.struct(obj, shape_of(type_name), "")
    except WrongTypeError as error:
        raise BadRequestError(f"{cannot}: json: {error}") from None
    if work.unknown and checks is not None and checks.mode != "Ignore":
        if checks.mode == "Typed":
            lines = [f".{path}: field not declared in schema" for path in work.unknown]
            raise BadRequestError(
                f"failed to create typed patch object ({_identity(obj)}; {api_version}, Kind={kind}): "
                + ", ".join(lines)
            )
        found = [f'unknown field "{path}"' for path in work.unknown]
        if checks.mode == "Strict":
            raise BadRequestError(f"{cannot}: strict decoding error: {', '.join(found)}")
        checks.warnings += found
    return out
