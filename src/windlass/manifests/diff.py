"""What of a live object differs from what is wanted: only the fields that were asked for are compared."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from windlass.manifests.kustomize.strategic import merge_keys

if TYPE_CHECKING:
    from collections.abc import Iterator

    from windlass.manifests.objects import Object

QUANTITY = re.compile(r"^([+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?)(Ki|Mi|Gi|Ti|Pi|Ei|[numkMGTPE])?$")
UNITS = {"n": "1e-9", "u": "1e-6", "m": "1e-3", "k": "1e3", "M": "1e6", "G": "1e9", "T": "1e12"}
UNITS |= {"P": "1e15", "E": "1e18"}
BINARY = {unit: Decimal(1024) ** power for power, unit in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), 1)}
IGNORED = frozenset({"status"})
METADATA = ("labels", "annotations", "finalizers", "ownerReferences")
MISSING = object()


@dataclass(frozen=True, slots=True)
class Difference:
    """One field: where, what is wanted, and what is there (None: nothing)."""

    path: str
    wanted: Any
    live: Any


def quantity(text: Any) -> Decimal | None:
    """Return a Kubernetes quantity (`500m`, `1Gi`) as a number, or None."""
    match = QUANTITY.match(str(text))
    if match is None:
        return None
    try:
        factor = BINARY.get(match[2] or "") or Decimal(UNITS.get(match[2] or "", "1"))
        return Decimal(match[1]) * factor
    except InvalidOperation:
        return None


def _same_scalar(wanted: Any, live: Any, path: str) -> bool:
    if wanted == live and isinstance(wanted, bool) == isinstance(live, bool):
        return True
    if isinstance(wanted, (dict, list)) or isinstance(live, (dict, list)):
        return False
    measured = re.search(r"\.(requests|limits|capacity|hard|storage|sizeLimit|maxUnavailable)\b", path)
    if measured:
        left, right = quantity(wanted), quantity(live)
        return left is not None and left == right
    return False


def _empty(value: Any) -> bool:
    return value is None or value in ({}, [])


def _compare(wanted: Any, live: Any, path: str, field: str) -> Iterator[Difference]:
    if isinstance(wanted, dict) and isinstance(live, dict):
        for key, value in wanted.items():
            there = live.get(key, MISSING)
            if there is MISSING:
                if not _empty(value):
                    yield Difference(f"{path}.{key}", value, None)
            else:
                yield from _compare(value, there, f"{path}.{key}", str(key))
    elif isinstance(wanted, list) and isinstance(live, list):
        yield from _lists(wanted, live, path, field)
    elif not (_empty(wanted) and _empty(live)) and not _same_scalar(wanted, live, path):
        yield Difference(path, wanted, live)


def _lists(wanted: list[Any], live: list[Any], path: str, field: str) -> Iterator[Difference]:
    if len(wanted) != len(live):
        yield Difference(path, wanted, live)
        return
    whole = all(isinstance(item, dict) for item in [*wanted, *live])
    keys = merge_keys(field, wanted) if whole else ()
    for index, item in enumerate(wanted):
        there = live[index]
        if keys:
            used = [key for key in keys if key in item]
            there = next((one for one in live if all(one.get(k) == item.get(k) for k in used)), None)
        yield from _compare(item, there, f"{path}[{index}]", "")


def _normal(item: Object) -> Object:
    """Leave out what is the server's, and write Secrets as the server keeps them."""
    out = {key: value for key, value in item.items() if key not in IGNORED}
    meta = item.get("metadata") or {}
    out["metadata"] = {key: meta[key] for key in METADATA if key in meta}
    if item.get("kind") == "Secret" and isinstance(item.get("stringData"), dict):
        plain = {
            key: base64.b64encode(str(text).encode()).decode() for key, text in item["stringData"].items()
        }
        out["data"] = {**(item.get("data") or {}), **plain}
        out.pop("stringData")
    return out


def differences(wanted: Object, live: Object) -> list[Difference]:
    """Return the fields of `wanted` that `live` does not have so; what others or defaults added is left out."""
    return list(_compare(_normal(wanted), _normal(live), "", ""))
