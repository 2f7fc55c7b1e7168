"""What a write makes of an object before it is stored: metadata, defaults, rules, ownership. Pure functions."""

from __future__ import annotations

import secrets
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from windlass.kube.errors import BadRequestError, ConflictError, InvalidError, MethodNotAllowedError
from windlass.kube.local import managed
from windlass.kube.local.causes import Causes
from windlass.kube.local.defaults import apply_defaults
from windlass.kube.local.schema.check import FieldChecks, conform, copy_of
from windlass.kube.local.validation import validate

if TYPE_CHECKING:
    from windlass.kube.local.kinds import Resource

Object = dict[str, Any]
SUFFIX = "bcdfghjklmnpqrstvwxz2456789"  # as Kubernetes: no vowels, no digits that look like letters
SERVER_META = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink")
COUNTED = frozenset({"apps", "argoproj.io", "networking.k8s.io", "discovery.k8s.io"})


@dataclass(frozen=True, slots=True)
class Write:
    """Who writes, to what part, and how unknown fields are met."""

    manager: str = "windlass"
    subresource: str | None = None
    force: bool = False
    dry_run: bool = False
    checks: FieldChecks = field(default_factory=FieldChecks)


def timestamp() -> str:
    """Return the time as Kubernetes writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def shaped(resource: Resource, obj: Any, checks: FieldChecks) -> Object:
    """Conform an object to its kind, with apiVersion and kind set; BadRequestError if they are another's."""
    if not isinstance(obj, dict):
        raise BadRequestError(f"a {resource.kind} is a JSON object")
    for name, wanted in (("apiVersion", resource.api_version), ("kind", resource.kind)):
        if obj.get(name) not in {None, "", wanted}:
            raise BadRequestError(
                f"{name} in the data ({obj[name]}) does not match the expected {name} ({wanted})"
            )
    out = conform(obj, resource.type, resource.kind, resource.api_version, checks)
    out["apiVersion"], out["kind"] = resource.api_version, resource.kind
    out.setdefault("metadata", {})
    return {name: out.pop(name) for name in ("apiVersion", "kind", "metadata")} | out


def _generated_name(meta: Object) -> None:
    if not meta.get("name") and (prefix := meta.get("generateName")):
        meta["name"] = prefix[:58] + "".join(secrets.choice(SUFFIX) for _ in range(5))


def admit_create(resource: Resource, obj: Any, write: Write) -> Object:
    """Return the object as it is created; its version is set by the write."""
    new = shaped(resource, obj, write.checks)
    meta = new["metadata"]
    if meta.pop("resourceVersion", None):
        raise BadRequestError("resourceVersion should not be set on objects to be created")
    for name in SERVER_META:
        meta.pop(name, None)
    if not resource.namespaced:
        meta.pop("namespace", None)
    if resource.status:
        new.pop("status", None)
    _generated_name(meta)
    return _finish_create(resource, new, write)


def _finish_create(resource: Resource, new: Object, write: Write) -> Object:
    meta = new["metadata"]
    now = timestamp()
    if resource.group in COUNTED:
        meta["generation"] = 1
    else:
        meta.pop("generation", None)
    apply_defaults(resource.key, new)
    validate(resource, new)
    meta["uid"] = str(uuid.uuid4())
    meta["creationTimestamp"] = now
    managed.track(resource, None, new, manager=write.manager, subresource=write.subresource, now=now)
    return new


def _carry(resource: Resource, old: Object, new: Object, subresource: str | None) -> Object:
    """Put together the part that is written and the parts that this write leaves alone."""
    if subresource == "status":
        if not resource.status:
            raise MethodNotAllowedError(f"{resource.key} have no status subresource: write the object itself")
        kept = {key: value for key, value in old.items() if key != "status"}
        meta = copy_of(old["metadata"])
        return {**kept, "metadata": meta, **({"status": new["status"]} if "status" in new else {})}
    out = dict(new)
    if resource.status:
        out.pop("status", None)
        if "status" in old:
            out["status"] = copy_of(old["status"])
    out["metadata"] = _carried_meta(old["metadata"], new["metadata"])
    return out


def _carried_meta(old: Object, new: Object) -> Object:
    meta = dict(new)
    for name in (*SERVER_META, "generation", "namespace", "name"):
        if name in {"uid", "creationTimestamp"} and meta.get(name):
            continue  # a difference is a conflict or a broken rule, not something to paper over
        if name in old:
            meta[name] = old[name]
        else:
            meta.pop(name, None)
    if "managedFields" not in meta and "managedFields" in old:
        meta["managedFields"] = old["managedFields"]
    return meta


def check_version(resource: Resource, old: Object, meta: Object) -> None:
    """Raise ConflictError when the writer has seen another version, or another object of the same name."""
    have, name = old["metadata"], str(old["metadata"]["name"])
    if (sent := meta.get("resourceVersion")) and sent != have["resourceVersion"]:
        raise ConflictError.stale(resource.key, name)
    if (uid := meta.get("uid")) and uid != have["uid"]:
        raise ConflictError(
            f'Operation cannot be fulfilled on {resource.key} "{name}": Precondition failed: UID in precondition: '
            f"{uid}, UID in object meta: {have['uid']}",
            details={"name": name, "kind": resource.plural},
        )


