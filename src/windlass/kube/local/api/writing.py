"""Create, update, patch and delete over HTTP."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from windlass.kube.errors import (
    BadRequestError,
    ConflictError,
    KubeError,
    MethodNotAllowedError,
    NotFoundError,
    UnsupportedMediaTypeError,
)
from windlass.kube.local.admission import Write, scale_of
from windlass.kube.local.api import access, events, listing
from windlass.kube.local.api.calls import Answer, Call, as_json, from_json
from windlass.kube.local.kinds import NEW_EVENTS
from windlass.kube.local.schema.check import FieldChecks

if TYPE_CHECKING:
    from windlass.kube.local.api.routes import Target
    from windlass.kube.local.history import Stored
    from windlass.kube.local.objects import Objects

Object = dict[str, Any]
PATCHES = {
    "application/json-patch+json": "json",
    "application/merge-patch+json": "merge",
    "application/strategic-merge-patch+json": "strategic",
    "application/apply-patch+yaml": "apply",
    "application/apply-patch+cbor": "",
}
SUBRESOURCES = frozenset({None, "status", "scale"})


def _write(call: Call, target: Target, *, force: bool = False) -> Write:
    mode = call.query.get("fieldValidation") or "Warn"
    if mode not in {"Strict", "Warn", "Ignore"}:
        raise BadRequestError(f"fieldValidation {mode!r} is not one of Strict, Warn, Ignore")
    checks = FieldChecks(mode, call.warnings)
    return Write(call.manager, target.subresource, force, call.dry_run, checks)


def _placed(obj: Any, target: Target) -> Object:
    """Check that an object is meant for the URL, and complete its namespace from it."""
    if not isinstance(obj, dict):
        raise BadRequestError("the body of the request must be an object")
    placed: Object = events.to_old(obj) if target.resource is NEW_EVENTS else obj
    meta = placed.get("metadata")
    if meta is not None and not isinstance(meta, dict):
        raise BadRequestError("metadata must be an object")
    meta = dict(meta or {})
    if target.name and meta.get("name") not in {None, "", target.name}:
        raise BadRequestError(
            f"the name of the object ({meta['name']}) does not match the name on the URL ({target.name})"
        )
    if target.name:
        meta["name"] = target.name
    if target.namespace and meta.get("namespace") not in {None, "", target.namespace}:
        raise BadRequestError(
            "the namespace of the provided object does not match the namespace sent on the request"
        )
    if target.namespace:
        meta["namespace"] = target.namespace
    return {**placed, "metadata": meta}


def _shown(call: Call, target: Target, stored: Stored, status: int = 200) -> Answer:
    if target.subresource == "scale":
        return as_json(scale_of(stored.obj), status)
    return listing.one(call, target.resource, stored, status)


async def create(call: Call, objects: Objects, target: Target) -> Answer:
    """POST to a collection."""
    if target.resource.namespaced and target.namespace is None:
        raise MethodNotAllowedError("objects are created in a namespace: POST to /namespaces/NAMESPACE/...")
    obj = _placed(await call.data(), target)
    if target.resource.key == "namespaces":
        access.check(call.principal, "create", replace(target, name=str(obj["metadata"].get("name") or "*")))
    stored = await objects.create_with(events.stored_as(target.resource), obj, _write(call, target))
    return _shown(call, target, stored, 201)


async def update(call: Call, objects: Objects, target: Target) -> Answer:
    """PUT to an object."""
    obj, name = _placed(await call.data(), target), target.name or ""
    key = events.stored_as(target.resource)
    stored = await objects.update_with(key, target.namespace, name, obj, _write(call, target))
    return _shown(call, target, stored)


async def patch(call: Call, objects: Objects, target: Target) -> Answer:
    """PATCH an object, by the patch type that the content type names."""
    kind, name = PATCHES.get(call.content_type), target.name or ""
    if not kind or (kind == "strategic" and not target.resource.merges):
        known = ", ".join(media for media, kind in PATCHES.items() if kind)
        raise UnsupportedMediaTypeError(
            f"the body of the request was in an unknown format - accepted media types include: {known}"
        )
    document = await call.data() if kind == "apply" else from_json(await call.body())
    if kind == "apply" and "fieldManager" not in call.query:
        raise BadRequestError(
            "PatchOptions.meta.k8s.io is invalid: fieldManager: Required value: is required for apply patch"
        )
    key = events.stored_as(target.resource)
    missing = kind == "apply" and not objects.has(key, target.namespace, name)
    write = _write(call, target, force=call.flag("force"))
    stored = await objects.patch_with(key, target.namespace, name, document, kind=kind, write=write)
    return _shown(call, target, stored, 201 if missing else 200)


async def _options(call: Call) -> Object:
    options = await call.data() or {}
    if not isinstance(options, dict):
        raise BadRequestError("the body of a DELETE is DeleteOptions")
    conditions = options.get("preconditions") or {}
    grace = options.get("gracePeriodSeconds", call.number("gracePeriodSeconds"))
    propagation = options.get("propagationPolicy") or call.query.get("propagationPolicy")
    orphan = options.get("orphanDependents")
    if orphan is not None and propagation is None:
        propagation = "Orphan" if orphan else "Background"
    if grace is not None and not isinstance(grace, int):
        raise BadRequestError("gracePeriodSeconds must be a number")
    return {
        "grace": grace,
        "propagation": propagation,
        "uid": conditions.get("uid"),
        "version": conditions.get("resourceVersion"),
        "dry_run": call.dry_run or bool(options.get("dryRun")),
    }


async def delete(call: Call, objects: Objects, target: Target) -> Answer:
    """DELETE an object: its last state while something holds it, else a Status of success."""
    options, key, name = await _options(call), events.stored_as(target.resource), target.name or ""
    last = await objects.delete(key, target.namespace, name, **options)
    if objects.has(key, target.namespace, name):
        return listing.one(call, target.resource, objects.stored(key, target.namespace, name))
    details = {"name": name, "kind": target.resource.plural, "uid": last["metadata"]["uid"]}
    if target.resource.group:
        details["group"] = target.resource.group
    return as_json(
        {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
    )


async def delete_collection(call: Call, objects: Objects, target: Target) -> Answer:
    """DELETE a collection: each object that the selectors choose."""
    options = await _options(call)
    if target.resource.namespaced and target.namespace is None:
        raise MethodNotAllowedError("objects are deleted in one namespace at a time")
    entries = listing.selected(call, objects, target)
    answer = listing.many(call, objects, target)
    for (namespace, name), _ in entries:
        try:
            await objects.delete(events.stored_as(target.resource), namespace or None, name, **options)
        except (NotFoundError, ConflictError):
            continue  # someone else was faster
    return answer


async def get_part(call: Call, objects: Objects, target: Target) -> Answer:
    """GET the status (with its object) or the Scale of an object."""
    return _shown(call, target, objects.stored(target.resource.key, target.namespace, target.name or ""))


def failure(error: KubeError) -> Answer:
    """Answer with an error as its Status."""
    headers = ((b"www-authenticate", b'Bearer realm="windlass"'),) if error.code == 401 else ()
    return Answer(as_json(error.to_status()).body, error.code, headers=headers)
