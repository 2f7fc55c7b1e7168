"""The edge: one managed HAProxy in front of all Services and Ingresses."""

from windlass.kube.local.edge.edge import Edge, EdgeSettings
from windlass.kube.local.edge.errors import EdgeError, HaproxyMissingError, ReloadError, RuntimeSocketError

__all__ = [
    "Edge",
    "EdgeError",
    "EdgeSettings",
    "HaproxyMissingError",
    "ReloadError",
    "RuntimeSocketError",
]
