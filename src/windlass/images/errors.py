"""What can go wrong when images are built, sent and fetched."""

from __future__ import annotations

from windlass.engine.errors import EngineError


class ImagesError(Exception):
    """The image could not be made or moved."""


class BuildError(ImagesError):
    """The image could not be built."""

    def __init__(self, reason: str, *, lines: tuple[str, ...] = (), remedy: str = "") -> None:
        """Say why; `lines` are the end of the build's output."""
        self.reason = reason
        self.lines = lines
        self.remedy = remedy
        super().__init__(" ".join(filter(None, (reason, remedy and f"What helps: {remedy}"))))


class BaseUnavailableError(ImagesError):
    """The base image can neither be fetched nor stood in for."""

    def __init__(self, reference: str, reason: str, remedy: str) -> None:
        """Say which image, why, and what helps."""
        self.reference = reference
        self.reason = reason
        self.remedy = remedy
        super().__init__(f"No base image {reference}: {reason}. What helps: {remedy}")


__all__ = ["BaseUnavailableError", "BuildError", "EngineError", "ImagesError"]
