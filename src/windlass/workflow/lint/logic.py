"""What a condition can come to when only part of what it names is known: a value, or UNKNOWN."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from windlass.workflow.expressions.errors import ExpressionError
from windlass.workflow.expressions.functions import BUILTIN
from windlass.workflow.expressions.nodes import Call, Compare, Literal, Logic, Node, Not, Run
from windlass.workflow.expressions.values import truthy
from windlass.workflow.lint.paths import path_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class _Unknown:
    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = _Unknown()
_PURE = frozenset({"contains", "startswith", "endswith", "format"})
_REFS = frozenset({"github.ref"})


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known. `values` by path, `functions` by name (status functions), all in lower case.

    `ref_prefixes` are those with which `github.ref` begins, empty where that is not known. `differ` are pairs
    of paths whose values are assumed to be different.
    """

    values: Mapping[str, Any] = field(default_factory=dict)
    functions: Mapping[str, bool] = field(default_factory=dict)
    ref_prefixes: tuple[str, ...] = ()
    differ: frozenset[frozenset[str]] = frozenset()


def value_of(node: Node, facts: Facts) -> Any:
    """Return the value of an expression, UNKNOWN where it depends on what is not known."""
    path = path_of(node)
    if path is not None:
        return facts.values.get(path, UNKNOWN)
    if isinstance(node, Literal):
        return node.value
    for kind, evaluate in _KINDS:
        if isinstance(node, kind):
            return evaluate(node, facts)
    return UNKNOWN


def never(node: Node, facts: Facts) -> bool:
    """Whether the condition is false whatever the rest may be."""
    value = value_of(node, facts)
    return value is not UNKNOWN and not truthy(value)


def _not(node: Not, facts: Facts) -> Any:
    value = value_of(node.operand, facts)
    return UNKNOWN if value is UNKNOWN else not truthy(value)


def _logic(node: Logic, facts: Facts) -> Any:
    unknown = False
    value: Any = None
    for operand in node.operands:
        value = value_of(operand, facts)
        if value is UNKNOWN:
            unknown = True
        elif truthy(value) is node.stop:  # decides: x || true, x && false
            return node.stop if unknown else value
    return UNKNOWN if unknown else value


def _compare(node: Compare, facts: Facts) -> Any:
    left, right = path_of(node.left), path_of(node.right)
    if node.operator in {"==", "!="}:
        if left and right and frozenset((left, right)) in facts.differ:
            return node.operator == "!="
        for path, other in ((left, node.right), (right, node.left)):
            if (
                path in _REFS
                and isinstance(other, Literal)
                and _impossible(str(other.value), facts, whole=True)
            ):
                return node.operator == "!="
    return _computed(node, (node.left, node.right), facts)


def _call(node: Call, facts: Facts) -> Any:
    name = node.name.lower()
    if name in facts.functions and not node.arguments:
        return facts.functions[name]
    if name == "startswith" and len(node.arguments) == 2:
        first, second = node.arguments
        if path_of(first) in _REFS and isinstance(second, Literal):
            return False if _impossible(str(second.value), facts, whole=False) else UNKNOWN
    return _computed(node, node.arguments, facts) if name in _PURE else UNKNOWN


def _impossible(text: str, facts: Facts, *, whole: bool) -> bool:
    text = text.lower()
    return bool(facts.ref_prefixes) and not any(
        text.startswith(prefix) or (not whole and prefix.startswith(text)) for prefix in facts.ref_prefixes
    )


def _computed(node: Compare | Call, operands: tuple[Node, ...], facts: Facts) -> Any:
    values = [value_of(operand, facts) for operand in operands]
    if any(value is UNKNOWN for value in values):
        return UNKNOWN
    known = tuple(Literal(operand.position, value) for operand, value in zip(operands, values, strict=True))
    try:
        if isinstance(node, Compare):
            return Compare(node.position, node.operator, known[0], known[1]).evaluate(Run({}, {}))
        return Call(node.position, node.name, known).evaluate(Run({}, _functions()))
    except ExpressionError:
        return UNKNOWN


def _functions() -> dict[str, Callable[..., Any]]:
    return {name: BUILTIN[name].call for name in _PURE if name in BUILTIN}


_KINDS: tuple[tuple[type[Node], Callable[[Any, Facts], Any]], ...] = (
    (Not, _not),
    (Logic, _logic),
    (Compare, _compare),
    (Call, _call),
)
