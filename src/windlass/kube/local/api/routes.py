"""From URL paths to resources."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from windlass.kube.errors import NotFoundError
from windlass.kube.local.kinds import NEW_EVENTS, RESOURCES, Resource

NOT_FOUND = "the server could not find the requested resource"


@dataclass(frozen=True, slots=True)
class Target:
    """What a path names. `rest` is what follows the subresource (`proxy/PATH`)."""

    resource: Resource
    namespace: str | None
    name: str | None
    subresource: str | None
    rest: str


@cache
def _by_place() -> dict[tuple[str, str, str], Resource]:
    return {(r.group, r.version, r.plural): r for r in (*RESOURCES, NEW_EVENTS)}


def parse(path: str) -> Target:
    """Parse `/api/v1/...` or `/apis/GROUP/VERSION/...` below the version; NotFoundError for anything else."""
    segments = path.strip("/").split("/")
    if segments[0] == "api" and len(segments) > 2:
        return _target("", segments[1], segments[2:])
    if segments[0] == "apis" and len(segments) > 3:
        return _target(segments[1], segments[2], segments[3:])
    raise NotFoundError(NOT_FOUND)


def _target(group: str, version: str, rest: list[str]) -> Target:
    namespace = None
    if rest[0] == "namespaces" and len(rest) > 2 and (group, version, rest[2]) in _by_place():
        namespace, rest = rest[1], rest[2:]
    resource = _by_place().get((group, version, rest[0]))
    if resource is None or (namespace is not None and not resource.namespaced):
        raise NotFoundError(NOT_FOUND)
    name = rest[1] if len(rest) > 1 and rest[1] else None
    if name and resource.namespaced and namespace is None:
        raise NotFoundError(f"{NOT_FOUND}: {resource.key} live in a namespace")
    subresource = rest[2] if len(rest) > 2 else None
    return Target(resource, namespace, name, subresource, "/".join(rest[3:]))
