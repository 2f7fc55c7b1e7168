"""Who owns which field (`metadata.managedFields`), and server-side apply."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from windlass.kube.errors import BadRequestError, ConflictError
from windlass.kube.local.fieldsets import (
    Paths,
    compare,
    decode_paths,
    encode_paths,
    merge,
    path_text,
    paths_of,
    remove,
)
from windlass.kube.local.schema.fields import shape_of

if TYPE_CHECKING:
    from windlass.kube.local.kinds import Resource

Object = dict[str, Any]
UPDATERS = 10
ANCIENT = "ancient-changes"
BEFORE = "before-first-apply"
LIMIT = 128
KUBECTL = "kubectl"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
# Nobody owns what identifies an object or what the server writes.
UNOWNED_META = frozenset(
    {
        "name",
        "namespace",
        "generateName",
        "uid",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "managedFields",
        "selfLink",
    }
)


@dataclass(frozen=True, slots=True)
class Manager:
    """One entry's identity."""

    name: str
    operation: str
    api_version: str
    subresource: str = ""


@dataclass(slots=True)
class Owned:
    """What a manager owns and since when."""

    paths: Paths
    time: str


Owners = dict[Manager, Owned]


def owned_part(obj: Object) -> Object:
    """Return the object without what nobody can own."""
    out = {key: value for key, value in obj.items() if key not in {"apiVersion", "kind"}}
    meta = obj.get("metadata") or {}
    out["metadata"] = {key: value for key, value in meta.items() if key not in UNOWNED_META}
    if not out["metadata"]:
        del out["metadata"]
    return out


def read_owners(obj: Object | None) -> Owners:
    """Read `metadata.managedFields`; BadRequestError when a client sent nonsense."""
    owners: Owners = {}
    for entry in ((obj or {}).get("metadata") or {}).get("managedFields") or ():
        if not isinstance(entry, dict) or entry.get("operation") not in {"Apply", "Update"}:
            if entry == {}:
                continue
            raise BadRequestError("metadata.managedFields: each entry has the operation Apply or Update")
        key = Manager(
            str(entry.get("manager", "")),
            entry["operation"],
            str(entry.get("apiVersion", "")),
            str(entry.get("subresource", "")),
        )
        owners[key] = Owned(decode_paths(entry.get("fieldsV1") or {}), str(entry.get("time", "")))
    return owners


def write_owners(obj: Object, owners: Owners) -> None:
    """Write `metadata.managedFields`, in Kubernetes' order; too many updaters become one."""
    owners = _without_too_many({key: owned for key, owned in owners.items() if owned.paths})
    entries = []
    for key, owned in sorted(
        owners.items(), key=lambda pair: (pair[0].operation, pair[1].time, pair[0].name, pair[0].subresource)
    ):
        entry = {
            "manager": key.name,
            "operation": key.operation,
            "apiVersion": key.api_version,
            "time": owned.time,
            "fieldsType": "FieldsV1",
            "fieldsV1": encode_paths(owned.paths),
        }
        entries.append({**entry, "subresource": key.subresource} if key.subresource else entry)
    if entries:
        obj["metadata"]["managedFields"] = entries
    else:
        obj["metadata"].pop("managedFields", None)


def _without_too_many(owners: Owners) -> Owners:
    updates = sorted(
        (key for key in owners if key.operation == "Update"), key=lambda key: owners[key].time, reverse=True
    )
    for key in updates[UPDATERS:]:
        ancient = Manager(ANCIENT, "Update", key.api_version, key.subresource)
        owned = owners.pop(key)
        before = owners.setdefault(ancient, Owned(set(), owned.time))
        before.paths |= owned.paths
    return owners


def track(
    resource: Resource, old: Object | None, new: Object, *, manager: str, subresource: str | None, now: str
) -> None:
    """Write into `new` who owns what, after `manager` turned `old` into it."""
    sent = new["metadata"].get("managedFields")
    owners = read_owners(new if sent and not subresource else old) if sent != [{}] else {}
    shape = shape_of(resource.type)
    difference = compare(owned_part(old or {}), owned_part(new), shape)
    mine = Manager(manager[:LIMIT], "Update", resource.api_version, subresource or "")
    taken = difference.modified | difference.added
    for key, owned in owners.items():
        lost = difference.removed if key == mine else difference.removed | taken
        owned.paths -= lost
    if taken:
        own = owners.setdefault(mine, Owned(set(), now))
        own.paths |= taken
        own.time = now
    write_owners(new, owners)


