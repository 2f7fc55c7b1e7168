"""kustomize: bases, overlays, generators, transformers and patches."""

from windlass.manifests.kustomize.build import build

__all__ = ["build"]
