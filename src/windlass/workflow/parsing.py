"""Reading a workflow file as a whole."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from windlass.syntax import read
from windlass.workflow.grammar.workflow import ROOT, SCOPES, STRICT
from windlass.workflow.model import Parsed, Workflow
from windlass.workflow.reading.jobs import Jobs, concurrency, permissions
from windlass.workflow.reading.problems import Problems
from windlass.workflow.reading.reader import Reader, TooDeepError
from windlass.workflow.reading.tokens import MappingToken, Token, data, size, template, text, text_size
from windlass.workflow.reading.triggers import triggers


@dataclass(frozen=True, slots=True)
class Bounds:
    """How large a workflow may be together with all that it calls. 0 jobs: any number."""

    file_size: int = 1024 * 1024
    result_size: int = 10 * 1024 * 1024
    depth: int = 50
    files: int = 51
    jobs: int = 0


@dataclass(frozen=True, slots=True)
class Options:
    """How a file is read. The defaults are those of today's GitHub.

    `strict_events` checks everything below `on:` as GitHub's editor does; otherwise what GitHub's service
    would ignore there is a warning. `scopes` are the permissions that there are, in the order of messages.
    """

    background: bool = True
    strict_events: bool = False
    scopes: tuple[str, ...] = tuple(SCOPES)
    bounds: Bounds = Bounds()


DEFAULT = Options()


@dataclass(slots=True)
class Reading:
    """A file that was read: its tokens, and the model where there are no errors so far."""

    root: MappingToken | None
    workflow: Workflow | None


def parse(text: str, path: str, options: Options = DEFAULT) -> Parsed:
    """Read a workflow file. Never raises: everything that is wrong is in the diagnostics, all at once."""
    problems = Problems()
    reading = read_file(text, path, problems, options)
    check_events(reading, problems, options)
    workflow = None if problems else reading.workflow
    return Parsed(workflow, tuple(problem.diagnostic() for problem in problems.found))


def read_file(source: str, path: str, problems: Problems, options: Options) -> Reading:
    """Read one file into tokens and, where they are well formed, into the model."""
    bounds = options.bounds
    file = problems.file(path, source)
    if file > bounds.files:
        problems.plain(f"The maximum file count of {bounds.files} has been exceeded", code="too-large")
        return Reading(None, None)
    if len(source) > bounds.file_size:
        message = f"The maximum file size of {bounds.file_size} characters has been exceeded"
        problems.plain(message, path, "too-large")
        return Reading(None, None)
    root = _root(source, path, file, problems, options)
    if problems or root is None:
        return Reading(root, None)
    problems.size += text_size(path) + size(root)
    if problems.size > bounds.result_size:
        problems.plain("Maximum object size exceeded", path, "too-large")
        return Reading(root, None)
    return Reading(root, _workflow(root, path, problems, options))


def _root(source: str, path: str, file: int, problems: Problems, options: Options) -> MappingToken | None:
    document = read(source, path)
    problems.from_yaml(document.diagnostics)
    if document.root is None:
        if not document.diagnostics:
            problems.plain("The file is empty: a workflow needs `on` and `jobs`", path, "empty-file")
        return None
    grammar = STRICT if options.strict_events else ROOT
    reader = Reader(problems, file, background=options.background, depth=options.bounds.depth)
    try:
        root = reader.read(document.root, grammar)
    except TooDeepError:
        problems.plain("Maximum object depth exceeded", path, "too-large")
        return None
    return root if isinstance(root, MappingToken) else None


def _workflow(root: MappingToken, path: str, problems: Problems, options: Options) -> Workflow:
    parts: dict[str, Token] = dict(root.literal_pairs())
    jobs: dict[str, Any] = {}
    found: dict[str, Any] = {}
    for key, token in parts.items():  # in the order of the file, for the order of the findings
        if key == "on":
            found = triggers(token, problems)
        elif key == "concurrency":
            concurrency(token, problems)
        elif key == "jobs":
            jobs = Jobs(problems, options.scopes, options.bounds.jobs).read(token)
    return Workflow(
        path,
        text(parts.get("name")) or path,
        template(parts.get("run-name")) or None,
        found,
        data(parts.get("env")) or {},
        data(parts.get("defaults")) or {},
        permissions(parts.get("permissions"), options.scopes),
        data(parts.get("concurrency")),
        jobs,
    )


def check_events(reading: Reading, problems: Problems, options: Options) -> None:
    """Look at `on:` more closely: an unknown event is an error, what is ignored below one is a warning."""
    if reading.root is None or options.strict_events:
        return
    on = reading.root.get("on")
    if on is None:
        problems.add(reading.root, "Required property is missing: on", "missing-key")
        return
    closer = Problems()
    closer.files, closer.sources = problems.files, problems.sources
    Reader(closer, on.file).read(on.node, STRICT.keys["on"])
    names = {(key.line, key.column) for key, _ in on.pairs} if isinstance(on, MappingToken) else None
    known = {(item.line, item.column, item.message) for item in problems.found}
    for item in closer.found:
        place = (item.line, item.column)
        if (*place, item.message) in known:
            continue
        top = names is None or place in names
        problems.found.append(
            replace(item, severity="error", code="unknown-event")
            if top
            else replace(item, severity="warning", code="ignored-key")
        )


__all__ = ["DEFAULT", "Bounds", "Options", "Reading", "check_events", "parse", "read_file"]
