"""What `decide` asks for. Each effect changes the state so that deciding again does not ask for it again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from windlass.pipelines.reason import Reason
    from windlass.pipelines.runplan import Placeholder
    from windlass.workflow import PlannedJob


@dataclass(frozen=True, slots=True)
class AcquireRun:
    """The run has its concurrency group: it is queued."""

    run: int


@dataclass(frozen=True, slots=True)
class WaitRun:
    """The run waits."""

    run: int
    reason: Reason


@dataclass(frozen=True, slots=True)
class CancelRun:
    """The run is to end as cancelled."""

    run: int
    reason: Reason


@dataclass(frozen=True, slots=True)
class FinishRun:
    """All jobs of the run are over. `reason` says why none of them could run."""

    run: int
    conclusion: str
    reason: Reason | None = None


@dataclass(frozen=True, slots=True)
class ExpandJob:
    """The needs of the job are done: these are its legs."""

    job: str
    legs: tuple[PlannedJob, ...]


@dataclass(frozen=True, slots=True)
class CallJob:
    """The job calls a workflow: these are its jobs, less those that are kept from an earlier attempt."""

    job: str
    jobs: tuple[Placeholder, ...]


@dataclass(frozen=True, slots=True)
class WaitJob:
    """The job waits."""

    job: str
    reason: Reason


@dataclass(frozen=True, slots=True)
class PassJob:
    """The job's environment lets it pass."""

    job: str


@dataclass(frozen=True, slots=True)
class AcquireJob:
    """The job has its concurrency group: it is queued."""

    job: str


@dataclass(frozen=True, slots=True)
class StartJob:
    """The job gets a slot; its process is to be launched."""

    job: str


@dataclass(frozen=True, slots=True)
class CancelJob:
    """The job's process is to be told to stop."""

    job: str
    reason: Reason


@dataclass(frozen=True, slots=True)
class FinishJob:
    """The job is over without (or beside) a word of its process."""

    job: str
    conclusion: str
    reason: Reason | None
    outputs: dict[str, str] = field(default_factory=dict)


Effect: TypeAlias = (
    AcquireRun
    | WaitRun
    | CancelRun
    | FinishRun
    | ExpandJob
    | CallJob
    | WaitJob
    | PassJob
    | AcquireJob
    | StartJob
    | CancelJob
    | FinishJob
)
