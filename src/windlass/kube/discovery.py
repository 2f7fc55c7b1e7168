"""What resources an API server serves: kind to path, cached; what is missing on an older server is just missing."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anyio

from windlass.kube.errors import KubeError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

Object = dict[str, Any]
TTL = 600.0
AGAIN = 3.0  # seconds until something that was not found is looked for on the server again
_LIST = "application/json;g=apidiscovery.k8s.io;v={};as=APIGroupDiscoveryList"
AGGREGATED = f"{_LIST.format('v2')},{_LIST.format('v2beta1')},application/json"


@dataclass(frozen=True, slots=True)
class ResourceInfo:
    """One resource of the server, in one version. `subresources` are plain names: `status`, `scale`."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool
    subresources: frozenset[str]

    @property
    def key(self) -> str:
        """`plural[.group]`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def api_version(self) -> str:
        """`[group/]version`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(
        self, namespace: str | None = None, name: str | None = None, subresource: str | None = None
    ) -> str:
        """Return the URL path of the collection, of one object, or of its subresource."""
        root = f"/apis/{self.api_version}" if self.group else f"/api/{self.version}"
        scope = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        return (
            root
            + scope
            + f"/{self.plural}"
            + (f"/{name}" if name else "")
            + (f"/{subresource}" if subresource else "")
        )


def _aggregated(document: Object) -> list[ResourceInfo]:
    found = []
    for group in document.get("items") or ():
        name = (group.get("metadata") or {}).get("name", "")
        for version in group.get("versions") or ():
            for item in version.get("resources") or ():
                subresources = frozenset(sub["subresource"] for sub in item.get("subresources") or ())
                kind = (item.get("responseKind") or {}).get("kind", "")
                namespaced = item.get("scope") == "Namespaced"
                found.append(
                    ResourceInfo(name, version["version"], item["resource"], kind, namespaced, subresources)
                )
    return found


def _plain(group: str, version: str, document: Object) -> list[ResourceInfo]:
    items = document.get("resources") or []
    below: dict[str, set[str]] = {}
    for item in items:
        plural, slash, subresource = item["name"].partition("/")
        if slash:
            below.setdefault(plural, set()).add(subresource)
    return [
        ResourceInfo(
            group,
            version,
            item["name"],
            item["kind"],
            item["namespaced"],
            frozenset(below.get(item["name"], ())),
        )
        for item in items
        if "/" not in item["name"]
    ]


class Discovery:
    """Finds resources by `plural[.group]`, `Kind`, or `apiVersion/Kind`. The first version of a group is preferred."""

    def __init__(self, fetch: Callable[[str, str], Awaitable[Object]]) -> None:
        self._fetch = fetch
        self._known: list[ResourceInfo] = []
        self._at = float("-inf")
        self._lock = anyio.Lock()

    async def find(self, name: str) -> ResourceInfo:
        """Return the resource; NotFoundError when the server does not have it."""
        found = self._match(name)
        if found is None or time.monotonic() - self._at > TTL:
            async with self._lock:
                if time.monotonic() - self._at > (AGAIN if self._match(name) is None else TTL):
                    self._known = await self._all()
                    self._at = time.monotonic()
            found = self._match(name)
        if found is None:
            raise NotFoundError(f"the server does not have a resource {name!r}")
        return found

    async def find_for(self, obj: Object) -> ResourceInfo:
        """Return the resource of an object, by its apiVersion and kind."""
        return await self.find(f"{obj['apiVersion']}/{obj['kind']}")

    async def all(self) -> list[ResourceInfo]:
        """Return everything that the server has."""
        if time.monotonic() - self._at > TTL:
            self._known, self._at = await self._all(), time.monotonic()
        return list(self._known)

    def forget(self) -> None:
        """Ask the server again next time."""
        self._at = float("-inf")

    def _match(self, name: str) -> ResourceInfo | None:
        api_version, slash, kind = name.rpartition("/")
        for info in self._known:
            if slash:
                if info.kind == kind and info.api_version == api_version:
                    return info
            elif name in {info.key, info.kind} or (info.group and name == info.plural and self._alone(info)):
                return info
        return None

    def _alone(self, info: ResourceInfo) -> bool:
        return not any(other.plural == info.plural and other.group != info.group for other in self._known)

    async def _all(self) -> list[ResourceInfo]:
        core, groups = await self._fetch("/api", AGGREGATED), await self._fetch("/apis", AGGREGATED)
        if core.get("kind") == "APIGroupDiscoveryList" and groups.get("kind") == "APIGroupDiscoveryList":
            return [*_aggregated(core), *_aggregated(groups)]
        found = _plain("", "v1", await self._fetch("/api/v1", "application/json"))
        for group in groups.get("groups") or ():
            preferred = (group.get("preferredVersion") or {}).get("version")
            versions = sorted((v["version"] for v in group["versions"]), key=lambda v: v != preferred)
            for version in versions:
                found += await self._group(group["name"], version)
        return found

    async def _group(self, group: str, version: str) -> list[ResourceInfo]:
        try:
            return _plain(group, version, await self._fetch(f"/apis/{group}/{version}", "application/json"))
        except KubeError:
            return []  # an aggregated API whose server is away does not take the others with it
