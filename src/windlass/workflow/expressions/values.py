"""Values and their coercions.

A value is None, a bool, an int or float (one kind, as a double), a str, a list, or a mapping with string
keys that are looked up without regard to case.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

_DECIMAL = re.compile(r"[+-]?(?:[0-9]++\.?+[0-9]*+|\.[0-9]++)(?:[eE][+-]?[0-9]++)?+\Z")
_BASED = re.compile(r"0x[0-9a-fA-F]+\Z|0o[0-7]+\Z")
_EXACT = 10**15
_LONGEST_NUMBER = 4096
_PRIMITIVE = (str, bool, int, float, type(None))


class Filtered(list[Any]):
    """What the object filter `*` gives: an array over whose items further accesses are spread."""


def is_primitive(value: Any) -> bool:
    """Return whether it is neither an array nor an object."""
    return isinstance(value, _PRIMITIVE)


def kind(value: Any) -> str:
    """Return GitHub's name of the value's kind."""
    if value is None:
        return "Null"
    if isinstance(value, bool):
        return "Boolean"
    if isinstance(value, (int, float)):
        return "Number"
    if isinstance(value, str):
        return "String"
    return "Object" if isinstance(value, Mapping) else "Array"


def truthy(value: Any) -> bool:
    """Return the value's truth: null, false, 0, NaN and the empty string are false, objects are true."""
    if isinstance(value, (bool, str)) or value is None:
        return bool(value)
    if isinstance(value, (int, float)):
        return value == value and value != 0  # noqa: PLR0124 NaN differs from itself
    return True


def parse_number(text: str) -> float:
    """Read a number as GitHub does: blank is 0, hexadecimal and octal are known, all else is NaN."""
    text = text.strip()
    if not text:
        return 0.0
    if len(text) > _LONGEST_NUMBER:
        return math.nan
    if _DECIMAL.match(text):
        return float(text)
    if _BASED.match(text):
        return float(int(text, 0)) if len(text) < 256 else math.inf
    return {"Infinity": math.inf, "+Infinity": math.inf, "-Infinity": -math.inf}.get(text, math.nan)


def to_number(value: Any) -> float:
    """Coerce to a number; arrays and objects are NaN."""
    if isinstance(value, str):
        return parse_number(value)
    if value is None:
        return 0.0
    if isinstance(value, (bool, int, float)):
        try:
            return float(value)
        except OverflowError:
            return math.inf if value > 0 else -math.inf
    return math.nan


def to_string(value: Any) -> str:
    """Coerce to a string; arrays and objects give the name of their kind."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return number_text(value)
    return kind(value)


def number_text(value: float) -> str:
    """Write a number with at most 15 significant digits, whole numbers without a fraction."""
    if isinstance(value, int) and -_EXACT < value < _EXACT:
        return str(value)
    value = to_number(value)
    if value == 0:
        return "0"
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    return f"{value:.15G}"


def fold(text: str) -> str:
    """Return the text's upper case, character by character, by which texts are compared."""
    if text.isascii():
        return text.upper()
    return "".join(_fold_one(char) for char in text)


def _fold_one(char: str) -> str:
    upper = char.upper()
    return char if char == "\u0131" or len(upper) != 1 else upper


def _pair(left: Any, right: Any) -> tuple[Any, Any] | None:
    """Bring two values to one kind, None where that cannot be: both str, both float, or both as they are."""
    if isinstance(left, str) and isinstance(right, str):
        return fold(left), fold(right)
    if is_primitive(left) and is_primitive(right):
        return to_number(left), to_number(right)
    return None


def equals(left: Any, right: Any) -> bool:
    """Compare loosely: strings without case, other primitives as numbers, arrays and objects by identity."""
    if left is None and right is None:
        return True
    pair = _pair(left, right)
    return left is right if pair is None else bool(pair[0] == pair[1])


def greater(left: Any, right: Any) -> bool:
    """Return whether `left > right`, coerced as for `equals`; null, null and objects are never greater."""
    pair = _pair(left, right)
    if pair is None:
        return False
    if isinstance(pair[0], str):
        return _units(pair[0]) > _units(pair[1])
    return bool(pair[0] > pair[1])


def _units(text: str) -> bytes:
    """Return what orders as UTF-16 code units do."""
    return text.encode("utf-16-be", "surrogatepass")


def lookup(mapping: Mapping[str, Any], key: str, default: Any = None) -> Any:
    """Return the value under the key without regard to case; an exact match is found first and fast."""
    try:
        return mapping[key]
    except KeyError:
        wanted = fold(key)
        for name, value in mapping.items():
            if fold(name) == wanted:
                return value
        return default


def from_json(text: str) -> Any:
    """Parse strict JSON (no NaN). Raises ValueError."""
    try:
        return json.loads(text, parse_constant=_refuse, object_pairs_hook=_object)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object; of keys that differ in case only the first gives the name, the last the value."""
    first: dict[str, str] = {}
    return {first.setdefault(fold(key), key): value for key, value in pairs}


def to_json(value: Any, indent: str = "") -> str:
    """Write a value as JSON with an indent of two blanks."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, (int, float)):
        return number_text(value) if math.isfinite(value) else "null"
    deeper = indent + "  "
    if isinstance(value, Mapping):
        items = [
            f"{json.dumps(key, ensure_ascii=False)}: {to_json(item, deeper)}" for key, item in value.items()
        ]
        opening, closing = "{}"
    else:
        items = [to_json(item, deeper) for item in value]
        opening, closing = "[]"
    if not items:
        return opening + closing
    body = f",\n{deeper}".join(items)
    return f"{opening}\n{deeper}{body}\n{indent}{closing}"
