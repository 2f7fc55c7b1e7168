"""One file through the parser and all rules."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from windlass.syntax import Diagnostic, Node, read
from windlass.workflow.actions import parse_action
from windlass.workflow.grammar.action import ROOT
from windlass.workflow.lint import (
    actions,
    calls,
    checkout,
    conditions,
    deprecated,
    injection,
    metadata,
    references,
    secrets,
)
from windlass.workflow.lint.hints import hinted
from windlass.workflow.lint.ignore import Ignored
from windlass.workflow.lint.unit import Finding, Unit, unit
from windlass.workflow.parsing import DEFAULT, check_events, read_file
from windlass.workflow.reading.problems import Problems
from windlass.workflow.reading.reader import Reader, TooDeepError
from windlass.workflow.reading.tokens import MappingToken

if TYPE_CHECKING:
    from collections.abc import Callable

_ACTION_FILE = re.compile(r"(?:.*/)?action\.ya?ml")
_CHECKS = (
    injection.check,
    checkout.check,
    actions.check,
    conditions.check,
    references.check,
    deprecated.check,
    metadata.check,
)


@dataclass(frozen=True, slots=True)
class Linted:
    """What was found in one file, in the order of the file. `ignored` counts what comments hide."""

    path: str
    source: str
    diagnostics: tuple[Diagnostic, ...]
    ignored: int = 0


def lint(
    source: str,
    path: str,
    load: Callable[[str], str | None] | None = None,
    trusted: frozenset[str] = frozenset(),
) -> Linted:
    """Look at a workflow or action file. Never raises.

    `path` is relative to the repository's root. `load` returns the text of a file of the repository, None for
    no such; without it local actions and workflows are not looked at. Actions of `trusted` owners (in lower
    case) need no pin.
    """
    root, node, found = _read(source, path)
    diagnostics = hinted(secrets.explain(node, found), root, source)
    findings = [Finding(item, item.span.line if item.span else 0) for item in diagnostics]
    if root is not None:
        looked = unit(path, source, root, is_action=_is_action(source, path), load=load, trusted=trusted)
        findings += _rules(looked)
    ignored = Ignored(source)
    kept = [item.diagnostic for item in findings if not ignored.has(item)]
    ordered = sorted(dict.fromkeys(kept), key=lambda item: (item.span is not None, item.span, item.code))
    return Linted(path, source, tuple(ordered), len(findings) - len(kept))


def _rules(looked: Unit) -> list[Finding]:
    for check in _CHECKS:
        check(looked)
    called = [] if looked.is_action else calls.check(looked)
    return looked.found + [Finding(item, item.span.line if item.span else 0) for item in called]


def _read(source: str, path: str) -> tuple[MappingToken | None, Node | None, tuple[Diagnostic, ...]]:
    """Return the tokens as far as they could be read, the YAML, and what the parser says."""
    if _is_action(source, path):
        return _read_action(source, path)
    problems = Problems()
    reading = read_file(source, path, problems, DEFAULT)
    check_events(reading, problems, DEFAULT)
    found = tuple(problem.diagnostic() for problem in problems.found)
    return reading.root, reading.root.node if reading.root else None, found


def _read_action(source: str, path: str) -> tuple[MappingToken | None, Node | None, tuple[Diagnostic, ...]]:
    document = read(source, path)
    problems = Problems()
    try:
        found = parse_action(source, path).diagnostics
        token = (
            Reader(problems, problems.file(path, source)).read(document.root, ROOT) if document.root else None
        )
    except TooDeepError:
        return None, None, (Diagnostic("too-large", "error", "Maximum object depth exceeded", path),)
    return token if isinstance(token, MappingToken) else None, document.root, found


def _is_action(source: str, path: str) -> bool:
    """Tell action files from workflows by their name, and by what they hold where the name says nothing."""
    if ".github/workflows/" in path:
        return False
    has_jobs = re.search(r"^jobs\s*:", source, re.MULTILINE) is not None
    if _ACTION_FILE.fullmatch(path):
        return not has_jobs
    return not has_jobs and re.search(r"^runs\s*:", source, re.MULTILINE) is not None
