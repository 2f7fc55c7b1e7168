"""What a watcher with a namespace and selectors sees of the stream of changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from windlass.kube.types import Object, WatchEvent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from windlass.kube.local.history import Change, Subscription


def seen_as(change: Change, namespace: str | None, chosen: Callable[[Object], bool]) -> str | None:
    """Return the type under which a watcher sees a change, None if it does not.

    An object that begins to match the selectors is ADDED, one that ceases to is DELETED.
    """
    if namespace is not None and change.namespace != namespace:
        return None
    was = change.before is not None and chosen(change.before.obj)
    if change.type == "DELETED":
        return "DELETED" if was else None
    match was, chosen(change.after.obj):
        case False, True:
            return "ADDED"
        case True, True:
            return "MODIFIED"
        case True, False:
            return "DELETED"
    return None


async def events_of(
    subscription: Subscription, namespace: str | None, chosen: Callable[[Object], bool]
) -> AsyncIterator[WatchEvent]:
    """Yield what the watcher sees, until it stops asking."""
    while True:
        for change in await subscription.take():
            seen = seen_as(change, namespace, chosen)
            if seen is not None:
                yield WatchEvent(seen, change.resource, change.after.obj, str(change.after.version))
