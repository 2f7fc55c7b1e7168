"""YAML nodes that know where they stand, with scalars resolved by the YAML 1.2 core schema.

Treat nodes as immutable: an alias shares the node of its anchor.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from windlass.syntax.diagnostics import Span

if TYPE_CHECKING:
    from yaml.error import Mark

Value: TypeAlias = bool | int | float | str | None

TAG = "tag:yaml.org,2002:"
_CONSTANTS: dict[str, Value] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((sign + inf for sign in ("", "+") for inf in (".inf", ".Inf", ".INF")), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}
_NUMBER = re.compile(
    r"(?P<int>[-+]?[0-9]+)|(?P<hex>0x[0-9a-fA-F]+)|(?P<oct>0o[0-7]+)"
    r"|(?P<float>[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?)"
)
_START = frozenset("0123456789+-.~nNtTfF")
_LONGEST_NUMBER = 300


@dataclass(slots=True, eq=False)
class Node:
    """Any node. The marks are libyaml's: 0-based, `index` in code points."""

    start: Mark
    end: Mark

    @property
    def line(self) -> int:
        """The 1-based line on which the node starts, its tag and anchor included."""
        return int(self.start.line) + 1

    @property
    def column(self) -> int:
        """The 1-based column at which the node starts."""
        return int(self.start.column) + 1

    @property
    def span(self) -> Span:
        """Where the node stands."""
        return Span(self.line, self.column, int(self.end.line) + 1, int(self.end.column) + 1)


@dataclass(slots=True, eq=False)
class Scalar(Node):
    """A scalar. `text` is what was written without quotes; `tag` is None where none was written.

    `style` is one of "" (plain), "'", '"', "|", ">".
    """

    value: Value
    text: str
    style: str = ""
    tag: str | None = None


@dataclass(slots=True, eq=False)
class Sequence(Node):
    """A sequence."""

    items: list[Node]


@dataclass(slots=True, eq=False)
class Mapping(Node):
    """A mapping, in the order of the file, duplicates included."""

    entries: list[tuple[Node, Node]]

    def get(self, key: str) -> Node | None:
        """Return the value of the first scalar key that was written so."""
        for name, value in self.entries:
            if isinstance(name, Scalar) and name.text == key:
                return value
        return None


class InvalidValueError(ValueError):
    """A scalar does not fit the tag that was written before it."""


def resolve(text: str, style: str, tag: str | None) -> Value:
    """Return a scalar's value. Raises `InvalidValueError` where an explicit tag does not fit."""
    if tag is None:
        return _plain(text) if not style else text
    if tag == TAG + "str" or tag == "!":
        return text
    if style:
        raise InvalidValueError(f"not valid with the tag '{tag}'")
    value = _plain(text)
    kind = tag.removeprefix(TAG)
    fits = {
        "null": value is None,
        "bool": isinstance(value, bool),
        "int": isinstance(value, int) and not isinstance(value, bool),
        "float": isinstance(value, (int, float)) and not isinstance(value, bool),
    }
    if kind == tag or kind not in fits:
        raise InvalidValueError(f"Unexpected tag '{tag}'")
    if not fits[kind]:
        raise InvalidValueError(f"invalid for the type '{tag}'")
    return value


def _plain(text: str) -> Value:
    if text and text[0] not in _START:
        return text
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    match = _NUMBER.fullmatch(text)
    if match is None or len(text) > _LONGEST_NUMBER:
        return text
    kind = match.lastgroup
    if kind == "float":
        return float(text)
    return int(text, {"int": 10, "hex": 16, "oct": 8}[str(kind)])


def plain(node: Node | None) -> Any:
    """Return the node as plain data. Keys become strings as written; of duplicates the last one counts."""
    if isinstance(node, Scalar):
        return node.value
    if isinstance(node, Sequence):
        return [plain(item) for item in node.items]
    if isinstance(node, Mapping):
        return {key.text if isinstance(key, Scalar) else "": plain(value) for key, value in node.entries}
    return None
