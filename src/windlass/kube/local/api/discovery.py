"""The documents by which clients find out what is served, in the three formats that kubectl 1.20 to 1.33 ask for."""

from __future__ import annotations

from functools import cache
from typing import Any

from windlass.kube.errors import NotFoundError
from windlass.kube.local.api.calls import JSON, Answer
from windlass.kube.local.api.routes import NOT_FOUND
from windlass.kube.local.kinds import NEW_EVENTS, RESOURCES, VERBS, Resource
from windlass.kube.local.storage import encode

Object = dict[str, Any]
VERSION = {
    "major": "1",
    "minor": "32",
    "gitVersion": "v1.32.0+windlass",
    "gitCommit": "0000000000000000000000000000000000000000",
    "gitTreeState": "clean",
    "buildDate": "2025-01-01T00:00:00Z",
    "goVersion": "go1.23",
    "compiler": "gc",
    "platform": "linux/amd64",
}
POD_SUBRESOURCES: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("eviction", "Eviction", ("create",)),
    ("log", "Pod", ("get",)),
    ("proxy", "PodProxyOptions", ("create", "delete", "get", "patch", "update")),
)
# What is answered without being stored.
REVIEWS = (
    ("authorization.k8s.io", "selfsubjectaccessreviews", "SelfSubjectAccessReview"),
    ("authorization.k8s.io", "selfsubjectrulesreviews", "SelfSubjectRulesReview"),
    ("authentication.k8s.io", "selfsubjectreviews", "SelfSubjectReview"),
)
EVERY = (*RESOURCES, NEW_EVENTS)


def subresources(resource: Resource) -> list[Object]:
    """Return the entries of a resource's subresources, as APIResourceList has them."""
    entries: list[Object] = []
    write = ["get", "patch", "update"]
    if resource.status:
        entries.append({"name": "status", "kind": resource.kind, "verbs": write})
    if resource.scale:
        entries.append(
            {"name": "scale", "kind": "Scale", "group": "autoscaling", "version": "v1", "verbs": write}
        )
    if resource.key == "pods":
        entries += [
            {"name": name, "kind": kind, "verbs": list(verbs)}
            | ({"group": "policy", "version": "v1"} if kind == "Eviction" else {})
            for name, kind, verbs in POD_SUBRESOURCES
        ]
    return entries


@cache
def group_versions() -> dict[str, str]:
    """Return the groups (without the core one) and their version, apps first."""
    groups = {resource.group: resource.version for resource in EVERY if resource.group}
    return {**groups, **{group: "v1" for group, _, _ in REVIEWS}}


def _entry(resource: Resource) -> Object:
    entry: Object = {
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": list(VERBS),
    }
    if resource.short:
        entry["shortNames"] = list(resource.short)
    if resource.categories:
        entry["categories"] = list(resource.categories)
    return entry


@cache
def resource_list(group: str, version: str) -> bytes:
    """Return the APIResourceList of a group and version."""
    if (group or version != "v1") and group_versions().get(group) != version:
        raise NotFoundError(NOT_FOUND)
    entries: list[Object] = []
    for resource in EVERY:
        if resource.group == group:
            entries.append(_entry(resource))
            entries += [
                {
                    **sub,
                    "name": f"{resource.plural}/{sub['name']}",
                    "singularName": "",
                    "namespaced": resource.namespaced,
                }
                for sub in subresources(resource)
            ]
    entries += [
        {"name": plural, "singularName": kind.lower(), "namespaced": False, "kind": kind, "verbs": ["create"]}
        for review_group, plural, kind in REVIEWS
        if review_group == group
    ]
    return encode(
        {
            "kind": "APIResourceList",
            "apiVersion": "v1",
            "groupVersion": f"{group}/{version}" if group else version,
            "resources": entries,
        }
    )


def _group(name: str, version: str) -> Object:
    entry = {"groupVersion": f"{name}/{version}", "version": version}
    return {"name": name, "versions": [entry], "preferredVersion": entry}


@cache
def group(name: str) -> bytes:
    """Return the APIGroup."""
    if name not in group_versions():
        raise NotFoundError(NOT_FOUND)
    return encode({"kind": "APIGroup", "apiVersion": "v1", **_group(name, group_versions()[name])})


def _aggregated_resource(resource: Resource) -> Object:
    def kind(entry: Object) -> Object:
        return {
            "group": entry.get("group", resource.group),
            "version": entry.get("version", resource.version),
            "kind": entry["kind"],
        }

    item: Object = {
        "resource": resource.plural,
        "responseKind": kind({"kind": resource.kind}),
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": resource.singular,
        "verbs": list(VERBS),
    }
    if resource.short:
        item["shortNames"] = list(resource.short)
    if resource.categories:
        item["categories"] = list(resource.categories)
    if below := subresources(resource):
        item["subresources"] = [
            {"subresource": entry["name"], "responseKind": kind(entry), "verbs": entry["verbs"]}
            for entry in below
        ]
    return item


def _aggregated_group(name: str, version: str) -> Object:
    resources = [_aggregated_resource(resource) for resource in EVERY if resource.group == name]
    resources += [
        {
            "resource": plural,
            "responseKind": {"group": name, "version": version, "kind": kind},
            "scope": "Cluster",
            "singularResource": kind.lower(),
            "verbs": ["create"],
        }
        for review_group, plural, kind in REVIEWS
        if review_group == name
    ]
    meta = {"name": name} if name else {}
    return {
        "metadata": {**meta, "creationTimestamp": None},
        "versions": [{"version": version, "resources": resources, "freshness": "Current"}],
    }


@cache
def _roots(kind: str, path: str) -> bytes:
    core = path == "/api"
    if kind == "plain":
        if core:
            return encode({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []})
        groups = [_group(name, version) for name, version in group_versions().items()]
        return encode({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
    items = (
        [_aggregated_group("", "v1")]
        if core
        else [_aggregated_group(name, version) for name, version in group_versions().items()]
    )
    head = {"kind": "APIGroupDiscoveryList", "apiVersion": f"apidiscovery.k8s.io/{kind}", "metadata": {}}
    return encode({**head, "items": items})


def root(path: str, accept: str) -> Answer:
    """Answer `/api` and `/apis` in the first format of ours that the client names."""
    for choice in accept.split(","):
        params = {part.strip() for part in choice.split(";")[1:]}
        if {"g=apidiscovery.k8s.io", "as=APIGroupDiscoveryList"} <= params:
            for version in ("v2", "v2beta1"):
                if f"v={version}" in params:
                    kind = f"application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList"
                    return Answer(
                        _roots(version, path), content_type=kind.encode(), headers=((b"vary", b"Accept"),)
                    )
        elif choice.strip().startswith(("application/json", "*/*")):
            break
    return Answer(_roots("plain", path), content_type=JSON, headers=((b"vary", b"Accept"),))