def _describe(key: Manager, owned: Owned) -> str:
    text = f'"{key.name}"'
    if key.subresource:
        text += f' with subresource "{key.subresource}"'
    if key.operation == "Update":
        text += f" using {key.api_version}" + (f" at {owned.time}" if owned.time else "")
    return text


def _conflict(conflicts: list[tuple[str, str]]) -> ConflictError:
    causes = [
        {"reason": "FieldManagerConflict", "message": f"conflict with {who}", "field": path}
        for who, path in conflicts
    ]
    if len(conflicts) == 1:
        message = f"Apply failed with 1 conflict: conflict with {conflicts[0][0]}: {conflicts[0][1]}"
    else:
        groups: dict[str, list[str]] = {}
        for who, path in conflicts:
            groups.setdefault(who, []).append(path)
        parts = [
            f"conflicts with {who}:" + "".join(f"\n- {path}" for path in paths)
            for who, paths in groups.items()
        ]
        message = f"Apply failed with {len(conflicts)} conflicts: " + "\n".join(parts)
    return ConflictError(message, details={"causes": causes})


def _owners_to_meet(resource: Resource, live: Object) -> Owners:
    owners = read_owners(live)
    if not owners and "uid" in live.get("metadata", {}):
        paths = paths_of(owned_part(live), shape_of(resource.type))
        return {Manager(BEFORE, "Update", resource.api_version): Owned(paths, "")}
    return owners


def apply(
    resource: Resource,
    live: Object | None,
    config: Object,
    manager: str,
    *,
    force: bool,
    subresource: str | None,
    now: str,
) -> Object:
    """Server-side apply: return the live object as it becomes, with its managedFields.

    `config` is conformed to its kind. Fields that this manager applied before and no longer does are removed where
    nobody else owns them. ConflictError when others own what would change, unless `force`.
    """
    if (config.get("metadata") or {}).get("managedFields"):
        raise BadRequestError("metadata.managedFields must be nil")
    shape = shape_of(resource.type)
    base = live or {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {}}
    owners = _owners_to_meet(resource, base)
    mine = Manager(manager[:LIMIT], "Apply", resource.api_version, subresource or "")
    wanted = paths_of(owned_part(config), shape)
    previous = owners.pop(mine, Owned(set(), now))
    merged = merge(base, {**config, "metadata": {**(config.get("metadata") or {})}}, shape)
    changed = compare(owned_part(base), owned_part(merged), shape)
    changing = wanted & (changed.modified | changed.added | changed.removed)
    if not force and manager == KUBECTL and live is not None:
        changing -= _take_over(owners, changing, _client_side(resource, live))
    _meet(owners, changing, force=force)
    everyone = set().union(*(owned.paths for owned in owners.values())) if owners else set()
    result: Object = remove(merged, shape, encode_paths(previous.paths), encode_paths(everyone | wanted))
    result.setdefault("metadata", {})
    result["metadata"] = dict(result["metadata"])
    owners[mine] = Owned(wanted, previous.time if wanted == previous.paths else now)
    write_owners(result, owners)
    return result


def _client_side(resource: Resource, live: Object) -> Paths:
    """Return what `kubectl apply` last applied on the client's side and has not been changed by others since."""
    text = (live["metadata"].get("annotations") or {}).get(LAST_APPLIED)
    try:
        config = json.loads(text) if text else None
    except ValueError:
        return set()
    if not isinstance(config, dict):
        return set()
    shape = shape_of(resource.type)
    applied = owned_part(config)
    drift = compare(owned_part(live), owned_part(merge(live, applied, shape)), shape)
    return paths_of(applied, shape) - drift.modified - drift.added


def _take_over(owners: Owners, changing: Paths, applied: Paths) -> Paths:
    """Let kubectl take from itself, when it moves from client-side to server-side apply; return what it took."""
    taken = changing & applied
    for owned in owners.values():
        owned.paths -= taken
    return taken


def _meet(owners: Owners, changing: Paths, *, force: bool) -> None:
    """Raise on conflicts with other owners, or take the fields from them."""
    conflicts: list[tuple[str, str]] = []
    for key, owned in sorted(owners.items(), key=lambda pair: pair[0].name):
        contested = owned.paths & changing
        if force:
            owned.paths -= contested
        conflicts += [(_describe(key, owned), path_text(path)) for path in sorted(contested)]
    if conflicts and not force:
        raise _conflict(conflicts)
