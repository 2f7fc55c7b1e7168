"""The OCI registry: server, client, and references to images."""

from windlass.registry.client import RegistryClient
from windlass.registry.errors import ImageNotFoundError, RegistryError, ResolveError
from windlass.registry.http import RegistryHTTP
from windlass.registry.reference import BadReferenceError, Reference
from windlass.registry.storage import Collected, Manifest, Registry

__all__ = [
    "BadReferenceError",
    "Collected",
    "ImageNotFoundError",
    "Manifest",
    "Reference",
    "Registry",
    "RegistryClient",
    "RegistryError",
    "RegistryHTTP",
    "ResolveError",
]
