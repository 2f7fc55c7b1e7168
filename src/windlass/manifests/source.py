"""From an Application's source to objects: kustomize where there is a kustomization, else a plain folder."""

from __future__ import annotations

import json
import posixpath
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from windlass.manifests.documents import read, write
from windlass.manifests.errors import BuildError, ManifestError
from windlass.manifests.kustomize.build import NAMES, build, flatten
from windlass.manifests.kustomize.edit import parse_image
from windlass.manifests.tree import normal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from windlass.manifests.objects import Object
    from windlass.manifests.tree import Tree

OVERLAY = ".windlass-overlay"
SUFFIXES = (".yaml", ".yml", ".json")


class _Overlay:
    """The tree, and one more kustomization on top of it: the Application's own `kustomize` options."""

    def __init__(self, tree: Tree, content: bytes) -> None:
        self._tree = tree
        self._content = content

    def read(self, path: str) -> bytes | None:
        return self._content if path == f"{OVERLAY}/{NAMES[0]}" else self._tree.read(path)

    def files(self, folder: str) -> Iterable[str]:
        return self._tree.files(folder)


def tool(tree: Tree, folder: str) -> str:
    """Return what makes the manifests of a folder: `Kustomize`, `Helm` or `Directory`."""
    where = f"{folder}/" if folder else ""
    if any(tree.read(where + name) is not None for name in NAMES):
        return "Kustomize"
    return "Helm" if tree.read(where + "Chart.yaml") is not None else "Directory"


def _options(folder: str, options: dict[str, Any]) -> bytes:
    fields = (
        "namePrefix",
        "nameSuffix",
        "namespace",
        "commonLabels",
        "commonAnnotations",
        "replicas",
        "patches",
    )
    k = {key: options[key] for key in (*fields, "components") if options.get(key)}
    k["resources"] = [posixpath.relpath(folder or ".", OVERLAY)]
    if options.get("images"):
        k["images"] = [parse_image(str(image)) for image in options["images"]]
    return write([k]).encode()


def directory(tree: Tree, folder: str, options: dict[str, Any]) -> list[Object]:
    """Read a plain folder of manifests as Argo CD does (`recurse`, `include`, `exclude`)."""
    found: list[Object] = []
    prefix = f"{folder}/" if folder else ""
    for path in tree.files(folder):
        name = path.removeprefix(prefix)
        if not name.endswith(SUFFIXES) or ("/" in name and not options.get("recurse")):
            continue
        if not _globbed(name, options.get("include") or "*") or (
            options.get("exclude") and _globbed(name, options["exclude"])
        ):
            continue
        content = tree.read(path) or b""
        for document in read(content, path):
            found.extend(flatten(document.value, path))
    return found


def _globbed(name: str, pattern: str) -> bool:
    patterns = pattern[1:-1].split(",") if pattern.startswith("{") and pattern.endswith("}") else [pattern]
    return any(fnmatchcase(name, each) for each in patterns)


def render(tree: Tree, source: Object) -> list[Object]:
    """Return the objects that an Application's `spec.source` stands for; raises `ManifestError`.

    Objects are fresh: the caller may change them.
    """
    folder = normal("", str(source.get("path") or ""))
    if not list(tree.files(folder)):
        raise ManifestError(f"the path {folder or '.'} does not exist in this revision")
    match tool(tree, folder):
        case "Helm":
            raise BuildError(
                f"{folder}: Helm charts are not supported; render them into a folder of manifests"
            )
        case "Kustomize":
            options = source.get("kustomize") or {}
            over = _Overlay(tree, _options(folder, options)) if options else None
            items = build(over, OVERLAY) if over else build(tree, folder)
        case _:
            items = directory(tree, folder, source.get("directory") or {})
    fresh: list[Object] = json.loads(json.dumps(items))
    return fresh
