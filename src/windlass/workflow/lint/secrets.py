"""`secret-in-if`: GitHub's own error, said so that one knows what to do."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from windlass.syntax import Mapping, Scalar, Sequence
from windlass.workflow.lint.rules import RULES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from windlass.syntax import Diagnostic, Node

_ERROR = "Unrecognized named-value: 'secrets'"


def explain(root: Node | None, diagnostics: tuple[Diagnostic, ...]) -> list[Diagnostic]:
    """Return the parser's findings, those of a secret in an `if` under a code and with a hint of their own."""
    if root is None or not any(item.message.startswith(_ERROR) for item in diagnostics):
        return list(diagnostics)
    lines = {line for node in _conditions(root) for line in range(node.span.line, node.span.end_line + 1)}
    rule = RULES["secret-in-if"]
    made: list[Diagnostic] = []
    for item in diagnostics:
        if item.message.startswith(_ERROR) and item.span and item.span.line in lines:
            message = f"Secrets cannot be read in an `if`: {item.message}. {rule.help}"
            changed = replace(item, code=rule.code, message=message, link=rule.link)
            if all((changed.span, changed.code) != (other.span, other.code) for other in made):
                made.append(changed)
        else:
            made.append(item)
    return made


def _conditions(root: Node) -> Iterator[Node]:
    open_: list[Node] = [root]
    while open_:
        node = open_.pop()
        if isinstance(node, Sequence):
            open_ += node.items
        elif isinstance(node, Mapping):
            for key, value in node.entries:
                if isinstance(key, Scalar) and key.text in {"if", "pre-if", "post-if"}:
                    yield value
                open_.append(value)
