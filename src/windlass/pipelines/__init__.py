"""Runs of workflows: events, planning, scheduling, logs, artifacts, caches."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from windlass.pipelines.dispatching import DispatchError
from windlass.pipelines.errors import (
    ArtifactError,
    CacheError,
    ConflictError,
    ForbiddenError,
    LaunchError,
    NotFoundError,
    PipelinesError,
    StateError,
)
from windlass.pipelines.gates import Environment
from windlass.pipelines.launcher import Launcher
from windlass.pipelines.occurrences import Occurrence
from windlass.pipelines.pipelines import Pipelines
from windlass.pipelines.process import Processes, SystemProcesses
from windlass.pipelines.reason import Reason
from windlass.pipelines.records import (
    Annotation,
    Artifact,
    Cache,
    FirstError,
    Image,
    Job,
    Run,
    RunDetail,
    Step,
)
from windlass.pipelines.schedule import waits_for
from windlass.pipelines.settings import Settings

if TYPE_CHECKING:
    from windlass.pipelines.api import job_routes
    from windlass.pipelines.fake import FakeJob, FakeLauncher

_LATER = {
    "FakeJob": "windlass.pipelines.fake",
    "FakeLauncher": "windlass.pipelines.fake",
    "job_routes": "windlass.pipelines.api",
}
"""Loaded when it is asked for: not everything that needs the package needs these, and they are slow to load."""


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LATER[name]), name)


__all__ = [
    "Annotation",
    "Artifact",
    "ArtifactError",
    "Cache",
    "CacheError",
    "ConflictError",
    "DispatchError",
    "Environment",
    "FakeJob",
    "FakeLauncher",
    "FirstError",
    "ForbiddenError",
    "Image",
    "Job",
    "LaunchError",
    "Launcher",
    "NotFoundError",
    "Occurrence",
    "Pipelines",
    "PipelinesError",
    "Processes",
    "Reason",
    "Run",
    "RunDetail",
    "Settings",
    "StateError",
    "Step",
    "SystemProcesses",
    "job_routes",
    "waits_for",
]
