"""What a file holds once it is checked against the grammar: values, and expressions told apart from text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from windlass.workflow.expressions.values import to_string

if TYPE_CHECKING:
    from collections.abc import Iterator

    from windlass.syntax import Node, Value

_OBJECT = 24


@dataclass(slots=True, eq=False)
class Token:
    """Any token. `file` counts from 1, in the order in which files were read."""

    node: Node
    file: int

    @property
    def line(self) -> int:
        """The 1-based line on which the token starts."""
        return self.node.line

    @property
    def column(self) -> int:
        """The 1-based column at which the token starts."""
        return self.node.column


@dataclass(slots=True, eq=False)
class Literal(Token):
    """A value without expressions. `raw` is what evaluates to it: only where braces were escaped another."""

    value: Value
    raw: Value


@dataclass(slots=True, eq=False)
class Expression(Token):
    """`expression` is GitHub's form, a call of `format` where text surrounds it; `raw` as it was written."""

    expression: str
    raw: str


@dataclass(slots=True, eq=False)
class Insert(Token):
    """The directive `${{ insert }}`, a key whose value's entries take its place."""

    raw: str


@dataclass(slots=True, eq=False)
class SequenceToken(Token):
    """A sequence."""

    items: list[Token]


@dataclass(slots=True, eq=False)
class MappingToken(Token):
    """A mapping whose keys are unique without regard to case."""

    pairs: list[tuple[Token, Token]]

    def get(self, key: str) -> Token | None:
        """Return the value under a literal key, None where there is none."""
        for name, value in self.pairs:
            if isinstance(name, Literal) and name.value == key:
                return value
        return None

    def literal_pairs(self) -> Iterator[tuple[str, Token]]:
        """Yield the pairs whose key is no expression."""
        for name, value in self.pairs:
            if isinstance(name, Literal):
                yield to_string(name.value), value


def has_expression(token: Token) -> bool:
    """Return whether an expression stands anywhere in it."""
    if isinstance(token, MappingToken):
        return any(has_expression(key) or has_expression(value) for key, value in token.pairs)
    if isinstance(token, SequenceToken):
        return any(has_expression(item) for item in token.items)
    return not isinstance(token, Literal)


def size(token: Token) -> int:
    """Return what a token takes in memory by GitHub's own reckoning, in bytes."""
    if isinstance(token, MappingToken):
        return _OBJECT + sum(size(key) + size(value) for key, value in token.pairs)
    if isinstance(token, SequenceToken):
        return _OBJECT + sum(size(item) for item in token.items)
    written = token.expression if isinstance(token, Expression) else getattr(token, "value", None)
    return _OBJECT + text_size(written) if isinstance(written, str) else _OBJECT


def text_size(written: str) -> int:
    """Return what a text takes in memory by GitHub's own reckoning, in bytes."""
    return 26 + 2 * len(written)


def data(token: Token | None) -> Any:
    """Return the token as plain data, expressions as they were written."""
    if isinstance(token, MappingToken):
        return {to_string(data(key)): data(value) for key, value in token.pairs}
    if isinstance(token, SequenceToken):
        return [data(item) for item in token.items]
    if isinstance(token, (Literal, Expression, Insert)):
        return token.raw
    return None


def text(token: Token | None) -> str:
    """Return the string that a scalar stands for, an expression as it was written; other tokens give none."""
    return to_string(token.value) if isinstance(token, Literal) else template(token)


def template(token: Token | None) -> str:
    """Return a scalar as a text that is still to be evaluated; other tokens give an empty one."""
    return to_string(data(token)) if isinstance(token, (Literal, Expression)) else ""


def strings(token: Token | None) -> tuple[str, ...]:
    """Return one or more scalars as strings."""
    if isinstance(token, SequenceToken):
        return tuple(text(item) for item in token.items)
    return () if token is None or (isinstance(token, Literal) and token.value is None) else (text(token),)
