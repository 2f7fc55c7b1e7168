"""A Kubernetes API: client, errors, informers and controllers, for plain dict objects."""

from windlass.kube.client import Kube, ProxyAnswer
from windlass.kube.controller import Controller, own_key, owner_key
from windlass.kube.discovery import ResourceInfo
from windlass.kube.errors import (
    AlreadyExistsError,
    ConfigError,
    ConflictError,
    ForbiddenError,
    GoneError,
    InvalidError,
    KubeError,
    NotFoundError,
    TimedOutError,
    UnavailableError,
    UnreachableError,
)
from windlass.kube.informer import Informer
from windlass.kube.types import Cluster, Key, Object, ObjectList, WatchEvent, key_of

__all__ = [
    "AlreadyExistsError",
    "Cluster",
    "ConfigError",
    "ConflictError",
    "Controller",
    "ForbiddenError",
    "GoneError",
    "Informer",
    "InvalidError",
    "Key",
    "Kube",
    "KubeError",
    "NotFoundError",
    "Object",
    "ObjectList",
    "ProxyAnswer",
    "ResourceInfo",
    "TimedOutError",
    "UnavailableError",
    "UnreachableError",
    "WatchEvent",
    "key_of",
    "own_key",
    "owner_key",
]
