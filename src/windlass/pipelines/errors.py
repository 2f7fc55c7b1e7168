"""What can go wrong in `pipelines`. The docstring of each class is its message."""

from __future__ import annotations


class PipelinesError(Exception):
    """A run, job, artifact or cache cannot do what was asked."""


class NotFoundError(PipelinesError):
    """There is no such run, job, log, artifact or cache."""


class StateError(PipelinesError):
    """The run is not in a state in which this can be done."""


class LaunchError(PipelinesError):
    """The process of a job could not be started. It has not run."""


class ArtifactError(PipelinesError):
    """An artifact is refused: its name, its size, or what its archive holds."""


class CacheError(PipelinesError):
    """A cache entry is refused: its key, its size, or that it exists already."""


class ForbiddenError(PipelinesError):
    """Who asks may not do this."""


class ConflictError(PipelinesError):
    """There is one of this name already, and it is never changed."""
