"""Findings as text for a terminal, as GitHub's annotations, and as JSON."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from windlass.syntax import Diagnostic, Span, render

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from windlass.syntax import Severity
    from windlass.workflow.lint.linting import Linted

LEVELS: tuple[Severity, ...] = ("error", "warning", "info")
_NOUNS = {"error": "error", "warning": "warning", "info": "note"}
_COMMANDS = {"error": "error", "warning": "warning", "info": "notice"}
_UNPRINTABLE = "\ufffd"


@dataclass(frozen=True, slots=True)
class Chosen:
    """What is shown of one file, and how much is not: milder than asked for, of ignored codes, or by comments."""

    path: str
    source: str
    diagnostics: tuple[Diagnostic, ...]
    milder: int = 0
    ignored: int = 0

    def errors(self) -> int:
        """Return how many errors there are."""
        return sum(item.severity == "error" for item in self.diagnostics)


def choose(linted: Linted, severity: Severity, ignore: frozenset[str]) -> Chosen:
    """Select what is at least as severe and not of an ignored code."""
    levels = LEVELS[: LEVELS.index(severity) + 1]
    wanted = [item for item in linted.diagnostics if item.code not in ignore]
    shown = tuple(item for item in wanted if item.severity in levels)
    ignored = linted.ignored + len(linted.diagnostics) - len(wanted)
    return Chosen(linted.path, linted.source, shown, len(wanted) - len(shown), ignored)


def clipped(span: Span, lines: Sequence[str]) -> Span:
    """Return a span whose end lies in the file."""
    if not 1 <= span.line <= len(lines):
        return span
    last = min(max(span.end_line, span.line), len(lines))
    end = min(span.end_column, len(lines[last - 1]) + 1)
    return Span(span.line, span.column, last, max(end, span.column + 1) if last == span.line else end)


def as_text(chosen: Iterable[Chosen], paint: Callable[[str, str], str]) -> str:
    """Draw all findings with carets, and a summary. `paint(text, role)` colours: a severity, place, code or dim."""
    parts = []
    for item in chosen:
        parts += [_drawn(diagnostic, item.source, paint) for diagnostic in item.diagnostics]
    return "\n\n".join(parts)


def _drawn(diagnostic: Diagnostic, source: str, paint: Callable[[str, str], str]) -> str:
    span = diagnostic.span
    head, *drawing = _printable(render(diagnostic, source)).split("\n")
    del head
    place = f"{diagnostic.file}:{span.line}:{span.column}" if span else diagnostic.file
    message = _printable(diagnostic.message).replace("\n", " ")
    severity = paint(_NOUNS[diagnostic.severity], diagnostic.severity)
    first = (
        f"{paint(_printable(place), 'place')}: {severity}: {message} {paint(f'[{diagnostic.code}]', 'code')}"
    )
    made = [first]
    for line in drawing:
        caret = line.lstrip().startswith("|") and set(line.strip(" |")) == {"^"}
        shade = diagnostic.severity if caret else "dim" if line.startswith("   = ") else ""
        made.append(paint(line, shade) if shade else line)
    return "\n".join(made)


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() or char == "\n" else _UNPRINTABLE for char in text)


def summary(chosen: Sequence[Chosen]) -> str:
    """Say in one line what was found, and what is not shown."""
    counts = Counter(diagnostic.severity for item in chosen for diagnostic in item.diagnostics)
    files = _count(len(chosen), "file")
    found = ", ".join(_count(counts[level], _NOUNS[level]) for level in LEVELS if counts[level])
    said = f"{found} in {files}" if found else f"{files}, nothing wrong"
    milder, ignored = sum(item.milder for item in chosen), sum(item.ignored for item in chosen)
    notes = [f"{milder} milder not shown: --severity info"] if milder else []
    notes += [f"{ignored} ignored"] if ignored else []
    return said + (f" ({', '.join(notes)})" if notes else "")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def as_github(chosen: Iterable[Chosen]) -> str:
    """Write workflow commands that a GitHub (or Windlass) job shows at the lines of the files."""
    return "\n".join(
        _annotation(diagnostic, item.source.splitlines())
        for item in chosen
        for diagnostic in item.diagnostics
    )


def _annotation(diagnostic: Diagnostic, lines: Sequence[str]) -> str:
    properties = {"file": diagnostic.file}
    if diagnostic.span:
        span = clipped(diagnostic.span, lines)
        properties |= {"line": str(span.line), "endLine": str(span.end_line), "col": str(span.column)}
        if span.end_line == span.line:
            properties["endColumn"] = str(
                max(span.column, span.end_column - 1)
            )  # GitHub counts the last one in
    properties["title"] = diagnostic.code
    written = ",".join(f"{name}={_escaped(value, ':,')}" for name, value in properties.items())
    return f"::{_COMMANDS[diagnostic.severity]} {written}::{_escaped(diagnostic.message)}"


def _escaped(text: str, more: str = "") -> str:
    text = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    for char in more:
        text = text.replace(char, f"%{ord(char):02X}")
    return text


def as_json(chosen: Sequence[Chosen]) -> str:
    """Write everything as one JSON object."""
    rows = [_row(diagnostic, item.source.splitlines()) for item in chosen for diagnostic in item.diagnostics]
    counts = Counter(row["severity"] for row in rows)
    totals: dict[str, int] = {level: counts[level] for level in LEVELS}
    totals["milder"] = sum(item.milder for item in chosen)
    totals["ignored"] = sum(item.ignored for item in chosen)
    made = {"files": [item.path for item in chosen], "diagnostics": rows, "summary": totals}
    return json.dumps(made, indent=2)


def _row(diagnostic: Diagnostic, lines: Sequence[str]) -> dict[str, Any]:
    row: dict[str, Any] = {
        "code": diagnostic.code,
        "severity": diagnostic.severity,
        "message": diagnostic.message,
        "file": diagnostic.file,
    }
    if diagnostic.span:
        span = clipped(diagnostic.span, lines)
        row |= {"line": span.line, "column": span.column}
        row |= {"end_line": span.end_line, "end_column": span.end_column}
    return row | {"link": diagnostic.link}
