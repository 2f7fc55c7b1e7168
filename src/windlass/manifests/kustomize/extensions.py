"""`generators:` and `transformers:`: the built-in plugins, configured by objects of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from windlass.manifests.errors import BuildError
from windlass.manifests.kustomize import patches, replacements, transform
from windlass.manifests.kustomize.generators import generate
from windlass.manifests.kustomize.specs import from_yaml

if TYPE_CHECKING:
    from windlass.manifests.kustomize.resource import Resource
    from windlass.manifests.objects import Object
    from windlass.manifests.tree import Tree

GENERATORS = {"ConfigMapGenerator": "ConfigMap", "SecretGenerator": "Secret"}


def generator(config: Object, tree: Tree, folder: str) -> Resource:
    """Make what a configured generator makes; `BuildError` for one that is not built in."""
    kind = GENERATORS.get(str(config.get("kind")))
    if kind is None:
        raise BuildError(f"{folder or '.'}: the generator {config.get('kind')} is not supported")
    meta = config.get("metadata") or {}
    entry = {"name": meta.get("name"), "namespace": meta.get("namespace"), **config}
    return generate(kind, entry, tree, folder, {})


def transformer(  # noqa: C901, PLR0912 one branch for each plugin
    items: list[Resource], config: Object, where: str, tree: Tree
) -> None:
    """Run a configured transformer in place; `BuildError` for one that is not built in."""
    kind = str(config.get("kind"))
    fields = [from_yaml(entry) for entry in config.get("fieldSpecs") or []]
    if kind == "PrefixTransformer":
        transform.add_affix(items, str(config.get("prefix") or ""), "", [])
    elif kind == "SuffixTransformer":
        transform.add_affix(items, "", str(config.get("suffix") or ""), [])
    elif kind == "PrefixSuffixTransformer":
        transform.add_affix(items, str(config.get("prefix") or ""), str(config.get("suffix") or ""), [])
    elif kind == "NamespaceTransformer":
        transform.set_namespace(items, str((config.get("metadata") or {}).get("namespace")), [])
    elif kind == "LabelTransformer":
        transform.lay(items, fields, config.get("labels") or {})
    elif kind == "AnnotationsTransformer":
        transform.lay(items, fields, config.get("annotations") or {})
    elif kind == "ImageTagTransformer":
        transform.set_image(items, config.get("imageTag") or {}, fields)
    elif kind == "ReplicaCountTransformer":
        transform.set_replicas(items, config.get("replica") or {}, fields)
    elif kind in ("PatchTransformer", "PatchJson6902Transformer"):
        patches.apply_patch(items, _json(config), tree, where)
    elif kind == "PatchStrategicMergeTransformer":
        for path in config.get("paths") or []:
            patches.apply_patch(items, {"path": path}, tree, where)
        if config.get("patches"):
            patches.strategic_patches(items, str(config["patches"]), where)
    elif kind == "ReplacementTransformer":
        for entry in replacements.load(config.get("replacements") or [], tree, where):
            replacements.replace(items, entry, where)
    else:
        raise BuildError(f"{where or '.'}: the transformer {kind} is not supported")


def _json(config: Object) -> dict[str, Any]:
    return {**config, "patch": config.get("patch") or config.get("jsonOp")}
