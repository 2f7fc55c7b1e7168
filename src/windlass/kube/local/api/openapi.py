"""OpenAPI: v3 documents with the real fields of each kind, and the least v2 document that old kubectls take."""

from __future__ import annotations

import hashlib
from functools import cache
from typing import TYPE_CHECKING, Any

from anyio import to_thread

from windlass.kube.errors import NotFoundError
from windlass.kube.local.api.calls import Answer, Call
from windlass.kube.local.api.discovery import EVERY
from windlass.kube.local.api.routes import NOT_FOUND
from windlass.kube.local.schema.descriptions import describe_type
from windlass.kube.local.schema.fields import Shape, fields_of
from windlass.kube.local.storage import encode

if TYPE_CHECKING:
    from windlass.kube.local.kinds import Resource

Object = dict[str, Any]
V2_TYPE = b"application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
SCALARS: dict[str, Object] = {
    "str": {"type": "string"},
    "int": {"type": "integer", "format": "int32"},
    "bool": {"type": "boolean"},
    "number": {"type": "number"},
    "time": {"type": "string", "format": "date-time"},
    "quantity": {"oneOf": [{"type": "string"}, {"type": "number"}]},
    "intstr": {"oneOf": [{"type": "string"}, {"type": "integer"}], "format": "int-or-string"},
    "any": {"x-kubernetes-preserve-unknown-fields": True},
}
PARAMETERS = ("dryRun", "fieldManager", "fieldValidation")


def component(type_name: str) -> str:
    """Name a type as Kubernetes' documents do: `core_v1.Pod` is `io.k8s.api.core.v1.Pod`."""
    module, _, name = type_name.partition(".")
    if module == "argo":
        return f"io.argoproj.v1alpha1.{name}"
    group, _, version = module.rpartition("_")
    if group == "meta":
        return f"io.k8s.apimachinery.pkg.apis.meta.{version}.{name}"
    return f"io.k8s.api.{group}.{version}.{name}"


def _schema(shape: Shape, refs: set[str]) -> Object:
    if shape.kind == "struct":
        refs.add(shape.type)
        return {"allOf": [{"$ref": f"#/components/schemas/{component(shape.type)}"}], "default": {}}
    if shape.kind == "list" and shape.items:
        schema: Object = {"type": "array", "items": _schema(shape.items, refs)}
        return {**schema, **_list_extensions(shape)}
    if shape.kind == "map" and shape.items:
        schema = {"type": "object", "additionalProperties": _schema(shape.items, refs)}
        return {**schema, "x-kubernetes-map-type": "atomic"} if shape.atomic else schema
    return dict(SCALARS[shape.kind])


def _list_extensions(shape: Shape) -> Object:
    if shape.rule is None:
        return {"x-kubernetes-list-type": "atomic"}
    out: Object = {"x-kubernetes-list-type": "map" if shape.rule.keys else "set"}
    if shape.rule.keys:
        out["x-kubernetes-list-map-keys"] = list(shape.rule.keys)
    if shape.rule.merge:
        out["x-kubernetes-patch-merge-key"] = shape.rule.merge
    if shape.rule.merge or not shape.rule.keys:
        out["x-kubernetes-patch-strategy"] = "merge,retainKeys" if shape.rule.retain_keys else "merge"
    return out


def _struct(type_name: str, refs: set[str]) -> Object:
    properties: Object = {}
    summary, texts = describe_type(type_name)
    for name, shape in fields_of(type_name).items():
        schema = _schema(shape, refs)
        if shape.retain_keys:
            schema["x-kubernetes-patch-strategy"] = "retainKeys"
        if text := texts.get(name):
            schema["description"] = text
        properties[name] = schema
    out: Object = {"type": "object", "description": summary, "properties": properties}
    if required := [name for name, shape in fields_of(type_name).items() if shape.required]:
        out["required"] = required
    return out


def _gvk(resource: Resource) -> Object:
    return {"group": resource.group, "kind": resource.kind, "version": resource.version}


def _paths(resource: Resource) -> Object:
    root = f"/apis/{resource.api_version}" if resource.group else f"/api/{resource.version}"
    scope = "/namespaces/{namespace}" if resource.namespaced else ""
    names = ("force", *PARAMETERS)
    operation: Object = {
        "x-kubernetes-action": "patch",
        "x-kubernetes-group-version-kind": _gvk(resource),
        "operationId": f"patch{resource.kind}",
        "parameters": [{"name": name, "in": "query", "schema": {"type": "string"}} for name in names],
        "responses": {"200": {"description": "OK"}},
    }
    post = {
        **operation,
        "x-kubernetes-action": "post",
        "operationId": f"create{resource.kind}",
        "parameters": operation["parameters"][1:],
    }
    collection = f"{root}{scope}/{resource.plural}"
    return {collection: {"post": post}, collection + "/{name}": {"patch": operation}}


@cache
def document(api_version: str) -> bytes:
    """Return the v3 document of a group and version (`v1`, `apps/v1`)."""
    resources = [resource for resource in EVERY if resource.api_version == api_version]
    if not resources:
        raise NotFoundError(NOT_FOUND)
    schemas: Object = {}
    paths: Object = {}
    waiting = {resource.type for resource in resources} | {"meta_v1.DeleteOptions"}
    while waiting:
        name = waiting.pop()
        refs: set[str] = set()
        schemas[component(name)] = _struct(name, refs)
        waiting |= {ref for ref in refs if component(ref) not in schemas}
    for resource in resources:
        schemas[component(resource.type)]["x-kubernetes-group-version-kind"] = [_gvk(resource)]
        paths.update(_paths(resource))
    head = {"openapi": "3.0.0", "info": {"title": "Windlass", "version": "v1.32.0"}}
    return encode({**head, "paths": paths, "components": {"schemas": schemas}})


@cache
def index() -> bytes:
    """Return the list of v3 documents."""
    paths = {}
    for api_version in dict.fromkeys(resource.api_version for resource in EVERY):
        path = f"apis/{api_version}" if "/" in api_version else f"api/{api_version}"
        digest = hashlib.sha256(api_version.encode() + b"1.32").hexdigest().upper()
        paths[path] = {"serverRelativeURL": f"/openapi/v3/{path}?hash={digest}"}
    return encode({"paths": paths})


def _field(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | 2, len(content)]) + content


@cache
def second() -> bytes:
    """Return the least v2 document in protobuf: kubectl then checks nothing on its side, and the server does."""
    info = _field(1, b"Windlass") + _field(2, b"v1.32.0")
    return _field(1, b"2.0") + _field(2, info) + _field(8, b"")


async def answer(call: Call) -> Answer:
    """Answer below `/openapi`. Documents are built once, off the event loop: it takes a third of a second."""
    segments = call.path.strip("/").split("/")[1:]
    match segments:
        case ["v2"]:
            return Answer(second(), content_type=V2_TYPE)
        case ["v3"]:
            return Answer(index())
        case ["v3", "api", version]:
            return Answer(await to_thread.run_sync(document, version))
        case ["v3", "apis", group, version]:
            return Answer(await to_thread.run_sync(document, f"{group}/{version}"))
    raise NotFoundError(NOT_FOUND)
