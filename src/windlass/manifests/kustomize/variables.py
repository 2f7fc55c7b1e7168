"""`vars`: $(NAME) in some fields stands for a field of an object."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from windlass.manifests.errors import BuildError
from windlass.manifests.kustomize.resource import Resource, walk
from windlass.manifests.kustomize.specs import POD_PATHS, Field, spec
from windlass.manifests.objects import dig, split_api_version

if TYPE_CHECKING:
    from collections.abc import Iterable

USE = re.compile(r"\$(\$)?\(([^()]+)\)")


@dataclass(frozen=True, slots=True)
class Variable:
    """A name, the resource that it reads, and the path of the field there."""

    name: str
    target: Resource
    path: tuple[str, ...]


def _fields() -> list[Field]:
    inner = [
        f"{container}/{path}"
        for container in ("containers", "initContainers")
        for path in ("args", "command", "env/value", "volumeMounts/mountPath")
    ]
    found = [spec(f"{base}/{path}", kind) for kind, base in POD_PATHS.items() for path in inner]
    found += [spec(f"spec/{path}", "Ingress") for path in ("rules/host", "tls/hosts", "tls/secretName")]
    found += [
        spec("spec/rules/http/paths/backend/serviceName", "Ingress"),
        spec("spec/ports/port", "Service"),
        spec("spec/ports/targetPort", "Service"),
        spec("metadata/labels"),
        spec("metadata/annotations"),
        spec("data", "ConfigMap"),
    ]
    return found


def variables(entries: Iterable[dict[str, Any]], items: list[Resource]) -> list[Variable]:
    """Find the objects that the entries of `vars:` refer to; raises `BuildError`."""
    found = []
    for entry in entries:
        ref = entry.get("objref") or {}
        group, version = split_api_version(str(ref.get("apiVersion") or ""))
        targets = [
            item
            for item in items
            if any(
                name.name == ref.get("name")
                and name.kind == ref.get("kind")
                and (not ref.get("apiVersion") or (name.group, name.version) == (group, version))
                for name in item.ids
            )
        ]
        if len(targets) != 1:
            raise BuildError(f"vars: {entry.get('name')} must refer to one object, not {len(targets)}: {ref}")
        path = str(
            dig(entry, "fieldref", "fieldpath") or dig(entry, "fieldref", "fieldPath") or "metadata.name"
        )
        found.append(Variable(str(entry.get("name")), targets[0], tuple(path.split("."))))
    return found


def _value(variable: Variable) -> Any:
    value: Any = variable.target.value
    for part in variable.path:
        match = re.fullmatch(r"([^\[]+)((?:\[\d+\])*)", part)
        keys: list[str | int] = [match[1], *map(int, re.findall(r"\d+", match[2]))] if match else [part]
        value = dig(value, *keys)
    return value


def _expand(value: Any, values: dict[str, Any]) -> Any:
    """Expand within strings; a string that is one use alone takes the value with its type."""
    if isinstance(value, list):
        return [_expand(each, values) for each in value]
    if isinstance(value, dict):
        return {key: _expand(each, values) for key, each in value.items()}
    if not isinstance(value, str):
        return value
    whole = USE.fullmatch(value)
    if whole and not whole[1] and values.get(whole[2]) is not None:
        return values[whole[2]]

    def one(match: re.Match[str]) -> str:
        known = values.get(match[2])
        return match[0] if match[1] or known is None else str(known)

    return USE.sub(one, value)


def resolve(items: list[Resource], found: list[Variable], extra: list[Field]) -> None:
    """Replace the uses of variables in place."""
    if not found:
        return
    values = {variable.name: _value(variable) for variable in found}

    for item in items:
        for field in [*_fields(), *extra]:
            if field.fits(item.id):
                walk(
                    item.value,
                    list(field.path),
                    lambda at, key: at.__setitem__(key, _expand(at[key], values)),
                    create=False,
                )
