"""A file as the rules see it: jobs and steps as tokens with places, also where the file has other errors."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from windlass.syntax import Diagnostic, Span
from windlass.workflow.expressions.errors import ExpressionError
from windlass.workflow.expressions.parser import parse
from windlass.workflow.expressions.template import ANYTHING, OPEN, Inset, split
from windlass.workflow.lint.rules import RULES
from windlass.workflow.reading import places
from windlass.workflow.reading.tokens import (
    Expression,
    Literal,
    MappingToken,
    SequenceToken,
    Token,
    strings,
    text,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from windlass.syntax import Severity
    from windlass.workflow.expressions.nodes import Node


@dataclass(frozen=True, slots=True)
class Site:
    """One expression in a token: its tree, its text, and which of the token's expressions it is (None: all)."""

    token: Token
    tree: Node
    text: str
    index: int | None


@dataclass(frozen=True, slots=True)
class Step:
    """One step. `position` counts in its job, steps of a parallel block included."""

    token: MappingToken
    position: int

    @property
    def id(self) -> str:
        """The identifier in lower case, empty where the file gives none."""
        return text(self.token.get("id")).lower()

    @property
    def uses(self) -> str:
        """The action, empty for other steps."""
        return text(self.token.get("uses"))

    def given(self, name: str) -> Token | None:
        """Return an input of the action."""
        return child(self.token.get("with"), name)


@dataclass(frozen=True, slots=True)
class Job:
    """One job, or what a composite action runs (its key is empty)."""

    key: str
    key_token: Token
    token: MappingToken
    needs: tuple[str, ...]
    steps: tuple[Step, ...]

    @property
    def uses(self) -> str:
        """The reusable workflow, empty for other jobs."""
        return text(self.token.get("uses"))

    @property
    def outputs(self) -> dict[str, Token]:
        """What the job puts out, by name in lower case."""
        return {name.lower(): value for name, value in pairs(self.token.get("outputs"))}


@dataclass(slots=True)
class Unit:
    """One file. `events` is None where what starts it is not known: an action, or a broken `on:`."""

    path: str
    source: str
    root: MappingToken
    is_action: bool
    events: frozenset[str] | None
    jobs: dict[str, Job]
    load: Callable[[str], str | None] | None = None
    trusted: frozenset[str] = frozenset()
    found: list[Finding] = field(default_factory=list)

    def report(
        self,
        code: str,
        message: str,
        place: Token | Site,
        *,
        severity: Severity | None = None,
        span: Span | None = None,
    ) -> None:
        """Note a finding at a token, or at one expression in it."""
        token = place.token if isinstance(place, Site) else place
        rule = RULES[code]
        where = span or (self.span(place) if isinstance(place, Site) else first_line(token))
        item = Diagnostic(code, severity or rule.severity, message, self.path, where, rule.link)
        self.found.append(Finding(item, token.line))

    def span(self, site: Site) -> Span:
        """Where an expression stands, braces included."""
        if site.index is None:
            return first_line(site.token)
        written = self.written(site.token)
        start = -1
        for _ in range(site.index + 1):
            start = written.find(OPEN, start + 1)
        end = written.find("}}", start)
        if start < 0 or end < 0:
            return first_line(site.token)
        return self.stretch(site.token, start, end + 2)

    def written(self, token: Token) -> str:
        """Return a token as it stands in the file."""
        return places.written(token.node, self.source)

    def stretch(self, token: Token, start: int, end: int) -> Span:
        """Return the span of an offset range of `written`, cut at the end of its line."""
        return places.stretch(token.node, self.source, start, end)


@dataclass(frozen=True, slots=True)
class Finding:
    """A diagnostic, and the line on which the scalar starts in which it stands (for ignore comments)."""

    diagnostic: Diagnostic
    line: int


def first_line(token: Token) -> Span:
    """Return where a token stands, cut after its first line."""
    span = token.node.span
    return span if span.line == span.end_line else replace(span, end_line=span.line, end_column=1_000_000)


def pairs(token: Token | None) -> list[tuple[str, Token]]:
    """Return the entries of a mapping whose keys are no expressions."""
    return list(token.literal_pairs()) if isinstance(token, MappingToken) else []


def child(token: Token | None, *keys: str) -> Token | None:
    """Return what stands under keys, found without regard to case; None where there is nothing."""
    for key in keys:
        token = next((value for name, value in pairs(token) if name.lower() == key.lower()), None)
    return token


def scalars(token: Token | None) -> Iterator[Token]:
    """Yield all scalars in a token, keys too."""
    if isinstance(token, MappingToken):
        for key, value in token.pairs:
            yield from scalars(key)
            yield from scalars(value)
    elif isinstance(token, SequenceToken):
        for item in token.items:
            yield from scalars(item)
    elif token is not None:
        yield token


def sites(token: Token | None) -> Iterator[Site]:
    """Yield all expressions in a token, in the order of the file; those that cannot be read are left out."""
    for scalar in scalars(token):
        if not isinstance(scalar, Expression):
            continue
        parts = [part for part in _parts(scalar.raw) if isinstance(part, Inset)]
        for index, part in enumerate(parts):
            if (tree := tree_of(part.expression)) is not None:
                yield Site(scalar, tree, part.expression, index)


def condition_site(token: Token | None) -> Site | None:
    """Return the expression of an `if`, with or without braces; None where there is none that can be read."""
    if isinstance(token, Expression):
        parts = _parts(token.raw)
        written = parts[0].expression if len(parts) == 1 and isinstance(parts[0], Inset) else token.expression
    elif isinstance(token, Literal):
        written = text(token)
    else:
        return None
    tree = tree_of(written.strip())
    return None if tree is None or not written.strip() else Site(token, tree, written, None)


def _parts(raw: str) -> tuple[str | Inset, ...]:
    try:
        return split(raw)
    except ExpressionError:
        return ()


def tree_of(expression: str) -> Node | None:
    """Parse an expression, None where it cannot be."""
    try:
        return parse(expression, ANYTHING)
    except ExpressionError:
        return None


def unit(
    path: str,
    source: str,
    root: MappingToken,
    *,
    is_action: bool,
    load: Callable[[str], str | None] | None = None,
    trusted: frozenset[str] = frozenset(),
) -> Unit:
    """Look at a file that was read as far as it could be."""
    if is_action:
        runs = root.get("runs")
        jobs = {"": _job("", root, runs)} if isinstance(runs, MappingToken) else {}
        return Unit(path, source, root, True, None, jobs, load, trusted)
    jobs = {}
    given = root.get("jobs")
    for key, value in given.pairs if isinstance(given, MappingToken) else ():
        if isinstance(value, MappingToken) and isinstance(key, Literal):
            jobs[text(key).lower()] = _job(text(key), key, value)
    return Unit(path, source, root, False, _events(root.get("on")), jobs, load, trusted)


def _events(token: Token | None) -> frozenset[str] | None:
    if isinstance(token, MappingToken):
        return frozenset(name for name, _ in token.literal_pairs())
    names = strings(token)
    return frozenset(names) if names else None


def _job(key: str, key_token: Token, token: MappingToken) -> Job:
    needs = tuple(need.lower() for need in strings(token.get("needs")))
    steps = tuple(Step(item, position) for position, item in enumerate(_steps(token.get("steps"))))
    return Job(key, key_token, token, needs, steps)


def _steps(token: Token | None) -> Iterator[MappingToken]:
    for item in token.items if isinstance(token, SequenceToken) else ():
        if isinstance(item, MappingToken):
            yield item
            yield from _steps(item.get("parallel"))
