"""GitHub's published cases of the workflow parser."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import yaml

from conformance.cases import Case, guarded
from windlass.workflow.parsing import Bounds, Options, Reading
from windlass.workflow.reading.problems import Problems
from windlass.workflow.reading.tokens import (
    Expression,
    Insert,
    Literal,
    MappingToken,
    SequenceToken,
    Token,
    text,
)
from windlass.workflow.reusable import Called, Loader, Policy

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from windlass.workflow.model import Job, Workflow

FOLDER = ".github/workflows/"
# The permissions that there were when the cases were written, in the order of GitHub's messages.
SCOPES = [
    "actions",
    "checks",
    "contents",
    "deployments",
    "discussions",
    "issues",
    "packages",
    "pages",
    "pull-requests",
    "repository-projects",
    "statuses",
    "security-events",
    "id-token",
]
MAX_ERRORS = 10
_BOUNDS = Bounds()
_JOB = [
    "continue-on-error",
    "timeout-minutes",
    "cancel-timeout-minutes",
    "env",
    "concurrency",
    "environment",
    "strategy",
    "runs-on",
    "container",
    "services",
    "outputs",
    "defaults",
    "snapshot",
]
_CALL = ["concurrency", "strategy"]
_STEP = [
    "name",
    "continue-on-error",
    "timeout-minutes",
    "env",
    "uses",
    "with",
    "working-directory",
    "shell",
    "run",
    "background",
]


@dataclass(slots=True)
class _Writer:
    """Writes tokens as GitHub's parsers serialize them, with or without where they stand."""

    source: bool
    files: list[str] = field(default_factory=list)

    def token(self, token: Token) -> Any:
        place = {"file": token.file, "line": token.line, "col": token.column} if self.source else {}
        if isinstance(token, Expression):
            return {"type": 3, **place, "expr": token.expression}
        if isinstance(token, Insert):
            return {"type": 4, **place, "directive": "insert"}
        if isinstance(token, SequenceToken):
            return {"type": 1, **place, "seq": [self.token(item) for item in token.items]}
        if isinstance(token, MappingToken):
            pairs = [{"Key": self.token(key), "Value": self.token(value)} for key, value in token.pairs]
            return {"type": 2, **place, "map": pairs}
        return self._literal(token, place) if isinstance(token, Literal) else None

    def _literal(self, token: Literal, place: dict[str, int]) -> Any:
        value = token.value
        if not place:
            return value
        if value is None:
            return {"type": 7, **place}
        if isinstance(value, str):
            return {"type": 0, **place, "lit": value}
        if isinstance(value, bool):
            return {"type": 5, **place, "bool": value}
        return {"type": 6, **place, "num": value}

    def condition(self, whole: str, token: Token | None) -> Any:
        place = {}
        if self.source and token is not None:
            place = {"file": token.file, "line": token.line, "col": token.column}
        return {"type": 3, **place, "expr": whole}


def run(folder: Path) -> Iterable[Case]:
    """Parse each case and compare what GitHub's parsers agree on."""
    for path in sorted(folder.glob("*.yml")):
        content = path.read_text(encoding="utf-8")
        yield guarded(path.name, partial(_one, path.name, content))


def _one(name: str, content: str) -> Case:
    parts = content.split("\n---\n")
    options = yaml.safe_load(parts[0]) or {}
    expected = json.loads(parts[-1])
    called = dict(zip((part.strip() for part in parts[2:-1:2]), parts[3:-1:2], strict=True))
    skipped = options.get("skip") or []
    events = {"Go", "C#"} <= set(skipped)
    result = _result(f"{FOLDER}{name}", parts[1], called, options, events=events)
    if not events:
        expected.pop("events", None)
    if "errors" in expected:
        expected.pop("jobs", None)
        result = {"errors": result.get("errors", [])}
    return Case(name, result == expected, result, expected)


def _result(
    path: str, source: str, called: dict[str, str], options: dict[str, Any], *, events: bool
) -> dict[str, Any]:
    problems = Problems()
    features = options.get("experimental-features") or {}
    loader = Loader(
        problems,
        called.get,
        Options(
            background=bool(features.get("allowBackgroundSteps")),
            strict_events=events,
            scopes=tuple(SCOPES),
            bounds=Bounds(
                file_size=options.get("max-file-size", _BOUNDS.file_size),
                result_size=options.get("max-result-size", _BOUNDS.result_size),
                depth=options.get("max-depth", _BOUNDS.depth),
                files=options.get("max-files", _BOUNDS.files),
                jobs=options.get("max-job-limit", _BOUNDS.jobs),
            ),
        ),
        Policy(
            depth=options.get("max-nested-reusable-workflows-depth", 4),
            default=options.get("permissions-policy", "Write"),
            follow=not options.get("skip-reusable-workflows", False),
        ),
    )
    reading = loader.read(source, path)
    if problems:
        return {"errors": [{"Message": problem.as_github()} for problem in problems.found[:MAX_ERRORS]]}
    writer = _Writer(bool(options.get("include-source")), problems.files)
    return _workflow(reading.reading, reading.called, writer, events=events)


def _workflow(
    reading: Reading, called: dict[str, Called], writer: _Writer, *, events: bool
) -> dict[str, Any]:
    root, workflow = reading.root, reading.workflow
    assert root is not None
    assert workflow is not None
    made: dict[str, Any] = {"jobs": _jobs(root, workflow, called, writer)}
    for key in ("env", "defaults", "concurrency"):
        if (token := root.get(key)) is not None:
            made[key] = writer.token(token)
    if workflow.permissions is not None:
        made["permissions"] = workflow.permissions
    if events:
        made["events"] = _events(workflow)
    elif inputs := {name: item.type for name, item in _dispatch(workflow).items()}:
        made["input-types"] = inputs
    if writer.source:
        made["file-table"] = writer.files
    return made


