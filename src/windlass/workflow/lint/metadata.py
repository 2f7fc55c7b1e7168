"""`action-metadata`: keys of an action file that GitHub passes over, or refuses when the action is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from windlass.workflow.lint.unit import pairs
from windlass.workflow.lint.words import words
from windlass.workflow.reading.tokens import MappingToken, text

if TYPE_CHECKING:
    from windlass.workflow.lint.unit import Unit
    from windlass.workflow.reading.tokens import Token

# Below `runs` and `outputs` the grammar itself is strict.
_ROOT = words("name author description inputs outputs runs branding")
_INPUT = words("description default required deprecationmessage type")


def check(unit: Unit) -> None:
    """Look at an action file; other files have none of this."""
    if not unit.is_action:
        return
    _keys(unit, unit.root, _ROOT, "An action")
    for _, token in pairs(unit.root.get("inputs")):
        _keys(unit, token, _INPUT, "An input")
    for job in unit.jobs.values():
        for step in job.steps:
            if (limit := step.token.get("timeout-minutes")) is not None:
                message = "GitHub refuses an action with `timeout-minutes` in a step: set it where it is used"
                unit.report("action-metadata", message, limit)
    for key in ("name", "description"):
        if unit.root.get(key) is None:
            message = f"The action has no `{key}`, without which it cannot be published"
            unit.report("action-metadata", message, unit.root, severity="info")


def _keys(unit: Unit, token: Token | None, known: frozenset[str], what: str) -> None:
    if not isinstance(token, MappingToken):
        return
    for key, _ in token.pairs:
        name = text(key)
        if name and name.lower() not in known:
            unit.report("action-metadata", f"{what} has no key `{name}`: it has no effect", key)
