"""What a controller may want done, as data. Decisions are pure; `executor.perform` does them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from windlass.kube.local.controllers.meta import Object

EVENT_NORMAL = "Normal"
EVENT_WARNING = "Warning"


@dataclass(frozen=True, slots=True)
class Create:
    """Create the object. With `reporter` the creation is told as an Event about that object."""

    resource: str
    object: Object
    reporter: Object | None = None


@dataclass(frozen=True, slots=True)
class Patch:
    """Apply a JSON merge patch (RFC 7386) to the object, if it still has this uid."""

    resource: str
    target: Object
    patch: Object


@dataclass(frozen=True, slots=True)
class SetStatus:
    """Replace `status`, if the object still has this uid."""

    resource: str
    target: Object
    status: Object


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete the object, if it still has this uid."""

    resource: str
    target: Object


@dataclass(frozen=True, slots=True)
class Report:
    """An Event about an object, for `kubectl describe`."""

    regarding: Object
    kind: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Requeue:
    """Look again after so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Collide:
    """The name is taken by an object that is not ours: count the collision and try the next name."""

    target: Object


Effect = Create | Patch | SetStatus | Delete | Report | Requeue | Collide
