"""The built-in transformers: each changes resources in place."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from windlass.manifests.errors import BuildError
from windlass.manifests.kustomize.resource import PREFIX_FREE, Resource, all_mappings, walk
from windlass.manifests.kustomize.specs import (
    COMMON_ANNOTATIONS,
    COMMON_LABELS,
    METADATA_LABELS,
    REPLICAS,
    TEMPLATE_LABELS,
    Field,
    from_yaml,
    spec,
)
from windlass.manifests.objects import CLUSTER_SCOPED

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

CONVERSION = spec("spec/conversion/webhook/clientConfig/service/namespace", "CustomResourceDefinition")


def set_namespace(items: list[Resource], namespace: str, extra: list[Field]) -> None:
    """Put everything that has a namespace into this one, and name Namespace objects so."""
    for item in items:
        if item.id.kind == "Namespace":
            item.remember()
            item.meta["name"] = namespace
        elif item.id.kind not in CLUSTER_SCOPED:
            item.remember()
            item.meta["namespace"] = namespace
        if item.id.kind in ("RoleBinding", "ClusterRoleBinding"):
            for subject in item.value.get("subjects") or []:
                if subject.get("kind") == "ServiceAccount" and subject.get("name") == "default":
                    subject["namespace"] = namespace
        _set(item, [CONVERSION, *extra], namespace)
    seen: set[Any] = set()
    for item in items:
        if item.id in seen:
            raise BuildError(f"namespace {namespace}: {item.id.kind} {item.id.name} would stand there twice")
        seen.add(item.id)


def _set(item: Resource, fields: Iterable[Field], value: Any) -> None:
    for field in fields:
        if field.fits(item.id):
            walk(
                item.value, list(field.path), lambda at, key: at.__setitem__(key, value), create=field.create
            )


def add_affix(items: list[Resource], prefix: str, suffix: str, extra: list[Field]) -> None:
    """Put a prefix and a suffix round every name."""
    for item in items:
        if item.id.kind not in PREFIX_FREE:
            item.remember()
            item.meta["name"] = f"{prefix}{item.id.name}{suffix}"
            item.prefixes += [prefix] if prefix else []
            item.suffixes += [suffix] if suffix else []
        for field in extra:
            if field.fits(item.id):

                def visit(at: dict[str, Any], key: str) -> None:
                    at[key] = f"{prefix}{at[key]}{suffix}"

                walk(item.value, list(field.path), visit, create=False)


def _lay(item: Resource, fields: Iterable[Field], pairs: dict[str, str]) -> None:
    def visit(at: dict[str, Any], key: str) -> None:
        at[key] = {**(at[key] if isinstance(at.get(key), dict) else {}), **pairs}

    for field in fields:
        if field.fits(item.id):
            walk(item.value, list(field.path), visit, create=field.create)


def _strings(pairs: dict[Any, Any]) -> dict[str, str]:
    def text(value: Any) -> str:
        return str(value).lower() if isinstance(value, bool) else str(value)

    return {str(key): text(value) for key, value in pairs.items()}


def add_labels(items: list[Resource], pairs: dict[Any, Any], extra: list[Field]) -> None:
    """commonLabels: on metadata, templates and selectors."""
    for item in items:
        _lay(item, [*COMMON_LABELS, *extra], _strings(pairs))


def add_inline_labels(items: list[Resource], entry: dict[str, Any]) -> None:
    """One entry of `labels:`, which leaves selectors alone unless told otherwise."""
    fields = [from_yaml(each) for each in entry.get("fields") or []]
    if entry.get("includeSelectors"):
        fields += COMMON_LABELS
    elif entry.get("includeTemplates"):
        fields += METADATA_LABELS + TEMPLATE_LABELS
    else:
        fields += METADATA_LABELS
    for item in items:
        _lay(item, fields, _strings(entry.get("pairs") or {}))


def add_annotations(items: list[Resource], pairs: dict[Any, Any], extra: list[Field]) -> None:
    """commonAnnotations: on metadata and templates."""
    for item in items:
        _lay(item, [*COMMON_ANNOTATIONS, *extra], _strings(pairs))


def set_replicas(items: list[Resource], entry: dict[str, Any], extra: list[Field]) -> None:
    """One entry of `replicas:`; raises `BuildError` where nothing has the name."""
    found = False
    for item in items:
        if any(name.name == entry.get("name") for name in item.ids):
            found = found or any(field.fits(item.id) for field in [*REPLICAS, *extra])
            _set(item, [*REPLICAS, *extra], entry.get("count"))
    if not found:
        raise BuildError(f"replicas: nothing that can be scaled is called {entry.get('name')!r}")


def split_image(image: str) -> tuple[str, str, str]:
    """Split into name, tag and digest (without their marks)."""
    rest, _, digest = image.partition("@")
    slash = rest.rfind("/")
    colon = rest.find(":", slash + 1)
    return (rest, "", digest) if colon < 0 else (rest[:colon], rest[colon + 1 :], digest)


def new_image(image: str, entry: dict[str, Any]) -> str:
    """Return the image as one entry of `images:` rewrites it."""
    name, tag, digest = split_image(image)
    if name != entry.get("name") and not re.fullmatch(str(entry.get("name", "")), name):
        return image
    if entry.get("newTag") or entry.get("digest"):
        tag, digest = str(entry.get("newTag") or ""), str(entry.get("digest") or "")
    elif entry.get("tagSuffix"):
        tag, digest = tag + str(entry["tagSuffix"]), ""
    name = str(entry.get("newName") or name)
    return name + (f":{tag}" if tag else "") + (f"@{digest}" if digest else "")


def _containers(value: Any) -> Iterator[dict[str, Any]]:
    for mapping in all_mappings(value):
        for key in ("containers", "initContainers"):
            for container in mapping.get(key) or []:
                if isinstance(container, dict) and "image" in container:
                    yield container


def set_image(items: list[Resource], entry: dict[str, Any], extra: list[Field]) -> None:
    """One entry of `images:`, on every container of every kind."""

    def visit(at: dict[str, Any], key: str) -> None:
        if isinstance(at.get(key), str):
            at[key] = new_image(at[key], entry)

    for item in items:
        if item.id.kind == "CustomResourceDefinition":
            continue
        for container in _containers(item.value):
            visit(container, "image")
        for field in extra:
            if field.fits(item.id):
                walk(item.value, list(field.path), visit, create=False)


def lay(items: list[Resource], fields: list[Field], pairs: dict[Any, Any]) -> None:
    """Lay pairs over the mappings that the fields lead to."""
    for item in items:
        _lay(item, fields, _strings(pairs))
