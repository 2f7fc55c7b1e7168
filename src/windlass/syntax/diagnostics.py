"""Diagnostics: what is wrong, where, and where to read about it; drawn with a caret."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias
from unicodedata import east_asian_width

if TYPE_CHECKING:
    from collections.abc import Iterable

Severity: TypeAlias = Literal["error", "warning", "info"]


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A stretch of a file. Lines and columns are 1-based, columns count code points, `end` is exclusive."""

    line: int
    column: int
    end_line: int
    end_column: int


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding. `code` is stable and kebab-case; `link` is a page that explains it, or empty."""

    code: str
    severity: Severity
    message: str
    file: str
    span: Span | None = None
    link: str = ""

    def __str__(self) -> str:
        where = f"{self.file}:{self.span.line}:{self.span.column}" if self.span else self.file
        return f"{where}: {self.severity}: {self.message} [{self.code}]"


def has_errors(diagnostics: Iterable[Diagnostic]) -> bool:
    """Return whether one of them is an error."""
    return any(item.severity == "error" for item in diagnostics)


def render(diagnostic: Diagnostic, text: str) -> str:
    """Draw the diagnostic over its line of `text` (the whole file), with carets under its span."""
    lines = [str(diagnostic)]
    span = diagnostic.span
    source = text.splitlines()
    if span and 1 <= span.line <= len(source):
        line = source[span.line - 1]
        start = min(span.column - 1, len(line))
        end = min(span.end_column - 1, len(line)) if span.end_line == span.line else len(line)
        number = str(span.line)
        carets = "^" * max(1, _width(line[start:end].expandtabs(1)))
        lines.append(f" {number} | {line.expandtabs(1)}")
        lines.append(f" {' ' * len(number)} | {' ' * _width(line[:start].expandtabs(1))}{carets}")
    if diagnostic.link:
        lines.append(f"   = see {diagnostic.link}")
    return "\n".join(lines)


def _width(text: str) -> int:
    return sum(2 if east_asian_width(char) in "WF" else 1 for char in text)
