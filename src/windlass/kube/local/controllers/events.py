"""Events for `kubectl describe`: the same news about the same object is counted, not repeated."""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING, Any

import structlog

from windlass.kube.errors import KubeError, NotFoundError
from windlass.kube.local.controllers.meta import name_of, namespace_of, stamp, uid_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from windlass.kube.local.controllers.meta import Object
    from windlass.kube.local.objects import Objects

MESSAGE_LIMIT = 1024
log = structlog.get_logger()


def event(  # noqa: PLR0917 the order in which kubectl shows them
    regarding: Object, kind: str, reason: str, message: str, source: str, now: float
) -> Object:
    """Make a core/v1 Event with a name that is the same for the same news."""
    message = message[:MESSAGE_LIMIT]
    digest = hashlib.sha256(f"{uid_of(regarding)}\0{reason}\0{message}\0{kind}".encode()).hexdigest()[:16]
    namespace = namespace_of(regarding) or "default"
    about: dict[str, Any] = {
        "apiVersion": regarding.get("apiVersion", "v1"),
        "kind": regarding["kind"],
        "name": name_of(regarding),
        "namespace": namespace_of(regarding),
        "uid": uid_of(regarding),
    }
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{name_of(regarding)[:200]}.{digest}", "namespace": namespace},
        "involvedObject": {key: value for key, value in about.items() if value},
        "type": kind,
        "reason": reason,
        "message": message,
        "source": {"component": source},
        "reportingComponent": source,
        "firstTimestamp": stamp(now),
        "lastTimestamp": stamp(now),
        "count": 1,
    }


class Recorder:
    """Writes Events. News that cannot be written is logged: telling never stops the doing."""

    def __init__(self, objects: Objects, source: str, *, clock: Callable[[], float] = time.time) -> None:
        self._objects = objects
        self._source = source
        self._clock = clock

    async def tell(self, regarding: Object, kind: str, reason: str, message: str) -> None:
        """Record news about an object. `kind` is Normal or Warning."""
        fresh = event(regarding, kind, reason, message, self._source, self._clock())

        def again(old: Object) -> Object:
            return {**old, "count": int(old.get("count", 1)) + 1, "lastTimestamp": fresh["lastTimestamp"]}

        try:
            try:
                await self._objects.modify("events", namespace_of(fresh), name_of(fresh), again)
            except NotFoundError:
                await self._objects.create("events", fresh, manager=self._source)
        except KubeError as error:
            log.info("event not recorded", reason=reason, about=name_of(regarding), error=str(error))
