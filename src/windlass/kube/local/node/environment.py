"""The environment of a container: values, references, and `$(NAME)` expansion as in Kubernetes. Pure."""

from __future__ import annotations

import base64
import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from windlass.kube.local.controllers.meta import (
    annotations_of,
    labels_of,
    name_of,
    namespace_of,
    status_of,
    uid_of,
)
from windlass.kube.local.node.errors import ContainerConfigError
from windlass.kube.local.node.quantities import quantity

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from windlass.kube.local.controllers.meta import Object

REFERENCE = re.compile(r"\$(\$|\(([^)]*)\))")
KEYED = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")
NAME = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*")


@dataclass(frozen=True, slots=True)
class Sources:
    """What environments and volumes refer to: the pod, and finders of its namespace's ConfigMaps and Secrets."""

    pod: Object
    config_map: Callable[[str], Object | None]
    secret: Callable[[str], Object | None]
    host_ip: str = "127.0.0.1"
    pod_ip: str = ""
    capacity: Mapping[str, float] = field(default_factory=dict)


def expand(text: str, known: Mapping[str, str]) -> str:
    """Replace `$(NAME)` of known names; `$$` is a dollar sign, unknown names stay as they are."""

    def replacement(match: re.Match[str]) -> str:
        if match[1] == "$":
            return "$"
        return known.get(match[2], match[0])

    return REFERENCE.sub(replacement, text)


def config_map_data(obj: Object) -> dict[str, bytes]:
    """Return `data` and `binaryData` as bytes."""
    plain = {key: str(value).encode() for key, value in (obj.get("data") or {}).items()}
    binary = {key: base64.b64decode(value) for key, value in (obj.get("binaryData") or {}).items()}
    return {**plain, **binary}


def secret_data(obj: Object) -> dict[str, bytes]:
    """Return `data` decoded, and `stringData` where the API has left it."""
    data = {key: base64.b64decode(value) for key, value in (obj.get("data") or {}).items()}
    return {**data, **{key: str(value).encode() for key, value in (obj.get("stringData") or {}).items()}}


def environment(container: Object, sources: Sources) -> dict[str, str]:
    """Return the variables of a container. Raises ContainerConfigError when something it needs is missing."""
    result: dict[str, str] = {}
    for source in container.get("envFrom") or ():
        prefix = source.get("prefix", "")
        for key, value in _all_of(source, sources).items():
            if NAME.fullmatch(prefix + key):
                result[prefix + key] = _text(key, value)
    for entry in container.get("env") or ():
        if entry.get("valueFrom"):
            referred = _referred(entry, container, sources)
            if referred is not None:
                result[entry["name"]] = referred
        else:
            result[entry["name"]] = expand(str(entry.get("value", "")), result)
    return result


def _text(key: str, value: bytes) -> str:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        raise ContainerConfigError(f"the value of {key!r} is not text; mount it as a file") from None
    if "\0" in text:
        raise ContainerConfigError(f"the value of {key!r} holds a null byte; mount it as a file")
    return text


def _find(kind: str, name: str, sources: Sources, *, optional: bool) -> dict[str, bytes] | None:
    found = sources.config_map(name) if kind == "configmap" else sources.secret(name)
    if found is not None:
        return config_map_data(found) if kind == "configmap" else secret_data(found)
    if optional:
        return None
    raise ContainerConfigError(f'{kind} "{name}" not found in namespace {namespace_of(sources.pod)}')


def _all_of(source: Object, sources: Sources) -> dict[str, bytes]:
    for key, kind in (("configMapRef", "configmap"), ("secretRef", "secret")):
        if source.get(key):
            reference = source[key]
            optional = bool(reference.get("optional"))
            return _find(kind, reference.get("name", ""), sources, optional=optional) or {}
    return {}


def _referred(entry: Object, container: Object, sources: Sources) -> str | None:
    origin = entry["valueFrom"]
    for field_name, kind in (("configMapKeyRef", "configmap"), ("secretKeyRef", "secret")):
        reference = origin.get(field_name)
        if reference:
            optional = bool(reference.get("optional"))
            data = _find(kind, reference.get("name", ""), sources, optional=optional)
            if data is not None and reference["key"] in data:
                return _text(reference["key"], data[reference["key"]])
            if optional:
                return None
            raise ContainerConfigError(
                f"couldn't find key {reference['key']} in {kind} {reference.get('name')}"
            )
    if origin.get("fieldRef"):
        return field_value(origin["fieldRef"]["fieldPath"], sources)
    if origin.get("resourceFieldRef"):
        return resource_value(origin["resourceFieldRef"], container, sources)
    raise ContainerConfigError(
        f"env {entry['name']}: valueFrom of this kind is not supported: {sorted(origin)}"
    )


def field_value(path: str, sources: Sources) -> str:
    """Return what a `fieldRef` names, of the pod."""
    pod = sources.pod
    keyed = KEYED.fullmatch(path)
    if keyed:
        table = labels_of(pod) if keyed[1] == "labels" else annotations_of(pod)
        return str(table.get(keyed[2], ""))
    simple: dict[str, Callable[[], str]] = {
        "metadata.name": lambda: name_of(pod),
        "metadata.namespace": lambda: namespace_of(pod),
        "metadata.uid": lambda: uid_of(pod),
        "metadata.labels": lambda: _table(labels_of(pod)),
        "metadata.annotations": lambda: _table(annotations_of(pod)),
        "spec.nodeName": lambda: str(pod["spec"].get("nodeName", "")),
        "spec.serviceAccountName": lambda: str(pod["spec"].get("serviceAccountName", "default")),
        "status.hostIP": lambda: sources.host_ip,
        "status.podIP": lambda: sources.pod_ip or str(status_of(pod).get("podIP", "")),
        "status.podIPs": lambda: sources.pod_ip or str(status_of(pod).get("podIP", "")),
    }
    if path not in simple:
        raise ContainerConfigError(f"fieldRef {path!r} is not supported; supported are {sorted(simple)}")
    return simple[path]()


def _table(values: Mapping[str, str]) -> str:
    return "".join(f'{key}="{value}"\n' for key, value in sorted(values.items()))


def resource_value(reference: Object, container: Object, sources: Sources) -> str:
    """Return what a `resourceFieldRef` names, divided and rounded up; without a limit the machine's capacity."""
    section, _, what = reference["resource"].partition(".")
    resources = container.get("resources") or {}
    value = (resources.get(section) or {}).get(what)
    if value is None and section == "limits":
        value = sources.capacity.get(what, 0)
    amount = quantity(value or 0) / (quantity(reference.get("divisor") or 0) or 1)
    return str(math.ceil(amount))
