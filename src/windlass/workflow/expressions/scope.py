"""Evaluation against contexts and functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from windlass.workflow.expressions.errors import ExpressionError
from windlass.workflow.expressions.functions import ARITY, BUILTIN, MAX_ARGUMENTS, MAX_RESULT
from windlass.workflow.expressions.nodes import Run
from windlass.workflow.expressions.parser import Names, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping


class Scope:
    """What names stand for: contexts by name, and functions beyond those that are always there.

    `allowed` are names of contexts that may be used though they have no value here (they are null then).
    `limit` bounds the memory of texts that one evaluation makes, in bytes. Cheap to make, immutable.
    """

    __slots__ = ("contexts", "functions", "limit", "names")

    def __init__(
        self,
        contexts: Mapping[str, Any],
        functions: Mapping[str, Callable[..., Any]] | None = None,
        *,
        allowed: Iterable[str] = (),
        limit: int = MAX_RESULT,
    ) -> None:
        self.contexts = {name.lower(): value for name, value in contexts.items()}
        self.functions = {name.lower(): call for name, call in (functions or {}).items()}
        self.limit = limit
        known = {name: ARITY.get(name, (0, MAX_ARGUMENTS)) for name in (*BUILTIN, *self.functions)}
        self.names = Names(
            frozenset(self.contexts).union(name.lower() for name in allowed),
            frozenset((name, *arity) for name, arity in known.items()),
        )

    def extended(
        self, contexts: Mapping[str, Any], functions: Mapping[str, Callable[..., Any]] | None = None
    ) -> Scope:
        """Return a scope with these contexts and functions added or replaced."""
        return Scope(
            {**self.contexts, **{name.lower(): value for name, value in contexts.items()}},
            {**self.functions, **{name.lower(): call for name, call in (functions or {}).items()}},
            allowed=self.names.contexts or (),
            limit=self.limit,
        )


def evaluate(text: str, scope: Scope) -> Any:
    """Evaluate an expression without `${{ }}` around it.

    Raises `ExpressionError`; where a function of the caller raises `ExpressionError` itself, that.
    """
    node = parse(text, scope.names)
    try:
        return node.evaluate(Run(scope.contexts, scope.functions, scope.limit))
    except ExpressionError as error:
        error.expression = error.expression or text
        raise
    except RecursionError:
        raise ExpressionError("evaluation", "Maximum object depth exceeded", text) from None
