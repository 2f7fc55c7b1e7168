"""Whether an event starts a workflow, and why not."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from windlass.workflow.expressions.values import lookup, to_string
from windlass.workflow.filters import included
from windlass.workflow.grammar.events import DEFAULT_TYPES
from windlass.workflow.model import Decision, Event, Input, Trigger, Workflow, WorkflowError

_SKIP = re.compile(r"\[(?:skip ci|ci skip|no ci|skip actions|actions skip)\]", re.IGNORECASE)
_TRAILER = re.compile(r"([A-Za-z][A-Za-z-]*): *(.*)")
_TRAILERS = 20
_BRANCH, _TAG = "refs/heads/", "refs/tags/"


def triggered_by(workflow: Workflow, event: Event) -> Decision:
    """Return whether the event starts the workflow, with the reason either way."""
    trigger = workflow.triggers.get(event.name)
    if trigger is None:
        listed = ", ".join(workflow.triggers) or "nothing"
        return Decision(False, f"it runs on {listed}, not on {event.name}")
    reason = _refusal(trigger, event)
    return Decision(False, reason) if reason else Decision(True, f"{event.name} on {event.ref}")


def _refusal(trigger: Trigger, event: Event) -> str:
    check = _CHECKS.get(event.name, _names)
    return _types(trigger, event) or check(trigger, event)


def _called(trigger: Trigger, event: Event) -> str:  # noqa: ARG001 every check has this shape
    return "it is only called by other workflows"


def _schedule(trigger: Trigger, event: Event) -> str:
    cron = to_string(event.payload.get("schedule"))
    listed = [schedule.cron for schedule in trigger.schedules]
    return "" if cron in listed else f"'{cron}' is not among its schedules"


def _names(trigger: Trigger, event: Event) -> str:
    name = to_string(_at(event.payload, event.name, "name"))
    if not trigger.names or included(name, trigger.names):
        return ""
    return f"'{name}' is not among its names"


def _types(trigger: Trigger, event: Event) -> str:
    types = trigger.types or DEFAULT_TYPES.get(event.name, ())
    action = to_string(event.payload.get("action"))
    if not types or action in types:
        return ""
    return f"the activity '{action}' is not among its types ({', '.join(types)})"


def _push(trigger: Trigger, event: Event) -> str:
    if event.payload.get("deleted") is True:
        return f"{event.ref} was deleted"
    if reason := _skipped(to_string(_at(event.payload, "head_commit", "message"))):
        return reason
    is_tag = event.ref.startswith(_TAG)
    name = event.ref.removeprefix(_TAG if is_tag else _BRANCH)
    has_branches = bool(trigger.branches or trigger.branches_ignore)
    has_tags = bool(trigger.tags or trigger.tags_ignore)
    if is_tag:
        if has_branches and not has_tags:
            return f"it runs on branches only, not on the tag '{name}'"
        return _filtered("tag", name, trigger.tags, trigger.tags_ignore)
    if has_tags and not has_branches:
        return f"it runs on tags only, not on the branch '{name}'"
    return _filtered("branch", name, trigger.branches, trigger.branches_ignore) or _paths(trigger, event)


def _pull_request(trigger: Trigger, event: Event) -> str:
    base = _at(event.payload, "pull_request", "base", "ref")
    if event.name == "merge_group":
        base = to_string(_at(event.payload, "merge_group", "base_ref")).removeprefix(_BRANCH)
    name = to_string(base)
    return _filtered("base branch", name, trigger.branches, trigger.branches_ignore) or _paths(trigger, event)


def _workflow_run(trigger: Trigger, event: Event) -> str:
    name = to_string(_at(event.payload, "workflow_run", "name"))
    if trigger.workflows and not included(name, trigger.workflows):
        return f"the workflow '{name}' is not among its workflows"
    branch = to_string(_at(event.payload, "workflow_run", "head_branch"))
    return _filtered("branch", branch, trigger.branches, trigger.branches_ignore)


_CHECKS: dict[str, Callable[[Trigger, Event], str]] = {
    "merge_group": _pull_request,
    "pull_request": _pull_request,
    "pull_request_target": _pull_request,
    "push": _push,
    "schedule": _schedule,
    "workflow_call": _called,
    "workflow_run": _workflow_run,
}


def _filtered(what: str, name: str, wanted: Sequence[str], ignored: Sequence[str]) -> str:
    if wanted and not included(name, wanted):
        return f"the {what} '{name}' does not match {', '.join(wanted)}"
    if ignored and included(name, ignored):
        return f"the {what} '{name}' is ignored by {', '.join(ignored)}"
    return ""


def _paths(trigger: Trigger, event: Event) -> str:
    if event.paths is None:
        return ""
    if trigger.paths and not any(included(path, trigger.paths) for path in event.paths):
        return f"none of the {len(event.paths)} changed files matches {', '.join(trigger.paths)}"
    if trigger.paths_ignore and all(included(path, trigger.paths_ignore) for path in event.paths):
        return f"all {len(event.paths)} changed files are ignored by {', '.join(trigger.paths_ignore)}"
    return ""


def _skipped(message: str) -> str:
    if match := _SKIP.search(message):
        return f"the commit message says {match[0]}"
    for line in reversed(message[-10_000:].rstrip().split("\n")[-_TRAILERS:]):
        trailer = _TRAILER.fullmatch(line.strip())
        if trailer is None:
            break
        if trailer[1].lower() == "skip-checks" and trailer[2].strip().lower() == "true":
            return "the commit message says skip-checks: true"
    return ""


def _at(payload: Mapping[str, Any], *path: str) -> Any:
    value: Any = payload
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def dispatch_inputs(
    workflow: Workflow, given: Mapping[str, Any], event: str = "workflow_dispatch"
) -> dict[str, Any]:
    """Return the `inputs` context: what was given, checked and typed, with defaults for the rest.

    `event` is `workflow_dispatch` or `workflow_call`. Raises `WorkflowError` naming everything that is wrong.
    """
    trigger = workflow.triggers.get(event)
    if trigger is None:
        raise WorkflowError(f"{workflow.path} cannot be started by {event}: add `{event}:` under `on:`")
    wrong = [
        f"'{name}' is not one of its inputs ({', '.join(trigger.inputs) or 'it has none'})"
        for name in given
        if lookup(trigger.inputs, name) is None
    ]
    made: dict[str, Any] = {}
    for name, declared in trigger.inputs.items():
        try:
            made[name] = _typed(declared, lookup(given, name))
        except WorkflowError as error:
            wrong.append(str(error))
    if wrong:
        raise WorkflowError("; ".join(wrong))
    return made


def _typed(declared: Input, value: Any) -> Any:
    name = declared.name
    if value is None or (value == "" and declared.type != "string"):
        if declared.required and declared.default is None:
            raise WorkflowError(f"the input '{name}' is required")
        value = declared.default
    if declared.type == "boolean":
        word = to_string(value).lower()
        if word not in {"true", "false", ""}:
            raise WorkflowError(f"the input '{name}' is true or false, not '{to_string(value)}'")
        return word == "true"
    if declared.type == "number":
        try:
            number = float(to_string(value) or 0)
        except ValueError:
            raise WorkflowError(f"the input '{name}' is a number, not '{to_string(value)}'") from None
        return int(number) if number.is_integer() else number
    text = to_string(value)
    if declared.type == "choice" and text not in declared.options and (text or declared.required):
        raise WorkflowError(f"the input '{name}' is one of {', '.join(declared.options)}, not '{text}'")
    return text
