"""Where parts of a scalar stand in the file."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from windlass.syntax import Node, Span
from windlass.workflow.expressions.template import OPEN, Inset

if TYPE_CHECKING:
    from collections.abc import Sequence


def written(node: Node, source: str) -> str:
    """Return a node as it stands in the file."""
    return source[node.start.index : node.end.index]


def stretch(node: Node, source: str, start: int, end: int) -> Span:
    """Return the span of an offset range of `written`, cut at the end of its line."""
    text = written(node, source)
    before = text[:start]
    line = node.line + before.count("\n")
    column = start - before.rfind("\n") if "\n" in before else node.column + start
    stop = text.find("\n", start, end)
    return Span(line, column, line, column + (stop if stop >= 0 else end) - start)


def whole(node: Node, source: str, text: str, position: int) -> Span | None:
    """Return where a 1-based position of a text stands in the scalar, None where it is written otherwise."""
    found = _flexible(text).search(written(node, source))
    return _symbol(node, source, found, text, position) if found else None


def inset(node: Node, source: str, insets: Sequence[Inset], number: int, position: int) -> Span | None:
    """Return where a 1-based position of one of a scalar's expressions stands; 0 is the expression.

    Where escapes have changed its text, it is the expression with its braces.
    """
    text = written(node, source)
    found = None
    start = end = 0
    for item in insets[: number + 1]:
        start = text.find(OPEN, end)
        if start < 0:
            return None
        end = start + len(OPEN)
        found = re.compile(rf"\s*({_flexible(item.expression).pattern})").match(text, end)
        end = found.end() if found else end
    if found and insets[number].expression:
        return _symbol(node, source, found, insets[number].expression, position)
    close = text.find("}}", start)
    return stretch(node, source, start, len(text) if close < 0 else close + 2)


def _symbol(node: Node, source: str, found: re.Match[str], text: str, position: int) -> Span:
    start = found.start(found.re.groups)
    if not position:
        return stretch(node, source, start, found.end())
    before = _flexible(text[: position - 1]).match(found.string, start)
    start = before.end() if before else start
    return stretch(node, source, start, start + 1)


def _flexible(text: str) -> re.Pattern[str]:
    """Return what finds a text whose lines may be indented or folded in the file."""
    return re.compile(
        "".join(r"\s+" if part.isspace() else re.escape(part) for part in re.split(r"(\s+)", text))
    )
