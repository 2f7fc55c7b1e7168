"""YAML with positions, diagnostics with carets, edits of one scalar in place."""

from windlass.syntax.diagnostics import Diagnostic, Severity, Span, has_errors, render
from windlass.syntax.edit import EditError, find, replace
from windlass.syntax.nodes import Mapping, Node, Scalar, Sequence, Value, plain
from windlass.syntax.reader import Document, Limits, read, read_all

__all__ = [
    "Diagnostic",
    "Document",
    "EditError",
    "Limits",
    "Mapping",
    "Node",
    "Scalar",
    "Sequence",
    "Severity",
    "Span",
    "Value",
    "find",
    "has_errors",
    "plain",
    "read",
    "read_all",
    "render",
    "replace",
]
