"""The files of ConfigMap, Secret, projected and downward API volumes. Pure: names to content and mode."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from windlass.kube.local.controllers.meta import namespace_of
from windlass.kube.local.node.environment import config_map_data, field_value, resource_value, secret_data
from windlass.kube.local.node.errors import MountError

if TYPE_CHECKING:
    from windlass.kube.local.controllers.meta import Object
    from windlass.kube.local.node.environment import Sources

DEFAULT_MODE = 0o644
PROJECTED = ("configMap", "secret", "projected", "downwardAPI")


@dataclass(frozen=True, slots=True)
class File:
    """Content and permissions of one file."""

    content: bytes
    mode: int


def is_projected(volume: Object) -> bool:
    """Whether the volume is made of files that the node writes."""
    return any(kind in volume for kind in PROJECTED)


def files(volume: Object, sources: Sources) -> dict[str, File]:
    """Return the files of a volume by relative path. Raises MountError when something it needs is missing."""
    if "configMap" in volume:
        origin = volume["configMap"] or {}
        return _keyed("configmap", origin, origin.get("name", ""), _mode(origin, DEFAULT_MODE), sources)
    if "secret" in volume:
        origin = volume["secret"] or {}
        return _keyed("secret", origin, origin.get("secretName", ""), _mode(origin, DEFAULT_MODE), sources)
    if "downwardAPI" in volume:
        origin = volume["downwardAPI"] or {}
        return _downward(origin, _mode(origin, DEFAULT_MODE), sources)
    origin = volume["projected"] or {}
    return _projected(origin, _mode(origin, DEFAULT_MODE), sources)


def _mode(origin: Object, default: int) -> int:
    value = origin.get("defaultMode")
    return default if value is None else int(value)


def _projected(origin: Object, mode: int, sources: Sources) -> dict[str, File]:
    result: dict[str, File] = {}
    for source in origin.get("sources") or ():
        if "configMap" in source:
            part = source["configMap"]
            result |= _keyed("configmap", part, part.get("name", ""), mode, sources)
        elif "secret" in source:
            part = source["secret"]
            result |= _keyed("secret", part, part.get("name", ""), mode, sources)
        elif "downwardAPI" in source:
            result |= _downward(source["downwardAPI"], mode, sources)
        else:
            raise MountError(f"projected volume sources of this kind are not supported: {sorted(source)}")
    return result


def _keyed(kind: str, origin: Object, name: str, mode: int, sources: Sources) -> dict[str, File]:
    found = sources.config_map(name) if kind == "configmap" else sources.secret(name)
    optional = bool(origin.get("optional"))
    if found is None:
        if optional:
            return {}
        raise MountError(f'{kind} "{name}" not found in namespace {namespace_of(sources.pod)}')
    data = config_map_data(found) if kind == "configmap" else secret_data(found)
    if not origin.get("items"):
        return {key: File(content, mode) for key, content in data.items() if _safe(key)}
    result = {}
    for item in origin["items"]:
        if item["key"] in data:
            result[_safe(item["path"])] = File(data[item["key"]], int(item.get("mode") or mode))
        elif not optional:
            raise MountError(f'{kind} "{name}" references non-existent key: {item["key"]}')
    return result


def _downward(origin: Object, mode: int, sources: Sources) -> dict[str, File]:
    result = {}
    for item in origin.get("items") or ():
        if item.get("fieldRef"):
            text = field_value(item["fieldRef"]["fieldPath"], sources)
        else:
            reference = item["resourceFieldRef"]
            containers = sources.pod["spec"]["containers"]
            container = next(
                (c for c in containers if c["name"] == reference.get("containerName")), containers[0]
            )
            text = resource_value(reference, container, sources)
        result[_safe(item["path"])] = File(text.encode(), int(item.get("mode") or mode))
    return result


def _safe(path: str) -> str:
    """Return the path if it stays below the volume; raises MountError otherwise."""
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or parts[0].startswith("..") or "\0" in path:
        raise MountError(f"path {path!r} leaves its volume")
    return path
