"""`patches`, `patchesStrategicMerge` and `patchesJson6902`: which resources they mean and what they change."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from windlass.manifests.documents import read
from windlass.manifests.errors import BuildError, DocumentError
from windlass.manifests.kustomize import jsonpatch, strategic
from windlass.manifests.kustomize.generators import inside
from windlass.manifests.kustomize.resource import Name, Resource
from windlass.manifests.objects import CLUSTER_SCOPED, Object, split_api_version
from windlass.manifests.tree import demand

if TYPE_CHECKING:
    from windlass.manifests.tree import Tree


def _matches(pattern: Any, value: str) -> bool:
    if pattern in (None, ""):
        return True
    try:
        return re.fullmatch(str(pattern), value) is not None
    except re.error as error:
        raise BuildError(f"patch target: {pattern!r} is not a regular expression: {error}") from None


def selects(selector: str, pairs: dict[str, str]) -> bool:
    """Whether a label selector (`a=b,c!=d,e in (f,g),!h`) fits."""
    for raw in re.split(r",(?![^(]*\))", selector):
        term = raw.strip()
        if not term:
            continue
        several = re.fullmatch(r"(\S+)\s+(in|notin)\s*\(([^)]*)\)", term)
        if several:
            values = {each.strip() for each in several[3].split(",")}
            fits = (pairs.get(several[1]) in values) == (several[2] == "in")
        elif "!=" in term:
            key, value = term.split("!=", 1)
            fits = pairs.get(key.strip()) != value.strip()
        elif "=" in term:
            key, value = re.split(r"==?", term, maxsplit=1)
            fits = pairs.get(key.strip()) == value.strip()
        else:
            fits = (term.lstrip("!") in pairs) != term.startswith("!")
        if not fits:
            return False
    return True


def _targeted(item: Resource, target: dict[str, Any]) -> bool:
    def known(name: Name) -> bool:
        space = target.get("namespace")
        return (
            _matches(target.get("name"), name.name)
            and (not space or _matches(space, name.namespace))
            and _matches(target.get("kind"), name.kind)
            and _matches(target.get("group"), name.group)
            and _matches(target.get("version"), name.version)
        )

    labels, notes = item.meta.get("labels") or {}, item.meta.get("annotations") or {}
    return (
        any(known(name) for name in item.ids)
        and selects(str(target.get("labelSelector") or ""), labels)
        and selects(str(target.get("annotationSelector") or ""), notes)
    )


def patch_id(patch: Object) -> Name:
    """Return the id that a strategic merge patch names."""
    group, version = split_api_version(str(patch.get("apiVersion", "")))
    kind, meta = str(patch.get("kind", "")), patch.get("metadata") or {}
    space = "" if kind in CLUSTER_SCOPED else str(meta.get("namespace") or "default")
    return Name(group, version, kind, space, str(meta.get("name", "")))


def apply_strategic(
    items: list[Resource], item: Resource, patch: Object, options: dict[str, Any] | None = None
) -> None:
    """Lay a patch over one resource; takes the resource out where the patch deletes it."""
    options = options or {}
    before = item.id
    merged = strategic.merge(item.value, patch, typed=strategic.built_in(before.group))
    if merged is None:
        items.remove(item)
        return
    meta = dict(merged.get("metadata") or {})
    old = item.meta
    if not options.get("allowNameChange"):
        meta["name"] = before.name
    if "namespace" in old:
        meta["namespace"] = old["namespace"]
    else:
        meta.pop("namespace", None)
    if not options.get("allowKindChange"):
        merged["kind"], merged["apiVersion"] = item.value["kind"], item.value["apiVersion"]
    item.remember()
    merged["metadata"] = meta
    item.value = merged


def _apply_json(item: Resource, operations: list[Object], where: str, options: dict[str, Any]) -> None:
    before, meta = item.id, dict(item.meta)
    jsonpatch.apply(item.value, operations, where)
    if item.id != before:
        item.previous.append(before)
    if options.get("allowNameChange") is False and "name" in meta:
        item.meta["name"] = meta["name"]


def _find(items: list[Resource], wanted: Name, where: str) -> Resource:
    found = [item for item in items if item.id == wanted] or [item for item in items if wanted in item.ids]
    if not found:
        known = ", ".join(sorted({f"{item.id.kind}/{item.id.name}" for item in items})[:20])
        raise BuildError(
            f"{where}: no {wanted.kind} {wanted.name} ({wanted.group or 'core'}/{wanted.version}) to patch; "
            f"there are {known or 'no resources'}"
        )
    if len(found) > 1:
        raise BuildError(f"{where}: several resources are called {wanted.kind} {wanted.name}; name a target")
    return found[0]


def strategic_patches(items: list[Resource], text: str, where: str) -> None:
    """Apply every document of a strategic merge patch to the resource that it names."""
    for document in read(text, where):
        entries = document.value.get("items") if document.value.get("kind") == "List" else None
        for patch in entries or [document.value]:
            apply_strategic(items, _find(items, patch_id(patch), where), patch)


def _text(entry: dict[str, Any], tree: Tree, folder: str) -> tuple[str, str]:
    if entry.get("path"):
        path = inside(folder, str(entry["path"]))
        return demand(tree, path, folder or ".").decode("utf-8-sig"), path
    return str(entry.get("patch") or ""), f"{folder or '.'}/kustomization.yaml: inline patch"


def _documents(text: str, where: str) -> list[Any] | None:
    try:
        return [found.value for found in read(text, where)]
    except DocumentError:
        return None


def apply_patch(items: list[Resource], entry: dict[str, Any], tree: Tree, folder: str) -> None:
    """One entry of `patches:` (or of `patchesJson6902:`)."""
    text, where = _text(entry, tree, folder)
    documents = _documents(text, where)
    target, options = entry.get("target"), entry.get("options") or {}
    is_json = documents is None or (documents and isinstance(documents[0], list))
    if is_json:
        operations = jsonpatch.parse(text, where)
        if not target:
            raise BuildError(f"{where}: a JSON patch needs a target")
        for item in [item for item in items if _targeted(item, target)]:
            _apply_json(item, operations, where, options)
        return
    for patch in documents or []:
        if target:
            for item in [item for item in items if _targeted(item, target)]:
                apply_strategic(items, item, patch, options)
        else:
            apply_strategic(items, _find(items, patch_id(patch), where), patch, options)
