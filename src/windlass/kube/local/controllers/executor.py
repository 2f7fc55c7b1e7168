"""Does what the controllers decided, one effect after the other, through the object store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from windlass.kube.errors import AlreadyExistsError, ConflictError, KubeError, NotFoundError
from windlass.kube.local.controllers.effects import (
    EVENT_NORMAL,
    EVENT_WARNING,
    Collide,
    Create,
    Delete,
    Patch,
    Report,
    Requeue,
    SetStatus,
)
from windlass.kube.local.controllers.meta import name_of, namespace_of, status_of, uid_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from windlass.kube.local.controllers.effects import Effect
    from windlass.kube.local.controllers.events import Recorder
    from windlass.kube.local.controllers.meta import Object
    from windlass.kube.local.objects import Objects

MANAGER = "kube-controller-manager"


def merged(value: Any, patch: Any) -> Any:
    """RFC 7386: maps are merged, null deletes, everything else replaces."""
    if not isinstance(patch, dict):
        return patch
    result = dict(value) if isinstance(value, dict) else {}
    for key, item in patch.items():
        if item is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), item)
    return result


class Executor:
    """Effects against the object store. What is gone or was replaced meanwhile is left alone."""

    def __init__(self, objects: Objects, recorder: Recorder) -> None:
        self._objects = objects
        self._recorder = recorder

    async def perform(self, effects: Sequence[Effect]) -> float | None:
        """Perform in order; returns after how many seconds to look again, None for not at all."""
        again: float | None = None
        for effect in effects:
            if isinstance(effect, Requeue):
                again = effect.seconds if again is None else min(again, effect.seconds)
            else:
                await self._one(effect)
        return again

    async def _one(self, effect: Effect) -> None:
        match effect:
            case Create():
                await self._create(effect)
            case Patch(resource, target, patch):
                await self._change(resource, target, lambda obj: merged(obj, patch))
            case SetStatus(resource, target, status):
                await self._change(resource, target, lambda obj: {**obj, "status": status}, "status")
            case Delete(resource, target):
                await self._delete(resource, target)
            case Report(regarding, kind, reason, message):
                await self._recorder.tell(regarding, kind, reason, message)
            case Collide(target):
                count = status_of(target).get("collisionCount", 0) + 1
                status = {**status_of(target), "collisionCount": count}
                await self._change(
                    "deployments.apps", target, lambda obj: {**obj, "status": status}, "status"
                )
            case _:  # pragma: no cover - Requeue is handled above
                pass

    async def _create(self, effect: Create) -> None:
        try:
            made = await self._objects.create(effect.resource, effect.object, manager=MANAGER)
        except AlreadyExistsError:
            return
        except KubeError as error:
            if effect.reporter is not None:
                text = f"Error creating: {error}"
                await self._recorder.tell(effect.reporter, EVENT_WARNING, "FailedCreate", text)
            raise
        if effect.reporter is not None:
            text = f"Created {made['kind'].lower()}: {name_of(made)}"
            await self._recorder.tell(effect.reporter, EVENT_NORMAL, "SuccessfulCreate", text)

    async def _change(
        self, resource: str, target: Object, change: Any, subresource: str | None = None
    ) -> None:
        def guarded(obj: Object) -> Object | None:
            return change(obj) if uid_of(obj) == uid_of(target) else None

        try:
            await self._objects.modify(
                resource,
                namespace_of(target),
                name_of(target),
                guarded,
                subresource=subresource,
                manager=MANAGER,
            )
        except NotFoundError:
            return

    async def _delete(self, resource: str, target: Object) -> None:
        try:
            await self._objects.delete(
                resource,
                namespace_of(target),
                name_of(target),
                uid=uid_of(target) or None,
                propagation="Background",
            )
        except (NotFoundError, ConflictError):
            return
