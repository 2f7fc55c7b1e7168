"""Strategic merge: Kubernetes' way of laying a partial object over a whole one."""

from __future__ import annotations

import copy
from typing import Any

# The list merge keys of the built-in types (`x-kubernetes-list-map-keys`), by the name of the field.
MERGE_KEYS: dict[str, tuple[str, ...]] = {
    "containers": ("name",),
    "initContainers": ("name",),
    "ephemeralContainers": ("name",),
    "env": ("name",),
    "volumes": ("name",),
    "volumeMounts": ("mountPath",),
    "volumeDevices": ("devicePath",),
    "imagePullSecrets": ("name",),
    "hostAliases": ("ip",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
    "ownerReferences": ("uid",),
    "conditions": ("type",),
    "webhooks": ("name",),
    "resourceClaims": ("name",),
    "secrets": ("name",),
    "taints": ("key",),
    "addresses": ("type",),
    "validations": (),
}
SETS = frozenset({"finalizers"})
BUILT_IN_GROUPS = frozenset({"", "apps", "batch", "autoscaling", "policy", "extensions"})
DIRECTIVE = "$patch"


def built_in(group: str) -> bool:
    """Whether the group's types are Kubernetes' own, so that their lists have merge keys."""
    return group in BUILT_IN_GROUPS or group.endswith(".k8s.io")


def merge_keys(field: str, items: list[Any]) -> tuple[str, ...]:
    """Return the keys by which the elements of a field are told apart; none where the list is atomic."""
    if field == "ports":
        maps = [item for item in items if isinstance(item, dict)]
        if any("containerPort" in item for item in maps):
            return ("containerPort", "protocol")
        return ("port", "protocol")
    return MERGE_KEYS.get(field, ())


def _strip(value: Any) -> Any:
    """Remove nulls and directives from a patch that becomes the value itself."""
    if isinstance(value, dict):
        return {k: _strip(v) for k, v in value.items() if v is not None and not k.startswith("$")}
    if isinstance(value, list):
        return [
            _strip(item)
            for item in value
            if not (isinstance(item, dict) and item.get(DIRECTIVE) == "delete")
            and not (isinstance(item, dict) and set(item) == {DIRECTIVE})
        ]
    return copy.deepcopy(value)


def merge(base: dict[str, Any], patch: dict[str, Any], *, typed: bool = True) -> dict[str, Any] | None:
    """Lay `patch` over `base` and return the result; None where the patch deletes it.

    `typed` says whether lists have merge keys (built-in types); otherwise lists are replaced.
    """
    directive = patch.get(DIRECTIVE)
    if directive == "delete":
        return None
    if directive == "replace":
        found: dict[str, Any] = _strip(patch)
        return found
    out = dict(base)
    for key, value in patch.items():
        if key.startswith("$"):
            continue
        if value is None:
            out.pop(key, None)
            continue
        merged = _merge_value(key, out.get(key), value, typed=typed)
        if merged is None:
            out.pop(key, None)
        else:
            out[key] = merged
    return out


def _merge_value(key: str, base: Any, patch: Any, *, typed: bool) -> Any:
    if isinstance(patch, dict):
        return merge(base if isinstance(base, dict) else {}, patch, typed=typed)
    if isinstance(patch, list):
        return _merge_list(key, base if isinstance(base, list) else [], patch, typed=typed)
    return patch


def _merge_list(field: str, base: list[Any], patch: list[Any], *, typed: bool) -> list[Any]:
    if field in SETS:
        return [*patch, *(item for item in base if item not in patch)]
    keys = merge_keys(field, [*base, *patch]) if typed else ()
    whole = all(isinstance(item, dict) for item in [*base, *patch])
    if keys and whole and {DIRECTIVE: "replace"} not in patch:
        return _merge_keyed(base, patch, keys)
    return list(_strip(patch))


def _merge_keyed(base: list[Any], patch: list[Any], keys: tuple[str, ...]) -> list[Any]:
    """Merge by key. As in kustomize, the elements that the patch names come first."""
    rest = list(base)
    out: list[Any] = []
    for item in patch:
        used = [key for key in keys if key in item] or list(keys)
        mine = {key: item.get(key) for key in used}
        matching = [old for old in rest if all(old.get(key) == mine[key] for key in used)]
        if not matching and len(used) > 1:
            matching = [old for old in rest if all(old.get(k, mine[k]) == mine[k] for k in used)]
        for old in matching:
            rest.remove(old)
        if set(item) - {DIRECTIVE} <= set(keys) and item.get(DIRECTIVE) == "delete":
            continue
        for old in matching or [{}]:
            merged = merge(old, item)
            if merged:
                out.append(merged)
    return out + rest
