"""Findings as SARIF 2.1.0, as GitHub's code scanning and most editors read it."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from windlass.workflow.lint.report import clipped
from windlass.workflow.lint.rules import RULES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from windlass.syntax import Diagnostic
    from windlass.workflow.lint.report import Chosen

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_LEVELS = {"error": "error", "warning": "warning", "info": "note"}
_SECURITY = {"error": "8.0", "warning": "5.0", "info": "2.0"}  # GitHub's scale: high, medium, low


def as_sarif(chosen: Sequence[Chosen], version: str) -> str:
    """Write one run with all rules that have findings, and the lint rules. Columns count code points."""
    codes = sorted({*RULES, *(diagnostic.code for item in chosen for diagnostic in item.diagnostics)})
    index = {code: number for number, code in enumerate(codes)}
    results = []
    for item in chosen:
        lines = item.source.splitlines()
        results += [_result(diagnostic, lines, index) for diagnostic in item.diagnostics]
    driver = {"name": "Windlass", "semanticVersion": version, "rules": [_rule(code) for code in codes]}
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "artifacts": [{"location": _location(item.path)} for item in chosen],
        "results": _numbered(results),
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2)


def _rule(code: str) -> dict[str, Any]:
    rule = RULES.get(code)
    if rule is None:  # of the parser
        text = f"See diagnostics.md#{code} in the documentation of Windlass."
        return {"id": code, "shortDescription": {"text": code.replace("-", " ")}, "help": {"text": text}}
    properties: dict[str, Any] = {"tags": ["security"] if rule.security else ["correctness"]}
    if rule.security:
        properties["security-severity"] = _SECURITY[rule.severity]
    return {
        "id": code,
        "shortDescription": {"text": rule.title},
        "help": {"text": f"{rule.help} See {rule.link} in the documentation of Windlass."},
        "defaultConfiguration": {"level": _LEVELS[rule.severity]},
        "properties": properties,
    }


def _location(path: str) -> dict[str, str]:
    location = {"uri": quote(path)}
    return location if path.startswith("/") else location | {"uriBaseId": "%SRCROOT%"}


def _result(diagnostic: Diagnostic, lines: Sequence[str], index: dict[str, int]) -> dict[str, Any]:
    physical: dict[str, Any] = {"artifactLocation": _location(diagnostic.file)}
    written = ""
    if diagnostic.span:
        span = clipped(diagnostic.span, lines)
        physical["region"] = {
            "startLine": span.line,
            "startColumn": span.column,
            "endLine": span.end_line,
            "endColumn": span.end_column,
        }
        written = lines[span.line - 1].strip() if span.line <= len(lines) else ""
    print_ = hashlib.sha256(f"{diagnostic.file}\0{diagnostic.code}\0{written}".encode()).hexdigest()[:32]
    return {
        "ruleId": diagnostic.code,
        "ruleIndex": index[diagnostic.code],
        "level": _LEVELS[diagnostic.severity],
        "message": {"text": diagnostic.message},
        "locations": [{"physicalLocation": physical}],
        "partialFingerprints": {"line/v1": print_},
    }


def _numbered(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Make fingerprints of equal lines distinct."""
    seen: dict[str, int] = {}
    for result in results:
        prints = result["partialFingerprints"]
        base = prints["line/v1"]
        seen[base] = seen.get(base, 0) + 1
        prints["line/v1"] = f"{base}:{seen[base]}"
    return results
