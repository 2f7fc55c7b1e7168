"""The tree of an expression; each node evaluates itself.

`position` is the 1-based offset of the node's first token.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from windlass.workflow.expressions.errors import ExpressionError
from windlass.workflow.expressions.functions import BUILTIN, MAX_RESULT, case, too_large
from windlass.workflow.expressions.values import (
    Filtered,
    equals,
    greater,
    is_primitive,
    lookup,
    to_number,
    to_string,
    truthy,
)

_MISSING = object()
_STRING_OVERHEAD = 26


class Run:
    """One evaluation: what names stand for, and how much memory its texts may take, in bytes."""

    __slots__ = ("contexts", "functions", "limit", "used")

    def __init__(
        self,
        contexts: Mapping[str, Any],
        functions: Mapping[str, Callable[..., Any]],
        limit: int = MAX_RESULT,
    ) -> None:
        self.contexts = contexts
        self.functions = functions
        self.limit = limit
        self.used = 0


@dataclass(frozen=True, slots=True)
class Node:
    """Any node."""

    position: int

    def evaluate(self, run: Run) -> Any:
        """Return the node's value."""
        raise NotImplementedError

    def children(self) -> tuple[Node, ...]:
        """Return the nodes right below, in the order of the text."""
        return ()

    def walk(self) -> Iterator[Node]:
        """Yield this node and all below it."""
        open_: list[Node] = [self]
        while open_:
            node = open_.pop()
            yield node
            open_ += reversed(node.children())


@dataclass(frozen=True, slots=True)
class Literal(Node):
    """A constant."""

    value: Any

    def evaluate(self, run: Run) -> Any:  # noqa: ARG002 every node has this shape
        """Return the constant."""
        return self.value


@dataclass(frozen=True, slots=True)
class Name(Node):
    """A context; null where it has no value here."""

    name: str

    def evaluate(self, run: Run) -> Any:
        """Return the context."""
        return run.contexts.get(self.name.lower())


@dataclass(frozen=True, slots=True)
class Index(Node):
    """`of[key]` or `of.key`. A key of None is the object filter `*`."""

    of: Node
    key: Node | None

    def children(self) -> tuple[Node, ...]:
        """Return what is dereferenced and the key."""
        return (self.of,) if self.key is None else (self.of, self.key)

    def evaluate(self, run: Run) -> Any:
        """Return the item, null where there is none, or a filtered array."""
        value = self.of.evaluate(run)
        if self.key is None:
            return _spread(value)
        key = self.key.evaluate(run)
        if isinstance(value, Filtered):
            found = (_item(item, key, _MISSING) for item in value)
            return Filtered(item for item in found if item is not _MISSING)
        return _item(value, key, None)


def _spread(value: Any) -> Filtered:
    if isinstance(value, Filtered):
        return Filtered(inner for item in value for inner in _values(item))
    return Filtered(_values(value))


def _values(value: Any) -> Any:
    if isinstance(value, Mapping):
        return value.values()
    return value if isinstance(value, (list, tuple)) else ()


def _item(value: Any, key: Any, default: Any) -> Any:
    if isinstance(value, Mapping):
        return lookup(value, to_string(key), default) if is_primitive(key) else default
    if isinstance(value, (list, tuple)):
        number = to_number(key)
        if math.isfinite(number) and 0 <= number < len(value):
            return value[int(number)]
    return default


@dataclass(frozen=True, slots=True)
class Call(Node):
    """A call of a function."""

    name: str
    arguments: tuple[Node, ...]

    def children(self) -> tuple[Node, ...]:
        """Return the arguments."""
        return self.arguments

    def evaluate(self, run: Run) -> Any:
        """Call the function and account for the text that it makes."""
        name = self.name.lower()
        before = run.used
        if name == "case":
            return case([_Thunk(argument, run) for argument in self.arguments])
        function = run.functions.get(name)
        if function is None:
            builtin = BUILTIN.get(name)
            if builtin is None:
                raise ExpressionError("evaluation", f"Unrecognized function: '{self.name}'")
            function = builtin.call
        result = function(*[argument.evaluate(run) for argument in self.arguments])
        run.used = before
        if isinstance(result, str):
            run.used += 2 * len(result) + _STRING_OVERHEAD
            if run.used > run.limit:
                raise too_large()
        return result


class _Thunk:
    __slots__ = ("node", "run")

    def __init__(self, node: Node, run: Run) -> None:
        self.node = node
        self.run = run

    def __call__(self) -> Any:
        return self.node.evaluate(self.run)


@dataclass(frozen=True, slots=True)
class Not(Node):
    """`!operand`."""

    operand: Node

    def children(self) -> tuple[Node, ...]:
        """Return the operand."""
        return (self.operand,)

    def evaluate(self, run: Run) -> Any:
        """Return whether the operand is not true."""
        return not truthy(self.operand.evaluate(run))


_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": equals,
    "!=": lambda left, right: not equals(left, right),
    ">": greater,
    ">=": lambda left, right: equals(left, right) or greater(left, right),
    "<": lambda left, right: greater(right, left),
    "<=": lambda left, right: equals(left, right) or greater(right, left),
}


@dataclass(frozen=True, slots=True)
class Compare(Node):
    """A comparison."""

    operator: str
    left: Node
    right: Node

    def children(self) -> tuple[Node, ...]:
        """Return both sides."""
        return (self.left, self.right)

    def evaluate(self, run: Run) -> Any:
        """Return whether it holds."""
        left = self.left.evaluate(run)
        return _COMPARE[self.operator](left, self.right.evaluate(run))


@dataclass(frozen=True, slots=True)
class Logic(Node):
    """`a && b && …` or `a || b || …`, flat; the value is that of the operand that decides."""

    stop: bool  # the truth at which it ends: True for ||, False for &&
    operands: tuple[Node, ...]

    def children(self) -> tuple[Node, ...]:
        """Return the operands."""
        return self.operands

    def evaluate(self, run: Run) -> Any:
        """Return the first operand that decides, else the last."""
        value = None
        for operand in self.operands:
            value = operand.evaluate(run)
            if truthy(value) is self.stop:
                break
        return value
