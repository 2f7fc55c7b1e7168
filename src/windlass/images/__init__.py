"""Container images: building them, their base images, sending and fetching them."""

from windlass.images.base import ensure_base
from windlass.images.build import build
from windlass.images.errors import BaseUnavailableError, BuildError, ImagesError
from windlass.images.publish import pull, push
from windlass.images.request import BuildRequest, BuildResult

__all__ = [
    "BaseUnavailableError",
    "BuildError",
    "BuildRequest",
    "BuildResult",
    "ImagesError",
    "build",
    "ensure_base",
    "pull",
    "push",
]
