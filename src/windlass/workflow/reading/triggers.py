"""From the token under `on:` to triggers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from windlass.workflow.model import Input, Schedule, Trigger
from windlass.workflow.reading.cron import valid_cron, valid_zone
from windlass.workflow.reading.tokens import (
    Literal,
    MappingToken,
    SequenceToken,
    Token,
    data,
    strings,
    template,
    text,
)

if TYPE_CHECKING:
    from windlass.workflow.reading.problems import Problems

_FILTERS = {
    "types": "types",
    "branches": "branches",
    "branches-ignore": "branches_ignore",
    "tags": "tags",
    "tags-ignore": "tags_ignore",
    "paths": "paths",
    "paths-ignore": "paths_ignore",
    "workflows": "workflows",
    "names": "names",
}


def triggers(token: Token | None, problems: Problems) -> dict[str, Trigger]:
    """Return the triggers by event, noting what is wrong with their values."""
    if isinstance(token, Literal):
        return {text(token): Trigger(text(token), line=token.line)}
    if isinstance(token, SequenceToken):
        return {text(item): Trigger(text(item), line=item.line) for item in token.items}
    found: dict[str, Trigger] = {}
    if isinstance(token, MappingToken):
        for key, value in token.pairs:
            name = text(key)
            if isinstance(value, SequenceToken):
                found[name] = Trigger(name, schedules=_schedules(value, problems), line=key.line)
            elif isinstance(value, MappingToken):
                found[name] = _trigger(name, value, key.line, problems)
            else:
                found[name] = Trigger(name, line=key.line)
    return found


def _trigger(name: str, token: MappingToken, line: int, problems: Problems) -> Trigger:
    values: dict[str, Any] = {
        field: strings(value) for key, value in token.literal_pairs() if (field := _FILTERS.get(key))
    }
    if name == "push" or name.startswith("pull_request") or name == "workflow_run":
        _conflicts(token, problems)
    inputs = token.get("inputs")
    if isinstance(inputs, MappingToken):
        values["inputs"] = {key: _input(key, value, problems) for key, value in inputs.literal_pairs()}
    outputs = token.get("outputs")
    if isinstance(outputs, MappingToken):
        values["outputs"] = {
            key: template(value.get("value")) if isinstance(value, MappingToken) else ""
            for key, value in outputs.literal_pairs()
        }
    secrets = token.get("secrets")
    if isinstance(secrets, MappingToken):
        values["secrets"] = {
            key: isinstance(value, MappingToken) and data(value.get("required")) is True
            for key, value in secrets.literal_pairs()
        }
    return Trigger(name, **values, options=data(token), line=line)


def _conflicts(token: MappingToken, problems: Problems) -> None:
    for name in ("branches", "tags", "paths"):
        ignored = token.get(f"{name}-ignore")
        if ignored is not None and token.get(name) is not None:
            message = f"you may only define one of `{name}` and `{name}-ignore` for a single event"
            problems.add(ignored, message, "conflicting-filters")


def _schedules(token: SequenceToken, problems: Problems) -> tuple[Schedule, ...]:
    found = []
    for item in token.items:
        if not isinstance(item, MappingToken):
            continue
        cron, zone = item.get("cron"), item.get("timezone")
        if cron is None:
            problems.add(item, "Missing required key 'cron' in schedule entry", "invalid-cron")
            continue
        if not valid_cron(text(cron)):
            message = "Invalid cron expression. Expected format: '* * * * *' (minute hour day month weekday)"
            problems.add(cron, message, "invalid-cron")
            continue
        if zone is not None and not valid_zone(text(zone)):
            message = f"Unknown time zone '{text(zone)}'. Expected a name such as 'Europe/Berlin'"
            problems.add(zone, message, "invalid-timezone")
            continue
        found.append(Schedule(text(cron), text(zone) or "UTC", item.line))
    return tuple(found)


def _input(name: str, token: Token, problems: Problems) -> Input:
    if not isinstance(token, MappingToken):
        return Input(name)
    kind = text(token.get("type")) or "string"
    default, options = token.get("default"), token.get("options")
    chosen = strings(options)
    if kind == "choice" and not chosen:
        problems.add(token, "Missing 'options' for choice input", "invalid-input")
    if kind != "choice" and options is not None:
        problems.add(token, "Input type is not 'choice', but 'options' is defined", "invalid-input")
    return Input(
        name,
        kind,
        required=data(token.get("required")) is True,
        default=data(default),
        description=text(token.get("description")),
        options=chosen,
        deprecation=text(token.get("deprecationMessage")),
    )
