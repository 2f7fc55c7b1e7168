"""configMapGenerator and secretGenerator."""

from __future__ import annotations

import base64
import posixpath
from typing import TYPE_CHECKING, Any

from windlass.manifests.errors import BuildError
from windlass.manifests.kustomize.resource import Resource
from windlass.manifests.tree import demand, normal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from windlass.manifests.tree import Tree

LINE = 70


def _literal(source: str, where: str) -> tuple[str, bytes]:
    key, equals, value = source.partition("=")
    if not equals or not key:
        raise BuildError(f"{where}: the literal {source!r} is not KEY=VALUE")
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
        value = value[1:-1]
    return key, value.encode()


def _env(text: str) -> Iterator[tuple[str, bytes]]:
    for raw in text.splitlines():
        line = raw.lstrip()
        if line and not line.startswith("#"):
            key, _, value = line.partition("=")
            yield key, value.encode()


def _pairs(entry: dict[str, Any], tree: Tree, folder: str, where: str) -> Iterator[tuple[str, bytes]]:
    envs = [*(entry.get("envs") or []), *([entry["env"]] if entry.get("env") else [])]
    for env in envs:
        yield from _env(demand(tree, inside(folder, env), where).decode("utf-8-sig"))
    for source in entry.get("literals") or []:
        yield _literal(str(source), where)
    for source in entry.get("files") or []:
        key, equals, path = str(source).rpartition("=")
        name = key if equals else posixpath.basename(path)
        yield name, demand(tree, inside(folder, path), where)


def inside(folder: str, path: str) -> str:
    """Return the path of a file that must lie at or below the kustomization."""
    found = normal(folder, path)
    if folder and not found.startswith(folder + "/"):
        raise BuildError(f"{path} is not at or below {folder}; a kustomization reads files of its own folder")
    return found


def encode(value: bytes) -> str:
    """Encode as kustomize does: base64, in lines of 70 where it is longer."""
    text = base64.b64encode(value).decode()
    if len(text) <= LINE - 1:
        return text
    return "".join(text[at : at + LINE] + "\n" for at in range(0, len(text), LINE))


def _is_text(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def generate(kind: str, entry: dict[str, Any], tree: Tree, folder: str, defaults: dict[str, Any]) -> Resource:
    """Make the ConfigMap or Secret that one generator entry describes."""
    where = f"{folder or '.'}: {kind} generator {entry.get('name', '')!r}"
    if not entry.get("name"):
        raise BuildError(f"{where}: a generator needs a name")
    value: dict[str, Any] = {"apiVersion": "v1", "kind": kind, "metadata": {"name": str(entry["name"])}}
    if entry.get("namespace"):
        value["metadata"]["namespace"] = entry["namespace"]
    for key, content in _pairs(entry, tree, folder, where):
        part = "data" if kind == "Secret" or _is_text(content) else "binaryData"
        if key in value.get("data", {}) or key in value.get("binaryData", {}):
            raise BuildError(f"{where}: the key {key!r} is given twice")
        text = content.decode() if part == "data" and kind != "Secret" else encode(content)
        value.setdefault(part, {})[key] = text
    if kind == "Secret":
        value["type"] = entry.get("type") or "Opaque"
    options = entry.get("options") or {}
    for part in ("labels", "annotations"):
        both = {**(defaults.get(part) or {}), **(options.get(part) or {})}
        if both:
            value["metadata"][part] = {str(k): str(v) for k, v in both.items()}
    if options.get("immutable", defaults.get("immutable")):
        value["immutable"] = True
    plain = options.get("disableNameSuffixHash") or defaults.get("disableNameSuffixHash")
    return Resource(value, behavior=str(entry.get("behavior") or "create"), needs_hash=not plain)
