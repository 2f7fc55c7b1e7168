"""A resource on its way through a build: its value, and the names under which others may know it."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from windlass.manifests.errors import BuildError
from windlass.manifests.objects import CLUSTER_SCOPED, Object, split_api_version

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PREFIX_FREE = frozenset({"CustomResourceDefinition", "APIService", "Namespace"})


@dataclass(frozen=True, slots=True)
class Name:
    """One of the ids that a resource had; `namespace` is the effective one."""

    group: str
    version: str
    kind: str
    namespace: str
    name: str

    def fits(self, kind: str, group: str | None, version: str | None) -> bool:
        """Whether the kind is this one; None stands for any group or version."""
        return self.kind == kind and group in (None, self.group) and version in (None, self.version)


@dataclass(slots=True)
class Resource:
    """`value` is changed in place by transformers; `previous` are the ids that it had before."""

    value: Object
    previous: list[Name] = field(default_factory=list)
    prefixes: list[str] = field(default_factory=list)
    suffixes: list[str] = field(default_factory=list)
    behavior: str = "create"
    needs_hash: bool = False
    origin: dict[str, Any] = field(default_factory=dict)
    changes: list[dict[str, Any]] = field(default_factory=list)

    @property
    def id(self) -> Name:
        """The present id."""
        group, version = split_api_version(str(self.value.get("apiVersion", "")))
        kind = str(self.value.get("kind", ""))
        meta = self.value.get("metadata") or {}
        own = str(meta.get("namespace") or "default")
        space = "" if kind in CLUSTER_SCOPED else own
        return Name(group, version, kind, space, str(meta.get("name", "")))

    @property
    def ids(self) -> list[Name]:
        """All ids, the first one first."""
        return [*self.previous, self.id]

    @property
    def meta(self) -> dict[str, Any]:
        """The metadata, made where it is missing."""
        found = self.value.get("metadata")
        if not isinstance(found, dict):
            found = self.value["metadata"] = {}
        return found

    def remember(self) -> None:
        """Keep the present id, before it changes."""
        if self.id not in self.previous:
            self.previous.append(self.id)

    def copy(self) -> Resource:
        """Return an independent copy."""
        return copy.deepcopy(self)


def is_local(item: Resource) -> bool:
    """Whether the resource is for tools only (`config.kubernetes.io/local-config`) and stays out of the output."""
    notes = item.meta.get("annotations")
    flag = notes.get("config.kubernetes.io/local-config") if isinstance(notes, dict) else None
    return flag is not None and str(flag).lower() != "false"


def absorb(items: list[Resource], new: Resource, where: str) -> None:
    """Add a generated resource, or merge it into the one that it names, as its behavior says."""
    found = [index for index, item in enumerate(items) if new.id in item.ids]
    if len(found) > 1:
        raise BuildError(f"{where}: {new.id.kind} {new.id.name} matches several resources")
    if not found:
        if new.behavior != "create":
            raise BuildError(f"{where}: {new.id.kind} {new.id.name} does not exist; cannot {new.behavior} it")
        items.append(new)
        return
    old = items[found[0]]
    if new.behavior == "create":
        raise BuildError(
            f"{where}: {new.id.kind} {new.id.name} exists already; say `behavior: merge` or `replace`"
        )
    items[found[0]] = _merged(old, new)


def _merged(old: Resource, new: Resource) -> Resource:
    value = new.value
    if new.behavior == "merge":
        for part in ("data", "binaryData"):
            both = {**(old.value.get(part) or {}), **(value.get(part) or {})}
            if both:
                value[part] = both
    meta = new.meta
    for part in ("labels", "annotations"):
        both = {**(old.meta.get(part) or {}), **(meta.get(part) or {})}
        if both:
            meta[part] = both
    for part in ("name", "namespace"):
        if part in old.meta:
            meta[part] = old.meta[part]
    if "type" in old.value and value.get("kind") == "Secret" and new.behavior == "merge":
        value["type"] = old.value["type"]
    hashed = new.needs_hash and (old.needs_hash or new.behavior == "replace")
    return Resource(
        value, old.previous, old.prefixes, old.suffixes, old.behavior, hashed, new.origin, old.changes
    )


def walk(value: Any, path: list[str], visit: Callable[[dict[str, Any], str], None], *, create: bool) -> None:
    """Call `visit(mapping, key)` wherever the path leads; lists on the way are entered (`[]` is optional)."""
    if isinstance(value, list):
        for item in value:
            walk(item, path, visit, create=create)
        return
    if not isinstance(value, dict):
        return
    key, rest = path[0].removesuffix("[]"), path[1:]
    if key == "*":
        for each in list(value):
            walk(value, [each, *rest], visit, create=create)
        return
    if not rest:
        if key in value or create:
            visit(value, key)
        return
    if value.get(key) is None:
        if not create or path[0].endswith("[]"):
            return
        value[key] = {}
    walk(value[key], rest, visit, create=create)


def split_path(path: str) -> list[str]:
    r"""Split a field path at `/`; `\/` is a slash within a key."""
    return [part.replace("\0", "/") for part in path.replace("\\/", "\0").strip("/").split("/")]


def all_mappings(value: Any) -> Iterator[dict[str, Any]]:
    """Yield every mapping within a value."""
    if isinstance(value, dict):
        yield value
        for item in value.values():
            yield from all_mappings(item)
    elif isinstance(value, list):
        for item in value:
            yield from all_mappings(item)
