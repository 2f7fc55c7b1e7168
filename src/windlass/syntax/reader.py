"""From text to nodes, with limits on everything that a stranger's file could be too large in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import yaml
from yaml.error import MarkedYAMLError

from windlass.syntax.diagnostics import Diagnostic, Span
from windlass.syntax.nodes import InvalidValueError, Mapping, Node, Scalar, Sequence, resolve


@dataclass(frozen=True, slots=True)
class Limits:
    """How large a file may be: characters, nodes with aliases expanded, and nesting."""

    size: int = 1024 * 1024
    nodes: int = 50_000
    depth: int = 100


@dataclass(frozen=True, slots=True)
class Document:
    """What reading one document gave. `root` is None where it is empty or cannot be read."""

    root: Node | None
    diagnostics: tuple[Diagnostic, ...] = ()


DEFAULT = Limits()
_STYLES = {"'": "SingleQuoted", '"': "DoubleQuoted", "|": "Literal", ">": "Folded"}
_SUSPICIOUS_FLOW = 500
_INDICATOR = re.compile(r"[-?:][ \t]")
_SUSPICIOUS_LINE = 200


class _Loader(yaml.CBaseLoader):
    """libyaml's composer without PyYAML's YAML 1.1 resolver: an implicit tag stays None."""

    def resolve(self, kind: Any, value: Any, implicit: Any) -> None:
        """Leave the tag open."""

    def descend_resolver(self, *_: Any) -> None:
        """Do nothing: there are no path resolvers."""

    def ascend_resolver(self) -> None:
        """Do nothing: there are no path resolvers."""


class _ProblemError(Exception):
    def __init__(self, code: str, message: str, span: Span | None) -> None:
        super().__init__(message)
        self.code = code
        self.span = span


def read(text: str, file: str, limits: Limits = DEFAULT) -> Document:
    """Read a file of one document. Never raises: what is wrong is in the diagnostics."""
    documents, diagnostics = read_all(text, file, limits)
    if len(documents) > 1:
        span = documents[1].span
        more = Diagnostic(
            "yaml-documents", "error", "Only one YAML document is allowed in this file", file, span
        )
        return Document(None, (*diagnostics, more))
    return Document(documents[0] if documents else None, diagnostics)


def read_all(
    text: str, file: str, limits: Limits = DEFAULT
) -> tuple[tuple[Node, ...], tuple[Diagnostic, ...]]:
    """Read all documents of a file, empty ones left out. At the first error it gives none. Never raises."""
    try:
        return _documents(text, limits), ()
    except _ProblemError as problem:
        return (), (Diagnostic(problem.code, "error", str(problem), file, problem.span),)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        span = Span(mark.line + 1, mark.column + 1, mark.line + 1, mark.column + 2) if mark else None
        message = " ".join(part for part in (error.context, error.problem) if part)
        return (), (Diagnostic("yaml-syntax", "error", message, file, span),)
    except yaml.YAMLError as error:
        message = str(error).splitlines()[0]
        return (), (Diagnostic("yaml-syntax", "error", message, file, None),)


def _documents(text: str, limits: Limits) -> tuple[Node, ...]:
    if len(text) > limits.size:
        raise _ProblemError("yaml-size", f"The file is larger than {limits.size} characters", None)
    if text.count("[") + text.count("{") > _SUSPICIOUS_FLOW or _long_line_of_indicators(text):
        _check_depth(text, limits)
    loader = _Loader(text)
    try:
        found = []
        while loader.check_node():
            composed = loader.get_node()
            if composed is not None:
                found.append(_Conversion(limits).node(composed, limits.depth)[0])
        return tuple(found)
    finally:
        loader.dispose()


def _long_line_of_indicators(text: str) -> bool:
    return any(
        len(line) > 2 * _SUSPICIOUS_LINE and len(_INDICATOR.findall(line)) > _SUSPICIOUS_LINE
        for line in text.split("\n")
    )


def _check_depth(text: str, limits: Limits) -> None:
    """Look at the nesting by events: the composer calls itself and would exhaust the stack of C."""
    loader = _Loader(text)
    depth = 0
    try:
        while loader.check_event():
            event = loader.get_event()
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
                if depth > limits.depth:
                    raise _ProblemError(
                        "yaml-depth", f"Nested deeper than {limits.depth} levels", _span(event)
                    )
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
    finally:
        loader.dispose()


class _Conversion:
    """From PyYAML's nodes to ours; counts nodes as often as aliases repeat them."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.done: dict[int, tuple[Node, int] | None] = {}

    def node(self, raw: Any, depth: int) -> tuple[Node, int]:
        key = id(raw)
        if key in self.done:
            seen = self.done[key]
            if seen is None:
                raise _ProblemError("yaml-recursion", "An anchor contains its own alias", _span(raw))
            return seen
        if depth == 0:
            raise _ProblemError("yaml-depth", f"Nested deeper than {self.limits.depth} levels", _span(raw))
        if isinstance(raw, yaml.ScalarNode):
            made: tuple[Node, int] = (_scalar(raw), 1)
        else:
            self.done[key] = None
            made = self.collection(raw, depth - 1)
            if made[1] > self.limits.nodes:
                raise _ProblemError("yaml-nodes", "Maximum YAML nodes exceeded", _span(raw))
        self.done[key] = made
        return made

    def collection(self, raw: Any, depth: int) -> tuple[Node, int]:
        size = 1
        if isinstance(raw, yaml.SequenceNode):
            items = []
            for item in raw.value:
                node, count = self.node(item, depth)
                items.append(node)
                size += count
            return Sequence(raw.start_mark, raw.end_mark, items), size
        entries = []
        for raw_key, raw_value in raw.value:
            key, key_count = self.node(raw_key, depth)
            value, count = self.node(raw_value, depth)
            entries.append((key, value))
            size += count + key_count
        return Mapping(raw.start_mark, raw.end_mark, entries), size


def _span(raw: Any) -> Span:
    start, end = raw.start_mark, raw.end_mark
    return Span(start.line + 1, start.column + 1, end.line + 1, end.column + 1)


def _scalar(raw: Any) -> Scalar:
    style = raw.style or ""
    text = raw.value
    try:
        value = resolve(text, style, raw.tag)
    except InvalidValueError as error:
        message = str(error)
        place = f"on line {raw.start_mark.line + 1} and column {raw.start_mark.column + 1}"
        if message.startswith("invalid"):
            message = f"The value '{text}' {place} is {message}"
        elif message.startswith("not valid"):
            message = f"The scalar style '{_STYLES[style]}' {place} is {message}"
        raise _ProblemError("yaml-tag", message, _span(raw)) from None
    return Scalar(raw.start_mark, raw.end_mark, value, text, style, raw.tag)
