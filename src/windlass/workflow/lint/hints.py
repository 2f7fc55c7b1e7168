"""What the parser says in GitHub's words, with what to do about it where those words do not tell."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from windlass.workflow.reading.tokens import MappingToken, strings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from windlass.syntax import Diagnostic

_MERGE = "GitHub has no merge keys: use an alias for a whole value, or write the keys out"
_TABS = "This line is indented with a tab; YAML takes spaces only"
_SHOWN = 12
_NUL = "The file holds NUL characters: is it binary, or UTF-16? Save it as UTF-8"


def hinted(diagnostics: Iterable[Diagnostic], root: MappingToken | None, source: str) -> list[Diagnostic]:
    """Return the findings, some with a sentence more. A cycle of needs is drawn once."""
    made: list[Diagnostic] = []
    lines: list[str] | None = None
    drawn = False
    for item in diagnostics:
        if item.code == "yaml-syntax":
            lines = source.splitlines() if lines is None else lines
            hint = _of_yaml(item, lines, source)
        elif item.code == "unexpected-key" and item.message == "Unexpected value '<<'":
            hint = _MERGE
        elif item.code == "needs-cycle" and not drawn:
            hint, drawn = _cycle(root), True
        else:
            hint = ""
        made.append(replace(item, message=f"{item.message.rstrip('.')}. {hint}") if hint else item)
    return made


def _of_yaml(item: Diagnostic, lines: Sequence[str], source: str) -> str:
    if item.span and item.span.line <= len(lines):
        line = lines[item.span.line - 1]
        return _TABS if "\t" in line[: len(line) - len(line.lstrip())] else ""
    return _NUL if "\0" in source else ""


def _cycle(root: MappingToken | None) -> str:
    """Draw one cycle: `a → b → a`, each job needing the next one."""
    jobs = root.get("jobs") if root is not None else None
    if not isinstance(jobs, MappingToken):
        return ""
    needs = {
        name.lower(): [need.lower() for need in strings(job.get("needs"))]
        for name, job in jobs.literal_pairs()
        if isinstance(job, MappingToken)
    }
    found = cycle_in(needs)
    return f"The cycle is {' → '.join(found)}" if 0 < len(found) <= _SHOWN else ""


def cycle_in(needs: Mapping[str, Sequence[str]]) -> list[str]:
    """Return one cycle of a graph, its first node again at the end; empty where there is none."""
    done: set[str] = set()
    for start in needs:
        way: list[str] = []
        open_ = [(start, 0)]
        while open_:
            name, depth = open_.pop()
            for left in way[depth:]:
                done.add(left)
            del way[depth:]
            if name in way:
                return [*way[way.index(name) :], name]
            if name in done or name not in needs:
                continue
            way.append(name)
            open_ += [(need, depth + 1) for need in reversed(needs[name])]
        done.update(way)
    return []
