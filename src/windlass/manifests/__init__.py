"""Kubernetes manifests, purely: reading, kustomize, ordering, health and difference."""

from windlass.manifests.diff import Difference, differences
from windlass.manifests.documents import Document, read, write
from windlass.manifests.errors import BuildError, DocumentError, ManifestError, MissingFileError
from windlass.manifests.health import Health, health, worst
from windlass.manifests.objects import (
    CLUSTER_SCOPED,
    Id,
    Object,
    annotations_of,
    containers,
    dig,
    identify,
    pod_template,
)
from windlass.manifests.ordering import apply_order, wave
from windlass.manifests.source import render, tool
from windlass.manifests.template import template_hash
from windlass.manifests.tree import FolderTree, MemoryTree, Tree

__all__ = [
    "CLUSTER_SCOPED",
    "BuildError",
    "Difference",
    "Document",
    "DocumentError",
    "FolderTree",
    "Health",
    "Id",
    "ManifestError",
    "MemoryTree",
    "MissingFileError",
    "Object",
    "Tree",
    "annotations_of",
    "apply_order",
    "containers",
    "differences",
    "dig",
    "health",
    "identify",
    "pod_template",
    "read",
    "render",
    "template_hash",
    "tool",
    "wave",
    "worst",
    "write",
]
