"""The actions that are built in; `library` finds all others."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from windlass.runner.actions.base import Action


@functools.cache
def catalogue() -> dict[str, Action]:
    """Return every built-in action by its name (`owner/repository`) in lower case."""
    from windlass.runner.actions.builtin import ACTIONS

    return {name.lower(): action for action in ACTIONS for name in action.names}


def built_in(uses: str) -> Action | None:
    """Return the built-in action of this well-known name; of each, every version is the same one."""
    return catalogue().get(uses.partition("@")[0].strip().rstrip("/").lower())
