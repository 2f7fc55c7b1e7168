"""The events of `on:`, the types of activity each knows, and the filters each takes."""

from __future__ import annotations

from windlass.workflow.grammar.types import (
    ANY,
    BOOLEAN,
    FILLED,
    FILLED_STRINGS,
    NULL,
    NUMBER,
    ONE_OR_MORE,
    SCALAR,
    STRING,
    STRINGS,
    Mapping,
    OneOf,
    Sequence,
    Text,
    Type,
    choice,
    keyed,
)

_PULL_REQUEST = (
    "assigned unassigned labeled unlabeled opened edited closed reopened synchronize converted_to_draft locked "
    "unlocked enqueued dequeued milestoned demilestoned ready_for_review review_requested "
    "review_request_removed auto_merge_enabled auto_merge_disabled stacked"
)
_ISSUES = (
    "opened edited deleted transferred pinned unpinned closed reopened assigned unassigned labeled unlabeled "
    "locked unlocked milestoned demilestoned field_added field_removed typed untyped"
)
_DISCUSSION = (
    "created edited deleted transferred pinned unpinned labeled unlabeled locked unlocked category_changed "
    "answered unanswered"
)
_CHANGED = "created edited deleted"
_BRANCHES = "branches branches-ignore"
_PATHS = "paths paths-ignore"

# event: (types of activity, filters)
EVENTS: dict[str, tuple[str, str]] = {
    "branch_protection_rule": (_CHANGED, ""),
    "check_run": ("completed created rerequested requested_action", ""),
    "check_suite": ("completed", ""),
    "create": ("", ""),
    "delete": ("", ""),
    "deployment": ("", ""),
    "deployment_status": ("", ""),
    "discussion": (_DISCUSSION, ""),
    "discussion_comment": (_CHANGED, ""),
    "fork": ("", ""),
    "gollum": ("", ""),
    "image_version": ("created ready deleted", "names versions"),
    "issue_comment": (_CHANGED, ""),
    "issues": (_ISSUES, ""),
    "label": (_CHANGED, ""),
    "merge_group": ("checks_requested", _BRANCHES),
    "milestone": ("created closed opened edited deleted", ""),
    "page_build": ("", ""),
    "project": ("created closed reopened edited deleted", ""),
    "project_card": ("created moved converted edited deleted", ""),
    "project_column": ("created updated moved deleted", ""),
    "public": ("", ""),
    "pull_request": (_PULL_REQUEST, f"{_BRANCHES} {_PATHS}"),
    "pull_request_comment": (_CHANGED, ""),
    "pull_request_review": ("submitted edited dismissed", ""),
    "pull_request_review_comment": (_CHANGED, ""),
    "pull_request_target": (_PULL_REQUEST, f"{_BRANCHES} {_PATHS}"),
    "push": ("", f"{_BRANCHES} tags tags-ignore {_PATHS}"),
    "registry_package": ("published updated", ""),
    "release": ("published unpublished created edited deleted prereleased released", ""),
    "status": ("", ""),
    "watch": ("started", ""),
    "workflow_run": ("requested completed in_progress", f"workflows {_BRANCHES}"),
}
# What a pull request's workflow runs on where it names no types.
DEFAULT_TYPES = {
    "pull_request": ("opened", "synchronize", "reopened"),
    "pull_request_target": ("opened", "synchronize", "reopened"),
}


def _event(types: str, filters: str) -> Type:
    if not types and not filters:
        return NULL
    keys: dict[str, Type] = {}
    if types:
        kinds = choice(*types.split())
        keys["types"] = OneOf(kinds, Sequence(kinds))
    keys |= dict.fromkeys(filters.split(), ONE_OR_MORE)
    return OneOf(NULL, Mapping(keys))


_CALL_INPUT = Mapping(
    {
        "description": STRING,
        "type!": choice("string", "boolean", "number"),
        "required": BOOLEAN,
        "default": OneOf(STRING, BOOLEAN, NUMBER, names="github inputs vars"),
    }
)
_CALL_SECRET = OneOf(NULL, Mapping({"description": STRING, "required": BOOLEAN}))
_CALL_OUTPUT = Mapping({"description": STRING, "value!": Text(names="github inputs vars jobs")})
WORKFLOW_CALL = OneOf(
    NULL,
    Mapping(
        {"inputs": keyed(_CALL_INPUT), "secrets": keyed(_CALL_SECRET), "outputs": keyed(_CALL_OUTPUT)},
    ),
)
_DISPATCH_INPUT = Mapping(
    {
        "description": STRING,
        "type": choice("string", "boolean", "number", "environment", "choice"),
        "required": BOOLEAN,
        "default": SCALAR,
        "options": STRINGS,
    }
)
WORKFLOW_DISPATCH = OneOf(NULL, Mapping({"inputs": keyed(_DISPATCH_INPUT)}))
SCHEDULE = Sequence(Mapping({"cron!": FILLED, "timezone": FILLED}))

_KNOWN: dict[str, Type] = {
    **{name: _event(*spec) for name, spec in EVENTS.items()},
    "repository_dispatch": OneOf(NULL, Mapping({"types": FILLED_STRINGS})),
    "schedule": SCHEDULE,
    "workflow_call": WORKFLOW_CALL,
    "workflow_dispatch": WORKFLOW_DISPATCH,
}
_NAME = choice(*sorted(_KNOWN))

# What GitHub's service takes: any event, and whatever stands below it, except for workflow_call.
ON = OneOf(STRING, Sequence(ANY), Mapping({"workflow_call": WORKFLOW_CALL}, FILLED, ANY))
# What GitHub's editor takes.
ON_STRICT = OneOf(_NAME, Sequence(_NAME), Mapping(_KNOWN))
