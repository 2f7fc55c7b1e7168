"""An invalid workflow file as a reason and as annotations. Pure."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from windlass.pipelines.reason import Reason
from windlass.workflow.lint import lint

if TYPE_CHECKING:
    from windlass.workflow import Parsed

MAX_SHOWN = 20
LEVELS = {"error": "error", "warning": "warning", "info": "notice"}
DEPRECATED = {"deprecated-action", "deprecated-command", "deprecated-runner", "ignored-key"}


def caret(text: str, line: int, column: int, end: int) -> str:
    """Return the line of the file with carets under what is wrong."""
    source = text.splitlines()
    if not 1 <= line <= len(source):
        return ""
    shown = source[line - 1].expandtabs(1)
    start = min(max(column, 1), len(shown) + 1)
    number = str(line)
    carets = "^" * max(1, min(end, len(shown) + 1) - start)
    return f" {number} | {shown}\n {' ' * len(number)} | {' ' * (start - 1)}{carets}"


def diagnostics_reason(parsed: Parsed, source: str) -> Reason:
    """Why the run failed before it began: all errors, each drawn on its line."""
    errors = [item for item in parsed.diagnostics if item.severity == "error"]
    parts = []
    for item in errors[:MAX_SHOWN]:
        parts.append(str(item))
        if item.span is not None:
            end = item.span.end_column if item.span.end_line == item.span.line else 10_000
            parts.append(caret(source, item.span.line, item.span.column, end))
    if len(errors) > MAX_SHOWN:
        parts.append(f"and {len(errors) - MAX_SHOWN} more")
    if not errors:
        return Reason("invalid-workflow", "what the workflow uses is not to be had as it should be")
    count = "an error" if len(errors) == 1 else f"{len(errors)} errors"
    file = errors[0].file if errors else "the file"
    return Reason(
        "invalid-workflow",
        f"the workflow file has {count}: {file}",
        "\n".join(part for part in parts if part),
        "run `windlass lint` before you push",
    )


@lru_cache(maxsize=256)
def deprecations(source: str, path: str) -> tuple[dict[str, Any], ...]:
    """Return what a workflow uses that is gone, and what of it means nothing, as warnings.

    What is no more than a hint, as that GitHub will retire a version of node, is for `windlass lint`: here it runs.
    """
    found = [
        item for item in lint(source, path).diagnostics if item.code in DEPRECATED and item.severity != "info"
    ]
    return tuple({**_columns(item), "level": "warning"} for item in found[:MAX_SHOWN])


def findings(parsed: Parsed) -> list[dict[str, Any]]:
    """Return the diagnostics as columns of annotations."""
    return [_columns(item) for item in parsed.diagnostics[:100]]


def _columns(item: Any) -> dict[str, Any]:
    return {
        "level": LEVELS[item.severity],
        "message": item.message,
        "file": item.file,
        "line": item.span.line if item.span else None,
        "col": item.span.column if item.span else None,
        "title": item.code,
    }
