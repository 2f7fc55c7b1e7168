"""What an expression names: `github.event.issue.title` out of its tree."""

from __future__ import annotations

from typing import TYPE_CHECKING

from windlass.workflow.expressions.nodes import Index, Literal, Name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from windlass.workflow.expressions.nodes import Node


def path_of(node: Node) -> str | None:
    """Return the dotted path that a node names, in lower case; `*` for an index, a filter or an unknown key."""
    parts: list[str] = []
    while isinstance(node, Index):
        key = node.key
        if isinstance(key, Literal) and isinstance(key.value, str) and key.value and "." not in key.value:
            parts.append(key.value.lower())
        else:
            parts.append("*")
        node = node.of
    if not isinstance(node, Name):
        return None
    return ".".join([node.name.lower(), *reversed(parts)])


def named(root: Node) -> Iterator[tuple[str, Node]]:
    """Yield each path that an expression names, as long as it is, with its node."""
    open_ = [root]
    while open_:
        node = open_.pop()
        path = path_of(node)
        if path is None:
            open_ += node.children()
            continue
        yield path, node
        while isinstance(node, Index):  # what stands in brackets names things too
            if node.key is not None:
                open_.append(node.key)
            node = node.of
