"""Building a kustomization: the order of things is kustomize's own."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from windlass.manifests.documents import read
from windlass.manifests.errors import BuildError
from windlass.manifests.kustomize import origin, patches, replacements, transform
from windlass.manifests.kustomize.extensions import generator, transformer
from windlass.manifests.kustomize.generators import generate, inside
from windlass.manifests.kustomize.hashing import content_hash
from windlass.manifests.kustomize.references import fix_references
from windlass.manifests.kustomize.resource import Resource, absorb, is_local
from windlass.manifests.kustomize.specs import Configuration, references
from windlass.manifests.kustomize.variables import Variable, resolve, variables
from windlass.manifests.tree import demand, normal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from windlass.manifests.objects import Object
    from windlass.manifests.tree import Tree

NAMES = ("kustomization.yaml", "kustomization.yml", "Kustomization")
MAX_DEPTH = 50
KNOWN = frozenset(
    {
        *("apiVersion", "kind", "metadata", "resources", "bases", "components", "namespace", "namePrefix"),
        *("nameSuffix", "labels", "commonLabels", "commonAnnotations", "images", "replicas", "crds"),
        *("configMapGenerator", "secretGenerator", "generatorOptions", "patches", "patchesStrategicMerge"),
        *("patchesJson6902", "configurations", "generators", "transformers", "vars", "buildMetadata"),
        *("sortOptions", "openapi", "replacements"),
    }
)


class Build:
    """One build: `run` makes the objects of a folder of the tree."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._configuration = Configuration()
        self._variables: list[Variable] = []

    def run(self, folder: str) -> list[Object]:
        """Build the kustomization in `folder`; raises `ManifestError`."""
        items = self._accumulate(normal("", folder), ())
        for item in items:
            if item.needs_hash:
                item.remember()
                item.meta["name"] = f"{item.id.name}-{content_hash(item.value)}"
        fix_references(items, [*references(), *self._configuration.references])
        resolve(items, self._variables, self._configuration.variables)
        root = normal("", folder)
        _, top = self.kustomization(root)
        origin.annotate(items, top.get("buildMetadata") or [], root)
        return [item.value for item in items if not is_local(item)]

    def kustomization(self, folder: str) -> tuple[str, Object]:
        """Return the path and the content of the folder's kustomization file."""
        found = [
            path
            for name in NAMES
            if self._tree.read(path := f"{folder}/{name}" if folder else name) is not None
        ]
        if len(found) != 1:
            what = "several kustomization files" if found else f"no {NAMES[0]}"
            raise BuildError(f"{folder or '.'}: {what}")
        documents = read(demand(self._tree, found[0], folder), found[0], duplicates=True)
        if len(documents) > 1 or not all(isinstance(each.value, dict) for each in documents):
            raise BuildError(f"{found[0]}: must be one mapping")
        value: Object = documents[0].value if documents else {}
        if unknown := sorted(set(value) - KNOWN):
            raise BuildError(f"{found[0]}: fields that are not supported: {', '.join(unknown)}")
        return found[0], value

    def _accumulate(
        self, folder: str, trail: tuple[str, ...], into: list[Resource] | None = None
    ) -> list[Resource]:
        if folder in trail or len(trail) > MAX_DEPTH:
            raise BuildError(f"a circle of kustomizations: {' -> '.join([*trail, folder])}")
        file, k = self.kustomization(folder)
        items = [] if into is None else into
        for path in [*(k.get("resources") or []), *(k.get("bases") or [])]:
            self._add(items, self._resource(folder, str(path), (*trail, folder), file), file)
        for path in k.get("configurations") or []:
            for document in read(demand(self._tree, inside(folder, str(path)), file), str(path)):
                self._configuration.add(document.value)
        self._generate(items, k, folder, file)
        for path in k.get("components") or []:
            self._accumulate(normal(folder, str(path)), (*trail, folder), items)
        self._transform(items, k, folder, file)
        self._variables += variables(k.get("vars") or [], items)
        return items

    def _resource(self, folder: str, path: str, trail: tuple[str, ...], file: str) -> list[Resource]:
        if "://" in path or path.startswith(("git@", "github.com/")) or "?ref=" in path:
            raise BuildError(f"{file}: {path} is remote; only files of the same repository are read")
        found = normal(folder, path)
        content = self._tree.read(found)
        if content is None:
            if not list(self._tree.files(found)):
                raise BuildError(f"{file}: the resource {path} does not exist")
            return self._accumulate(found, trail)
        if folder and not found.startswith(folder + "/"):
            raise BuildError(f"{file}: {path} is not at or below {folder}; refer to its folder instead")
        return [
            _resource(value, found)
            for document in read(content, found)
            for value in flatten(document.value, found)
        ]

    @staticmethod
    def _add(items: list[Resource], new: Iterable[Resource], file: str) -> None:
        known = {item.id for item in items}
        for item in new:
            if item.id in known:
                raise BuildError(f"{file}: {item.id.kind} {item.id.name} is there twice")
            known.add(item.id)
            items.append(item)

    def _generate(self, items: list[Resource], k: Object, folder: str, file: str) -> None:
        defaults = k.get("generatorOptions") or {}
        for field, kind in (("configMapGenerator", "ConfigMap"), ("secretGenerator", "Secret")):
            for entry in k.get(field) or []:
                made = generate(kind, entry, self._tree, folder, defaults)
                made.origin = origin.by(file, f"{kind}Generator")
                absorb(items, made, folder or ".")
        for config, where in self._configs(k.get("generators"), folder, file):
            made = generator(config, self._tree, folder)
            made.origin = origin.by(where, str(config.get("kind")), config)
            absorb(items, made, folder or ".")

    def _configs(self, entries: list[str] | None, folder: str, file: str) -> list[tuple[Object, str]]:
        """Read what configures generators and transformers (inline, files, built folders), and where it stands."""
        found: list[tuple[Object, str]] = []
        for entry in entries or []:
            path = None if "\n" in entry else normal(folder, entry)
            if path is None or (content := self._tree.read(path)) is not None:
                text = entry if path is None else content
                found += [(document.value, path or file) for document in read(text or "", entry[:40])]
            else:
                built = self._accumulate(path, (folder,))
                found += [(item.value, str(item.origin.get("path", path))) for item in built]
        return found

    def _transform(self, items: list[Resource], k: Object, folder: str, file: str) -> None:
        for kind, step in self._steps(k, folder):
            step(items)
            record = origin.by(file, kind)
            for item in items:
                item.changes.append(record)
        for config, where in self._configs(k.get("transformers"), folder, file):
            transformer(items, config, folder, self._tree)
            record = origin.by(where, str(config.get("kind")), config)
            for item in items:
                item.changes.append(record)

    def _steps(  # noqa: C901 one branch for each field
        self, k: Object, folder: str
    ) -> Iterator[tuple[str, Callable[[list[Resource]], None]]]:
        """Yield the built-in transformers that the fields ask for, in kustomize's order."""
        extra, tree = self._configuration, self._tree
        for patch in k.get("patchesStrategicMerge") or []:
            yield "PatchStrategicMergeTransformer", partial(self._strategic, folder, patch)
        for patch in k.get("patches") or []:
            yield "PatchTransformer", partial(patches.apply_patch, entry=patch, tree=tree, folder=folder)
        if space := str(k.get("namespace") or ""):
            yield (
                "NamespaceTransformer",
                partial(transform.set_namespace, namespace=space, extra=extra.namespaces),
            )
        if prefix := str(k.get("namePrefix") or ""):
            yield (
                "PrefixTransformer",
                partial(transform.add_affix, prefix=prefix, suffix="", extra=extra.names),
            )
        if suffix := str(k.get("nameSuffix") or ""):
            yield (
                "SuffixTransformer",
                partial(transform.add_affix, prefix="", suffix=suffix, extra=extra.names),
            )
        for entry in k.get("labels") or []:
            yield "LabelTransformer", partial(transform.add_inline_labels, entry=entry)
        if pairs := k.get("commonLabels"):
            yield "LabelTransformer", partial(transform.add_labels, pairs=pairs, extra=extra.labels)
        if pairs := k.get("commonAnnotations"):
            yield (
                "AnnotationsTransformer",
                partial(transform.add_annotations, pairs=pairs, extra=extra.annotations),
            )
        for patch in k.get("patchesJson6902") or []:
            yield (
                "PatchJson6902Transformer",
                partial(patches.apply_patch, entry=patch, tree=tree, folder=folder),
            )
        for entry in k.get("replicas") or []:
            yield (
                "ReplicaCountTransformer",
                partial(transform.set_replicas, entry=entry, extra=extra.replicas),
            )
        for entry in k.get("images") or []:
            yield "ImageTagTransformer", partial(transform.set_image, entry=entry, extra=extra.images)
        for entry in replacements.load(k.get("replacements") or [], tree, folder):
            yield "ReplacementTransformer", partial(replacements.replace, entry=entry, where=folder)

    def _strategic(self, folder: str, patch: str, items: list[Resource]) -> None:
        inline = "\n" in patch or patch.lstrip().startswith("{")
        path = "" if inline else inside(folder, patch)
        text = patch if inline else demand(self._tree, path, folder).decode("utf-8-sig")
        patches.strategic_patches(items, text, path or f"{folder or '.'}: inline patch")


def flatten(value: Any, where: str) -> Iterable[Object]:
    """Yield the objects of a document: itself, or the items of a list."""
    if not isinstance(value, dict):
        raise BuildError(f"{where}: a document is not a mapping")
    kind = str(value.get("kind", ""))
    if kind == "List" or (kind.endswith("List") and isinstance(value.get("items"), list)):
        for each in value.get("items") or []:
            yield from flatten(each, where)
        return
    meta = value.get("metadata")
    if not kind or not value.get("apiVersion") or not isinstance(meta, dict) or not meta.get("name"):
        raise BuildError(f"{where}: an object needs apiVersion, kind and metadata.name")
    yield value


def _resource(value: Object, path: str) -> Resource:
    return Resource(value, origin={"path": path})


def build(tree: Tree, folder: str = "") -> list[Object]:
    """Build the kustomization in `folder`, in the order in which resources are listed."""
    return Build(tree).run(folder)
