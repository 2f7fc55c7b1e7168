"""What is wrong with a file, collected while it is read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from windlass.syntax import Diagnostic, Severity, Span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from windlass.syntax import Node
    from windlass.workflow.reading.tokens import Token

MAX_MESSAGE = 500


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding. `line` and `column` are those that GitHub names, 0 where it names none.

    `span` is the finer place to underline. `prefix` stands before the place (errors of called workflows).
    """

    message: str
    file: str
    line: int = 0
    column: int = 0
    span: Span | None = None
    code: str = "workflow"
    severity: Severity = "error"
    prefix: str = ""

    def as_github(self) -> str:
        """Return the message as GitHub shows it, cut at 500 characters."""
        place = f"{self.file} (Line: {self.line}, Col: {self.column}): " if self.line else ""
        shown = f"{place or (f'{self.file}: ' if self.file else '')}{self.message}"
        return self.prefix + (shown if len(shown) <= MAX_MESSAGE else shown[:MAX_MESSAGE] + "[...]")

    def diagnostic(self) -> Diagnostic:
        """Return the finding as a value for everybody else."""
        message = f"{self.prefix}{self.message}"
        return Diagnostic(self.code, self.severity, message, self.file, self.span, docs(self.code))


def docs(code: str) -> str:
    """Return where a code is explained, relative to the documentation's root."""
    return f"diagnostics.md#{code}"


class Problems:
    """Collects findings over the files of one workflow.

    `files` are their names, in the order of reading, `sources` their texts; `size` and `jobs` add up over
    all of them.
    """

    def __init__(self) -> None:
        self.files: list[str] = []
        self.sources: list[str] = []
        self.found: list[Problem] = []
        self.size = 0
        self.jobs = 0

    def __bool__(self) -> bool:
        return any(problem.severity == "error" for problem in self.found)

    def file(self, name: str, source: str = "") -> int:
        """Return the number of a file, from 1."""
        known = [item.upper() for item in self.files]
        if name.upper() not in known:
            self.files.append(name)
            self.sources.append(source)
            return len(self.files)
        return known.index(name.upper()) + 1

    def add(
        self,
        token: Token,
        message: str,
        code: str = "workflow",
        *,
        severity: Severity = "error",
        span: Span | None = None,
    ) -> None:
        """Note a finding at a token."""
        self.at(token.node, token.file, message, code, severity=severity, span=span)

    def at(
        self,
        node: Node,
        file: int,
        message: str,
        code: str = "workflow",
        *,
        severity: Severity = "error",
        span: Span | None = None,
    ) -> None:
        """Note a finding at a node of a file."""
        place = span or _first_line(node)
        name = self.files[file - 1]
        self.found.append(Problem(message, name, node.line, node.column, place, code, severity))

    def plain(self, message: str, file: str = "", code: str = "workflow") -> None:
        """Note a finding that has no place in a file."""
        self.found.append(Problem(message, file, code=code))

    def from_yaml(self, diagnostics: Sequence[Diagnostic]) -> None:
        """Take over what reading the YAML found."""
        for item in diagnostics:
            self.found.append(Problem(item.message, item.file, span=item.span, code=item.code))

    def prefix(self, prefix: str, since: int, unless: str) -> None:
        """Put a prefix before the findings from the index `since` on that are not in the file `unless`."""
        for index in range(since, len(self.found)):
            problem = self.found[index]
            if problem.file != unless and not problem.prefix:
                self.found[index] = replace(problem, prefix=prefix)


def _first_line(node: Node) -> Span:
    span = node.span
    if span.line == span.end_line:
        return span
    return Span(span.line, span.column, span.line, 1_000_000)
