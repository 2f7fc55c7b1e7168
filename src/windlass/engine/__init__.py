"""The container engine: its port, its drivers (podman, docker, a scripted fake), and the choice between them."""

from windlass.engine.errors import (
    ContainerNotFoundError,
    EngineError,
    EngineTimeoutError,
    EngineUnavailableError,
    ImageAccessError,
    ImageNotFoundError,
    NameInUseError,
    RegistryUnreachableError,
    StartError,
)
from windlass.engine.port import (
    Container,
    ContainerEvent,
    ContainerSpec,
    Engine,
    EngineInfo,
    ExecResult,
    ImageInfo,
    Mount,
    Network,
    Port,
)

__all__ = [
    "Container",
    "ContainerEvent",
    "ContainerNotFoundError",
    "ContainerSpec",
    "Engine",
    "EngineError",
    "EngineInfo",
    "EngineTimeoutError",
    "EngineUnavailableError",
    "ExecResult",
    "ImageAccessError",
    "ImageInfo",
    "ImageNotFoundError",
    "Mount",
    "NameInUseError",
    "Network",
    "Port",
    "RegistryUnreachableError",
    "StartError",
]
