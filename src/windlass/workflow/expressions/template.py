"""Texts with `${{ }}` in them, and conditions.

    template = { literal text | "${{" expression "}}" }

A `}}` inside an expression's string does not end it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from windlass.workflow.expressions.errors import ExpressionError
from windlass.workflow.expressions.functions import STATUS
from windlass.workflow.expressions.nodes import Call
from windlass.workflow.expressions.parser import Names, parse
from windlass.workflow.expressions.scope import Scope, evaluate
from windlass.workflow.expressions.values import to_string, truthy

OPEN = "${{"
ANYTHING = Names(None, None)
_EXPRESSION = re.compile(r"\$\{\{((?:[^'}]|'[^']*'|\}(?!\}))*+)\}\}")
_NOT_CLOSED = (
    "The expression is not closed. "
    "An unescaped ${{ sequence was found, but the closing }} sequence was not found."
)


class Inset(NamedTuple):
    """An expression within a text: what stands between the braces, stripped."""

    expression: str


@lru_cache(maxsize=4096)
def split(text: str) -> tuple[str | Inset, ...]:
    """Return the literal parts and the expressions of a text, in order. Raises `ExpressionError`."""
    parts: list[str | Inset] = []
    done = 0
    while (start := text.find(OPEN, done)) >= 0:
        match = _EXPRESSION.match(text, start)
        if match is None:
            raise ExpressionError("lexing", _NOT_CLOSED, text, start + 1)
        if start > done:
            parts.append(text[done:start])
        parts.append(Inset(match[1].strip()))
        done = match.end()
    if done < len(text):
        parts.append(text[done:])
    return tuple(parts)


def joined(text: str) -> str:
    """Return one expression for a whole text: itself where it is one, else a call of `format`.

    The text must hold at least one expression. Raises `ExpressionError`.
    """
    parts = split(text)
    if len(parts) == 1:
        return parts[0].expression if isinstance(parts[0], Inset) else quoted(parts[0])
    pattern = ""
    arguments: list[str] = []
    for part in parts:
        if isinstance(part, Inset):
            pattern += f"{{{len(arguments)}}}"
            arguments.append(part.expression)
        else:
            pattern += part.replace("{", "{{").replace("}", "}}")
    return f"format({', '.join([quoted(pattern), *arguments])})"


def quoted(text: str) -> str:
    """Return the text as a string of the expression language."""
    return "'" + text.replace("'", "''") + "'"


def _value(part: str | Inset, scope: Scope) -> Any:
    if isinstance(part, str):
        return part
    if not part.expression:
        raise ExpressionError("parsing", "An expression was expected")
    return evaluate(part.expression, scope)


def interpolate(text: str, scope: Scope) -> str:
    """Return the text with each `${{ }}` replaced by its value as a string. Raises `ExpressionError`."""
    if OPEN not in text:
        return text
    return "".join(to_string(_value(part, scope)) for part in split(text))


def resolve(data: Any, scope: Scope) -> Any:
    """Return data with all expressions in it evaluated, in keys too. Raises `ExpressionError`.

    A string that is one `${{ }}` as a whole becomes the expression's value, whatever its kind. The key
    `${{ insert }}` puts the entries of its value in its place.
    """
    if isinstance(data, str):
        if OPEN not in data:
            return data
        parts = split(data)
        return _value(parts[0], scope) if len(parts) == 1 else interpolate(data, scope)
    if isinstance(data, Mapping):
        made: dict[str, Any] = {}
        for key, value in data.items():
            if OPEN in key and joined(key) == "insert":
                inserted = resolve(value, scope)
                made.update(inserted if isinstance(inserted, Mapping) else {})
            else:
                made[interpolate(key, scope)] = resolve(value, scope)
        return made
    if isinstance(data, (list, tuple)):
        return [resolve(item, scope) for item in data]
    return data


@lru_cache(maxsize=4096)
def normalised(text: str | None) -> str:
    """Return the whole condition of an `if`, without `${{ }}`, with `success() &&` where it names no status.

    Raises `ExpressionError`.
    """
    bare = (text or "").strip()
    if OPEN in bare:
        bare = joined(bare)
    if not bare:
        return "success()"
    tree = parse(bare, ANYTHING)
    if any(isinstance(node, Call) and node.name.lower() in STATUS for node in tree.walk()):
        return bare
    return f"success() && ({bare})"


def condition(text: str | bool | None, scope: Scope) -> bool:
    """Evaluate an `if`: with or without `${{ }}`, with the implied `success()`. Raises `ExpressionError`.

    The scope must have the status functions (`status_functions`).
    """
    return truthy(evaluate(normalised(to_string(text)), scope))