def admit_update(resource: Resource, old: Object, obj: Any, write: Write) -> Object:
    """Return the object as it becomes by an update; `old` itself when nothing changes."""
    new = shaped(resource, obj, write.checks)
    check_version(resource, old, new["metadata"])
    if new["metadata"].get("name", old["metadata"]["name"]) != old["metadata"]["name"]:
        raise BadRequestError("metadata.name of the object does not match the name that is written")
    new = _carry(resource, old, new, write.subresource)
    return finish_update(resource, old, new, write)


def finish_update(
    resource: Resource, old: Object, new: Object, write: Write, *, tracked: bool = False
) -> Object:
    """Fill in, check and count what an update made; `tracked`: who owns what is written already."""
    new["metadata"] = dict(new["metadata"])
    apply_defaults(resource.key, new)
    if write.subresource != "status":
        validate(resource, new, old)
        _check_deletion(resource, old, new)
    new["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"]
    _count(resource, old, new)
    if not tracked:
        if _same(old, new) and new["metadata"].get("managedFields") == old["metadata"].get("managedFields"):
            return old
        managed.track(
            resource, old, new, manager=write.manager, subresource=write.subresource, now=timestamp()
        )
    return old if new == old else new


def _same(old: Object, new: Object) -> bool:
    return {**old, "metadata": None} == {**new, "metadata": None} and {
        **old["metadata"],
        "managedFields": None,
    } == {**new["metadata"], "managedFields": None}


def _check_deletion(resource: Resource, old: Object, new: Object) -> None:
    if "deletionTimestamp" not in old["metadata"]:
        return
    added = set(new["metadata"].get("finalizers") or ()) - set(old["metadata"].get("finalizers") or ())
    if added:
        causes = Causes()
        causes.forbidden(
            "metadata.finalizers",
            f"no new finalizers can be added if the object is being deleted, found new finalizers {sorted(added)}",
        )
        causes.raise_for(resource, str(old["metadata"]["name"]))


def _count(resource: Resource, old: Object, new: Object) -> None:
    """Count changes of what a controller acts on: the spec; everything but metadata without a status subresource."""
    if resource.group not in COUNTED:
        return
    ignored = {"metadata", "status"} if resource.status else {"metadata"}
    before = {key: value for key, value in old.items() if key not in ignored}
    after = {key: value for key, value in new.items() if key not in ignored}
    if before != after:
        new["metadata"]["generation"] = int(old["metadata"].get("generation") or 1) + 1


def admit_apply(resource: Resource, old: Object | None, config: Any, write: Write) -> Object:
    """Return the object as server-side apply makes it; without `old` it is created."""
    shape = shaped(resource, config, write.checks if write.checks.mode == "Strict" else FieldChecks("Typed"))
    if old is not None:
        check_version(resource, old, shape["metadata"])
    elif shape["metadata"].get("resourceVersion") or shape["metadata"].get("uid"):
        raise ConflictError.stale(resource.key, str(shape["metadata"].get("name")))
    if resource.status:
        if write.subresource == "status":
            shape = {key: shape[key] for key in ("apiVersion", "kind", "metadata", "status") if key in shape}
            shape["metadata"] = {"name": shape["metadata"].get("name")}
        else:
            shape.pop("status", None)
    if resource.key == "secrets":
        apply_secret_strings(shape)
    new = managed.apply(
        resource,
        old,
        shape,
        write.manager,
        force=write.force,
        subresource=write.subresource,
        now=timestamp(),
    )
    if old is None:
        return _finish_applied_create(resource, new)
    new["metadata"] = _carried_meta(old["metadata"], new["metadata"])
    return finish_update(resource, old, copy_of(new), write, tracked=True)


def apply_secret_strings(config: Object) -> None:
    """Move a Secret's `stringData` to its `data`, which is where its owner is found."""
    if config.get("stringData"):
        apply_defaults("secrets", config)


def _finish_applied_create(resource: Resource, new: Object) -> Object:
    new = copy_of(new)
    meta = new["metadata"]
    for name in SERVER_META:
        meta.pop(name, None)
    if resource.group in COUNTED:
        meta["generation"] = 1
    apply_defaults(resource.key, new)
    validate(resource, new)
    meta["uid"] = str(uuid.uuid4())
    meta["creationTimestamp"] = timestamp()
    return new


def scale_of(obj: Object) -> Object:
    """Return the autoscaling/v1 Scale of a Deployment or ReplicaSet."""
    from windlass.kube.selectors import selector_text

    meta = obj["metadata"]
    names = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {name: meta[name] for name in names if name in meta},
        "spec": {"replicas": obj["spec"].get("replicas", 1)},
        "status": {
            "replicas": (obj.get("status") or {}).get("replicas", 0),
            "selector": selector_text(obj["spec"].get("selector")),
        },
    }


def scaled(resource: Resource, old: Object, scale: Any) -> Object:
    """Return the object with the replicas of a Scale."""
    if not resource.scale:
        raise MethodNotAllowedError(f"{resource.key} have no scale subresource")
    if not isinstance(scale, dict):
        raise BadRequestError("a Scale is a JSON object")
    replicas = (scale.get("spec") or {}).get("replicas", 0)
    if not isinstance(replicas, int) or isinstance(replicas, bool) or replicas < 0:
        raise InvalidError(
            f'Scale.autoscaling "{old["metadata"]["name"]}" is invalid: spec.replicas: Invalid value: '
            f"{replicas!r}: must be greater than or equal to 0"
        )
    check_version(resource, old, scale.get("metadata") or {})
    return {**old, "spec": {**old["spec"], "replicas": replicas}}
