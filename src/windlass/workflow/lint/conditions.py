"""Conditions that decide nothing: `constant-condition`, `unreachable-job`, `unreachable-step`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from windlass.workflow.expressions.nodes import Call
from windlass.workflow.lint.logic import Facts, never
from windlass.workflow.lint.unit import condition_site, pairs
from windlass.workflow.reading.tokens import Expression, strings

if TYPE_CHECKING:
    from windlass.workflow.expressions.nodes import Node
    from windlass.workflow.lint.unit import Job, Unit
    from windlass.workflow.reading.tokens import Token

_STATUS = frozenset({"success", "failure", "cancelled", "always"})
_ONLY_BRANCHES = frozenset({"branches", "branches-ignore"})
_ONLY_TAGS = frozenset({"tags", "tags-ignore"})


def check(unit: Unit) -> None:
    """Look at the conditions of all jobs and steps."""
    worlds = facts_of(unit)
    dead: set[str] = set()
    for job in _in_order(unit):
        _constant(unit, job.token.get("if"))
        if not unit.is_action and _job_is_dead(unit, job, worlds, dead):
            dead.add(job.key.lower())
        for step in job.steps:
            condition = step.token.get("if")
            _constant(unit, condition)
            site = condition_site(condition)
            alive = job.key.lower() not in dead
            if alive and site is not None and condition and _never(site.tree, worlds, {"always": True}):
                why = _why(site.tree, worlds)
                unit.report("unreachable-step", f"This step never runs: {why}", condition)


def facts_of(unit: Unit) -> list[Facts]:
    """Return what is known in each event that starts the file; one world without facts where that is open."""
    if unit.events is None or "workflow_call" in unit.events:
        return [Facts()]
    on = dict(pairs(unit.root.get("on")))
    return [_facts(event, on.get(event)) for event in sorted(unit.events)]


def _facts(event: str, token: Token | None) -> Facts:
    filters = {name for name, _ in pairs(token)}
    values = {"github.event_name": event}
    types = [item for name, value in pairs(token) if name == "types" for item in strings(value)]
    if len(types) == 1 and "${{" not in types[0]:
        values["github.event.action"] = types[0]
    prefixes: tuple[str, ...] = ()
    if event == "push" and filters & _ONLY_BRANCHES and not filters & _ONLY_TAGS:
        prefixes, values["github.ref_type"] = ("refs/heads/",), "branch"
    elif event == "push" and filters & _ONLY_TAGS and not filters & _ONLY_BRANCHES:
        prefixes, values["github.ref_type"] = ("refs/tags/",), "tag"
    return Facts(values, {}, prefixes)


def _constant(unit: Unit, token: Token | None) -> None:
    if not isinstance(token, Expression) or "${{" not in token.raw:
        return
    site = condition_site(token)
    if site is None or not isinstance(site.tree, Call) or not token.expression.startswith("format("):
        return
    raw = token.raw
    if raw.strip().startswith("${{") and raw.strip().endswith("}}") and raw.count("${{") == 1:
        why = "the line break after `}}` makes it a text (write `>-` or `|-`, or leave `${{ }}` out)"
    else:
        why = "what stands around `${{ }}` makes it a text, and a text that is not empty is true"
    unit.report("constant-condition", f"This condition is always true: {why}", token)


def _in_order(unit: Unit) -> list[Job]:
    """Return the jobs, what they need first; those in a circle last."""
    done: set[str] = set()
    open_ = dict(unit.jobs)
    ordered: list[Job] = []
    while open_:
        ready = [
            key for key, job in open_.items() if all(need in done or need not in open_ for need in job.needs)
        ]
        for key in ready or list(open_):
            ordered.append(open_.pop(key))
            done.add(key)
    return ordered


def _job_is_dead(unit: Unit, job: Job, worlds: list[Facts], dead: set[str]) -> bool:
    condition = job.token.get("if")
    site = condition_site(condition)
    if site is not None and condition is not None and _never(site.tree, worlds, {"always": True}):
        message = f"Job '{job.key}' never runs: {_why(site.tree, worlds)}"
        unit.report("unreachable-job", message, condition)
        return True
    lost = [unit.jobs[need].key for need in job.needs if need in dead]
    if not lost:
        return False
    status = {"success": False, "always": True}
    names_status = site is not None and any(
        isinstance(node, Call) and node.name.lower() in _STATUS for node in site.tree.walk()
    )
    if names_status and site is not None and not _never(site.tree, worlds, status):
        return False
    message = f"Job '{job.key}' never runs: it needs '{lost[0]}', which never runs"
    unit.report("unreachable-job", message, job.token.get("needs") or job.key_token)
    return True


def _never(tree: Node, worlds: list[Facts], status: dict[str, bool]) -> bool:
    return all(never(tree, Facts(facts.values, status, facts.ref_prefixes, facts.differ)) for facts in worlds)


def _why(tree: Node, worlds: list[Facts]) -> str:
    if never(tree, Facts()):
        return "its condition is always false"
    events = ", ".join(f"`{facts.values['github.event_name']}`" for facts in worlds)
    return f"its condition is false for all that starts the workflow ({events} as filtered below `on:`)"
