"""What GitHub no longer has: `deprecated-command` and `deprecated-runner`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from windlass.workflow.lint.facts import REMOVED_RUNNERS
from windlass.workflow.lint.paths import path_of
from windlass.workflow.lint.unit import child, scalars, sites
from windlass.workflow.reading.tokens import Literal, MappingToken, SequenceToken, text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from windlass.workflow.lint.unit import Job, Step, Unit
    from windlass.workflow.reading.tokens import Token

_COMMAND = re.compile(
    r"\b(?:echo|printf|print|puts|log|Write-(?:Host|Output))\b[^\n]*?"
    r"(?P<command>::(?P<name>set-output|save-state|set-env|add-path)(?:\s+name=[^\n:]*)?::)"
)
_FILES = {
    "set-output": "GITHUB_OUTPUT",
    "save-state": "GITHUB_STATE",
    "set-env": "GITHUB_ENV",
    "add-path": "GITHUB_PATH",
}
_SWITCHED_OFF = frozenset({"set-env", "add-path"})


def check(unit: Unit) -> None:
    """Look at all scripts and all `runs-on`."""
    for job in unit.jobs.values():
        for step in job.steps:
            _commands(unit, job, step)
        for label in _labels(job):
            if text(label).lower() in REMOVED_RUNNERS:
                message = (
                    f"GitHub has removed the image '{text(label)}': such a job waits until it is cancelled"
                )
                unit.report("deprecated-runner", message, label)


def _commands(unit: Unit, job: Job, step: Step) -> None:
    token = step.token.get("run")
    if token is None:
        return
    for match in _COMMAND.finditer(unit.written(token)):
        line = match.string[: match.start()].rpartition("\n")[2] + match[0]
        if line.lstrip().startswith("#"):
            continue
        name = match["name"]
        span = unit.stretch(token, match.start("command"), match.end("command"))
        file = f'"${_FILES[name]}"'
        if name in _SWITCHED_OFF and not _allowed(unit, job, step):
            message = f"GitHub refuses `::{name}` since 2020, and the step fails. Write to {file}"
            unit.report("deprecated-command", message, token, severity="error", span=span)
        else:
            unit.report("deprecated-command", f"`::{name}` is deprecated. Write to {file}", token, span=span)


def _allowed(unit: Unit, job: Job, step: Step) -> bool:
    return any(
        child(token, "env", "ACTIONS_ALLOW_UNSECURE_COMMANDS") is not None
        for token in (step.token, job.token, unit.root)
    )


def _labels(job: Job) -> Iterator[Token]:
    """Yield the literal labels of a job, those in the matrix too that `runs-on` takes."""
    token = job.token.get("runs-on")
    if isinstance(token, MappingToken):
        return  # a group of one's own runners
    if isinstance(token, SequenceToken) and any(text(item).lower() == "self-hosted" for item in token.items):
        return
    for scalar in scalars(token):
        if isinstance(scalar, Literal):
            yield scalar
    for site in sites(token):
        context, _, key = (path_of(site.tree) or "").partition(".")
        if context == "matrix" and key and "." not in key:
            yield from _vector(job, key)


def _vector(job: Job, key: str) -> Iterator[Token]:
    matrix = child(job.token, "strategy", "matrix")
    tokens = [child(matrix, key)]
    include = child(matrix, "include")
    tokens += [child(item, key) for item in include.items] if isinstance(include, SequenceToken) else []
    for token in tokens:
        items = token.items if isinstance(token, SequenceToken) else [token]
        yield from (item for item in items if isinstance(item, Literal))
