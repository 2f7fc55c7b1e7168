"""Checks YAML nodes against the grammar and finds the expressions in them.

All errors are collected, in the order and words of GitHub's own reader; what is wrong is skipped.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from windlass.syntax import Mapping, Node, Scalar, Sequence, Span
from windlass.workflow.expressions.errors import ExpressionError
from windlass.workflow.expressions.parser import Names, parse
from windlass.workflow.expressions.template import OPEN, Inset, joined, split
from windlass.workflow.expressions.values import to_string
from windlass.workflow.grammar.types import ANY, NOWHERE, Type, allowed
from windlass.workflow.reading import places
from windlass.workflow.reading.tokens import Expression, Insert, Literal, MappingToken, SequenceToken, Token

if TYPE_CHECKING:
    from collections.abc import Iterator

    from windlass.workflow.grammar import types
    from windlass.workflow.reading.problems import Problems

_CONSTANT = re.compile(r"'(?:[^']|'')*'")
_BACKGROUND = frozenset({"background", "wait", "wait-all", "cancel"})
_BACKGROUND_ONLY = _BACKGROUND - {"background"}
_NOT_ALLOWED = "A template expression is not allowed in this context"


class TooDeepError(Exception):
    """Mappings and sequences are nested deeper than is allowed."""


class Reader:
    """Reads the nodes of one file. Without `background`, background steps are unknown, as they were once."""

    def __init__(self, problems: Problems, file: int, *, background: bool = True, depth: int = 50) -> None:
        self.problems = problems
        self.file = file
        self.background = background
        self.depth = depth

    def read(self, node: Node, kind: Type, surroundings: Names = NOWHERE) -> Token:
        """Return the node as a token; what does not fit the type is noted. Raises `TooDeepError`."""
        names = allowed(surroundings, kind.names)
        if isinstance(node, Scalar):
            return self._fit(self._scalar(node, names), kind, names)
        if self.depth <= 0:
            raise TooDeepError
        self.depth -= 1
        made = self._collection(node, kind, names)
        self.depth += 1
        return made

    def _collection(self, node: Node, kind: Type, names: Names) -> Token:
        if isinstance(node, Sequence):
            items: list[Token] = []
            if kind.item is None:
                self._error(node, "A sequence was not expected", "unexpected-sequence")
            else:
                items = [self.read(item, kind.item, names) for item in node.items]
            return SequenceToken(node, self.file, items)
        made = MappingToken(node, self.file, [])
        if not isinstance(node, Mapping) or not kind.mappings:
            self._error(node, "A mapping was not expected", "unexpected-mapping")
        elif len(kind.mappings) == 1 and not kind.mappings[0].keys and kind.mappings[0].any_key:
            self._loose(node, kind.mappings[0], names, made)
        else:
            self._known(node, list(kind.mappings), names, made)
        return made

    def _error(self, node: Node, message: str, code: str, span: Span | None = None) -> None:
        self.problems.at(node, self.file, message, code, span=span)

    def _fit(self, token: Token, kind: Type, names: Names) -> Token:
        if not isinstance(token, Literal):
            if isinstance(token, Insert):
                self._error(token.node, f"Unexpected value '{token.raw}'", "unexpected-value")
            elif not names.contexts:
                self._error(token.node, _NOT_ALLOWED, "expression-not-allowed")
            return token
        value = token.value
        if any(scalar.accepts(value) for scalar in kind.scalars):
            return token
        written = to_string(value)
        if not isinstance(value, str) and any(scalar.accepts(written) for scalar in kind.scalars):
            return Literal(token.node, token.file, written, written)
        self._error(token.node, f"Unexpected value '{written}'", "unexpected-value")
        return token

    def _keys(self, node: Mapping, names: Names) -> Iterator[tuple[Token, Node]]:
        """Yield each key with its value, a literal key only once."""
        seen: set[str] = set()
        for key_node, value_node in node.entries:
            if not isinstance(key_node, Scalar):
                self._error(key_node, "Expected a scalar value", "unexpected-value")
                continue
            key = self._scalar(key_node, names)
            if not isinstance(key, Literal):
                yield key, value_node
                continue
            name = to_string(key.value)
            if name and name.upper() in seen:
                self._error(key_node, f"'{name}' is already defined", "duplicate-key")
                continue
            seen.add(name.upper())
            yield Literal(key_node, self.file, name, name), value_node

    def _loose(self, node: Mapping, kind: types.Mapping, names: Names, made: MappingToken) -> None:
        value_kind = kind.any_value or ANY
        for key, value_node in self._keys(node, names):
            if not isinstance(key, Literal):
                if not names.contexts:
                    self._error(key.node, _NOT_ALLOWED, "expression-not-allowed")
                    continue
            elif kind.any_key is not None:
                self._fit(key, kind.any_key, names)
            made.pairs.append((key, self.read(value_node, value_kind, names)))

    def _known(self, node: Mapping, kinds: list[types.Mapping], names: Names, made: MappingToken) -> None:
        loose = kinds[0] if kinds[0].any_key else None
        expressions = False
        given: set[str] = set()
        for key, value_node in self._keys(node, names):
            if not isinstance(key, Literal):
                expressions = True
                if names.contexts:
                    made.pairs.append((key, self.read(value_node, ANY, names)))
                else:
                    self._error(key.node, _NOT_ALLOWED, "expression-not-allowed")
                continue
            name = str(key.value)
            given.add(name.upper())
            value_kind = self._match(kinds, name)
            if value_kind is None and loose is not None and loose.any_key is not None:
                self._fit(key, loose.any_key, names)
                value_kind = loose.any_value
            if value_kind is None:
                self._error(key.node, f"Unexpected value '{name}'", "unexpected-key")
                continue
            made.pairs.append((key, self.read(value_node, value_kind, names)))
        if len(kinds) > 1:
            self._undecided(node, kinds)
        elif not expressions:
            for required in kinds[0].required:
                if required.upper() not in given:
                    self._error(node, f"Required property is missing: {required}", "missing-key")

    def _match(self, kinds: list[types.Mapping], name: str) -> Type | None:
        """Return the type of a known key, and drop the mapping types that do not know it."""
        found = [kind for kind in kinds if name in kind.keys]
        if not found:
            return None
        kinds[:] = found
        if not self.background and name in _BACKGROUND:
            return None
        return found[-1].keys[name]

    def _undecided(self, node: Mapping, kinds: list[types.Mapping]) -> None:
        names = [name for kind in kinds for name in kind.keys]
        telling = sorted(name for name in names if names.count(name) == 1)
        if not self.background:
            telling = [name for name in telling if name not in _BACKGROUND_ONLY]
        message = (
            "There's not enough info to determine what you meant. "
            f"Add one of these properties: {', '.join(telling)}"
        )
        self._error(node, message, "ambiguous-mapping")

    def _scalar(self, node: Scalar, names: Names) -> Token:
        value = node.value
        if not isinstance(value, str) or OPEN not in value:
            return Literal(node, self.file, value, value)
        plain = Literal(node, self.file, value, value)
        try:
            parts = split(value)
        except ExpressionError as error:
            self._error(node, error.message, "expression-not-closed")
            return plain
        insets = [part for part in parts if isinstance(part, Inset)]
        checked = [
            self._checked(node, insets, number, names) for number in range(len(insets))
        ]  # notes all errors
        if not all(checked):
            return plain
        if any(_directive(inset) for inset in insets):
            return self._insert(node, value, len(parts) == 1)
        if len(parts) == 1 and _CONSTANT.fullmatch(insets[0].expression):
            return Literal(node, self.file, insets[0].expression[1:-1].replace("''", "'"), value)
        return Expression(node, self.file, joined(value), value)

    def _insert(self, node: Scalar, value: str, alone: bool) -> Token:
        if alone:
            return Insert(node, self.file, value)
        message = (
            "The directive 'insert' is not allowed in this context. Directives are not supported for expressions "
            "that are embedded within a string. Directives are only supported when the entire value is an expression."
        )
        self._error(node, message, "unexpected-directive")
        return Literal(node, self.file, value, value)

    def _checked(self, node: Scalar, insets: list[Inset], number: int, names: Names) -> bool:
        inset = insets[number]
        if not inset.expression:
            place = self._place(node, insets, number, 0)
            self._error(node, "An expression was expected", "expression", place)
            return False
        if _directive(inset):
            count = len(inset.expression.split()) - 1
            if count:
                message = "Exactly 0 parameter(s) were expected following the directive 'insert'."
                self._error(node, f"{message} Actual parameter count: {count}", "unexpected-directive")
            return not count
        try:
            parse(inset.expression, names)
        except ExpressionError as error:
            self._error(node, error.message, "expression", self._place(node, insets, number, error.position))
            return False
        return True

    def _place(self, node: Scalar, insets: list[Inset], number: int, position: int) -> Span | None:
        return places.inset(node, self.problems.sources[self.file - 1], insets, number, position)


def _directive(inset: Inset) -> bool:
    return inset.expression == "insert" or inset.expression.startswith(("insert ", "insert\t", "insert\n"))
