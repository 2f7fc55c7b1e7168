"""Decides how paths are put back. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from windlass.repos.records import Conflict

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Blob:
    """A file's mode and content, by id."""

    mode: str
    sha: str


def plan_revert(
    good: Mapping[str, Blob], bad: Mapping[str, Blob], tip: Mapping[str, Blob]
) -> dict[str, Blob | None] | Conflict:
    """Return what to write on top of `tip` so that it stands as in `good` (None: delete), or the conflict.

    The three are the files below the paths in question. A file that differs between `bad` and `tip`, other
    than by being back at `good`, is the work of somebody after `bad`: nothing is reverted then, also if
    `bad` did not touch that file, because what others built on `bad` was never tried without it.
    """
    changes: dict[str, Blob | None] = {}
    foreign: list[str] = []
    for path in sorted(good.keys() | bad.keys() | tip.keys()):
        was, then, now = good.get(path), bad.get(path), tip.get(path)
        if now == was:
            continue
        if now == then:
            changes[path] = was
        else:
            foreign.append(path)
    if foreign:
        listed = ", ".join(foreign[:5]) + (f" and {len(foreign) - 5} more" if len(foreign) > 5 else "")
        return Conflict(tuple(foreign), f"Later commits changed {listed}; a revert would undo them.")
    return changes
