"""The permissions of a job's token."""

from __future__ import annotations

from typing import TYPE_CHECKING

from windlass.workflow.grammar.workflow import SCOPES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Permissions = dict[str, str]
RANK = {"none": 0, "read": 1, "write": 2}
# What a token may do where neither workflow nor job says anything, under GitHub's two policies.
RESTRICTED: Permissions = {"contents": "read", "packages": "read"}
PERMISSIVE: Permissions = {
    name: "write" if "write" in levels else "read" for name, levels in SCOPES.items() if name != "id-token"
}


def all_at(level: str, scopes: Iterable[str] = SCOPES) -> Permissions:
    """Return what `read-all` and `write-all` stand for, among the given scopes. Levels do not exceed a scope's."""
    made = {}
    for scope in scopes:
        highest = "write" if "write" in SCOPES.get(scope, "write") else "read"
        made[scope] = level if RANK[level] <= RANK[highest] else highest
    return made


def exceeding(
    requested: Mapping[str, str], granted: Mapping[str, str], scopes: Iterable[str] = SCOPES
) -> list[str]:
    """Return the scopes, in the given order, of which more is requested than granted."""
    order = list(scopes)
    more = [scope for scope in requested if scope not in order]
    return [
        scope
        for scope in (*order, *more)
        if RANK[requested.get(scope, "none")] > RANK[granted.get(scope, "none")]
    ]


def narrowed(requested: Mapping[str, str], granted: Mapping[str, str]) -> Permissions:
    """Return what is requested, no scope at a higher level than granted."""
    return {
        scope: min(level, granted.get(scope, "none"), key=RANK.__getitem__)
        for scope, level in requested.items()
    }
