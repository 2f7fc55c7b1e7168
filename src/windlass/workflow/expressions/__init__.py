"""GitHub's expression language: tokens, a Pratt parser, evaluation, and `${{ }}` in texts."""

from windlass.workflow.expressions.errors import ExpressionError
from windlass.workflow.expressions.functions import status_functions
from windlass.workflow.expressions.scope import Scope, evaluate
from windlass.workflow.expressions.template import condition, interpolate, normalised, resolve
from windlass.workflow.expressions.values import to_json, to_string, truthy

__all__ = [
    "ExpressionError",
    "Scope",
    "condition",
    "evaluate",
    "interpolate",
    "normalised",
    "resolve",
    "status_functions",
    "to_json",
    "to_string",
    "truthy",
]