def _dispatch(workflow: Workflow) -> dict[str, Any]:
    trigger = workflow.triggers.get("workflow_dispatch")
    return trigger.inputs if trigger else {}


def _jobs(root: MappingToken, workflow: Workflow, called: dict[str, Called], writer: _Writer) -> list[Any]:
    jobs = root.get("jobs")
    assert isinstance(jobs, MappingToken)
    return [
        _job(key, token, workflow, called, writer)
        for key, token in jobs.pairs
        if isinstance(token, MappingToken)
    ]


def _job(
    key: Token, token: MappingToken, workflow: Workflow, called: dict[str, Called], writer: _Writer
) -> dict[str, Any]:
    job = workflow.jobs[text(key)]
    name = token.get("name")
    made: dict[str, Any] = {
        "type": "reusableWorkflowJob" if job.uses is not None else "job",
        "id": writer.token(key),
        "name": writer.token(key if name is None or text(name) == "" else name),
        "if": writer.condition(job.condition, token.get("if")),
    }
    needs = token.get("needs")
    if needs is not None or job.uses is not None:
        items = needs.items if isinstance(needs, SequenceToken) else [needs] if needs else []
        made["needs"] = [writer.token(item) for item in items]
    permissions = job.permissions if job.permissions is not None else workflow.permissions
    for part in _JOB if job.uses is None else _CALL:
        if (value := token.get(part)) is not None:
            made[part] = writer.token(value)
    if job.uses is None:
        if (steps := token.get("steps")) is not None and job.steps:
            made["steps"] = _steps(steps, job.steps, writer)
    else:
        permissions = _call(made, token, job, called.get(job.key), permissions, writer)
    if permissions is not None:
        made["permissions"] = permissions
    return made


def _call(  # noqa: PLR0917 a step of `_job`
    made: dict[str, Any],
    token: MappingToken,
    job: Job,
    called: Called | None,
    permissions: dict[str, str] | None,
    writer: _Writer,
) -> dict[str, str] | None:
    made["ref"] = writer.token(token.get("uses") or token)
    if (values := token.get("with")) is not None:
        made["input-values"] = writer.token(values)
    if isinstance(secrets := token.get("secrets"), MappingToken):
        made["secret-values"] = writer.token(secrets)
    elif secrets is not None:
        made["inherit-secrets"] = True
    made["jobs"] = []
    if called is None or called.reading.root is None or called.reading.workflow is None:
        return permissions
    root, workflow = called.reading.root, called.reading.workflow
    for part in ("env", "defaults"):
        if (value := root.get(part)) is not None:
            made[part] = writer.token(value)
    if (value := root.get("concurrency")) is not None:
        made["embedded-concurrency"] = writer.token(value)
    call = on.get("workflow_call") if isinstance(on := root.get("on"), MappingToken) else None
    for part, name in (
        ("inputs", "input-definitions"),
        ("secrets", "secret-definitions"),
        ("outputs", "outputs"),
    ):
        if isinstance(call, MappingToken) and (value := call.get(part)) is not None:
            made[name] = writer.token(value)
    made["jobs"] = _jobs(root, called.effective(permissions), called.called, writer)
    return workflow.permissions if workflow.permissions is not None else permissions


def _steps(token: Token, steps: list[dict[str, Any]], writer: _Writer) -> list[Any]:
    items = token.items if isinstance(token, SequenceToken) else []
    return [
        _step(item, step, writer)
        for item, step in zip(items, steps, strict=True)
        if isinstance(item, MappingToken)
    ]


def _step(token: MappingToken, step: dict[str, Any], writer: _Writer) -> dict[str, Any]:
    made: dict[str, Any] = {"id": step["id"]}
    for part in _STEP:
        if (value := token.get(part)) is not None:
            made[part] = writer.token(value)
    if "run" in step or "uses" in step:
        made["if"] = writer.condition(step["if"], token.get("if"))
        return made
    made.setdefault("name", step["name"])
    wait = token.get("wait")
    if wait is not None:
        made["wait"] = [
            writer.token(item) for item in (wait.items if isinstance(wait, SequenceToken) else [wait])
        ]
    if "wait-all" in step:
        made["wait-all"] = True
    if (cancel := token.get("cancel")) is not None:
        made["cancel"] = writer.token(cancel)
    if "parallel" in step:
        made["parallel"] = _steps(token.get("parallel") or token, step["parallel"], writer)
    return made


def _events(workflow: Workflow) -> dict[str, Any]:
    return {name: _event(trigger.options, trigger) for name, trigger in workflow.triggers.items()}


def _event(options: dict[str, Any], trigger: Any) -> Any:
    if trigger.schedules:
        return [
            {"cron": item.cron, **({"timezone": item.timezone} if item.timezone != "UTC" else {})}
            for item in trigger.schedules
        ]
    made: dict[str, Any] = {}
    for key, value in options.items():
        if key == "inputs":
            made[key] = {name: _input(item) for name, item in trigger.inputs.items()}
        elif key == "secrets":
            made[key] = {name: dict((item or {}).items()) for name, item in value.items()}
        elif key != "outputs":
            made[key] = [value] if isinstance(value, str) else value
    return made


def _input(item: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"type": item.type}
    if item.description:
        made["description"] = item.description
    if item.required:
        made["required"] = True
    if item.default is not None:
        made["default"] = item.default
    if item.options:
        made["options"] = list(item.options)
    return made
