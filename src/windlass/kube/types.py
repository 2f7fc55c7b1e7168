"""What travels between the Kubernetes API, its client and the controllers: plain records round plain dicts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager

Object = dict[str, Any]
SYNCED = "SYNCED"  # the type of the event that says: what came before it is all there was
Key = tuple[str, str]  # namespace ("" for cluster-scoped objects), name


def key_of(obj: Object) -> Key:
    """Return namespace and name of an object."""
    return obj["metadata"].get("namespace", ""), obj["metadata"]["name"]


@dataclass(frozen=True, slots=True)
class ObjectList:
    """The items of one list and the version from which a watch continues without a gap."""

    items: list[Object]
    resource_version: str


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """One change. `type` is ADDED, MODIFIED or DELETED; `resource` is `plural[.group]`.

    For DELETED `object` is the last state. Objects are shared snapshots: copy before changing.
    """

    type: str
    resource: str
    object: Object
    resource_version: str


class Cluster(Protocol):
    """What controllers need of a cluster, in-process (`kube.local.objects.Objects`) and remote (`kube.Kube`).

    Resources are named `plural[.group]`: `pods`, `deployments.apps`, `applications.argoproj.io`.
    Namespaces: None is all of them, or none for cluster-scoped resources.
    """

    async def list(
        self,
        resource: str,
        namespace: str | None = None,
        *,
        labels: str | None = None,
        fields: str | None = None,
    ) -> ObjectList:
        """List what matches the selectors (`app=web,tier!=x`, `metadata.name=web`)."""
        ...

    def watch_from(
        self,
        resource: str,
        version: str,
        *,
        namespace: str | None = None,
        labels: str | None = None,
        fields: str | None = None,
    ) -> AbstractAsyncContextManager[AsyncIterator[WatchEvent]]:
        """Watch one resource after `version`. Raises GoneError when that is too old: list again.

        The iterator may end (a server closes watches now and then): watch again from the last version. An event
        of type BOOKMARK only tells a newer version.
        """
        ...
