"""The records of runs as others read them. Times are seconds since the epoch, durations seconds."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias

from windlass.pipelines.reason import Reason

if TYPE_CHECKING:
    from windlass.store import Row

Status: TypeAlias = Literal["waiting", "pending", "queued", "in_progress", "completed"]
ZERO = "0" * 40


@dataclass(frozen=True, slots=True)
class _Record:
    @classmethod
    def of(cls, row: Row) -> Self:
        """Build the record from its row; columns that hold JSON or a reason are opened."""
        values = {}
        for item in fields(cls):
            value = row[item.name]
            if item.name == "reason":
                value = Reason.from_json(value)
            elif item.name in JSON_COLUMNS and isinstance(value, str):
                value = json.loads(value)
            elif item.type == "bool":
                value = bool(value)
            values[item.name] = value
        return cls(**values)


JSON_COLUMNS = {"outputs", "matrix", "limits", "environment", "tags", "data"}


@dataclass(frozen=True, slots=True)
class Run(_Record):
    """One run of one workflow. `pending` means that it waits for its concurrency group.

    `conclusion` is success, failure, cancelled or skipped once `status` is completed. `attempt` counts
    re-runs from 1. `superseded_by` is the run of a newer push to the same ref, or None. `push` or `occurrence`
    is what caused it, `depth` how many `workflow_run` events lie between it and the run at the beginning.
    `rerun_by` is who started the latest attempt where somebody did; with `debug` steps tell more.
    """

    id: int
    number: int
    repository: str
    path: str
    workflow: str
    event: str
    ref: str
    sha: str
    actor: str
    title: str
    push: int | None
    attempt: int
    status: Status
    conclusion: str | None
    reason: Reason | None
    concurrency_group: str | None
    cancel_in_progress: bool
    concurrency_queue: str
    cancel_requested: float | None
    superseded_by: int | None
    created_at: float
    started_at: float | None
    finished_at: float | None
    occurrence: int | None = None
    depth: int = 0
    rerun_by: str | None = None
    debug: bool = False
    replay_of: int | None = None


@dataclass(frozen=True, slots=True)
class Job(_Record):
    """One attempt at one job, a single leg where it has a matrix. `waiting`: for its environment.

    `id` is RUN.KEY.ATTEMPT. `job` is the key in the file, `key` is unique in the run (`test~2`). While its
    `needs` are open `expanded` is False and it stands for all legs. `calls` is the workflow that it calls: it is
    in progress while that one's jobs are (`deploy.build` below `deploy`) and has no process. `position` and
    `place` are its place in the run. `tolerated`: its failure does not fail
    the run (`continue-on-error`). `ready_at`: when nothing but a slot was missing.
    """

    id: str
    run: int
    attempt: int
    key: str
    job: str
    leg: int
    legs: int
    expanded: bool
    position: int
    place: str
    calls: str | None
    name: str
    status: Status
    conclusion: str | None
    tolerated: bool
    reason: Reason | None
    matrix: dict[str, Any] | None
    limits: dict[str, Any]
    environment: dict[str, Any] | None
    outputs: dict[str, str]
    concurrency_group: str | None
    cancel_in_progress: bool
    concurrency_queue: str
    pid: int | None
    pid_started: int | None
    launches: int
    events_read: int
    cancel_requested: float | None
    signals: int
    created_at: float
    ready_at: float | None
    assigned_at: float | None
    started_at: float | None
    finished_at: float | None
    cleaned_at: float | None

    @property
    def begun(self) -> bool:
        """Whether it has a process, or may have, or jobs below it; such a job has to be told to stop."""
        return self.assigned_at is not None or self.status == "in_progress"


@dataclass(frozen=True, slots=True)
class Step(_Record):
    """One step of a job. `step` numbers its log; 0 is the set-up. `outcome` is before `continue-on-error`."""

    job: str
    step: int
    name: str
    line: int | None
    status: Status
    outcome: str | None
    conclusion: str | None
    seconds: float | None
    summary: str | None
    started_at: float
    finished_at: float | None


@dataclass(frozen=True, slots=True)
class Scheduled(_Record):
    """A schedule of a workflow on the default branch: what it waits for, and how its last firing was.

    `next_at` is None where its day never comes. `late` is by how many seconds it was last fired after its time,
    `missed` how many times were left out in all, because nothing ran then.
    """

    repository: str
    path: str
    workflow: str
    cron: str
    timezone: str
    since: float
    next_at: float | None
    fired_at: float | None
    late: float
    missed: int


@dataclass(frozen=True, slots=True)
class Annotation(_Record):
    """A message about the run, on a file's line where known. `level`: error, warning, notice."""

    id: int
    run: int
    job: str | None
    step: int | None
    level: str
    message: str
    file: str | None
    line: int | None
    col: int | None
    title: str | None
    at: float


@dataclass(frozen=True, slots=True)
class Image(_Record):
    """An image that a run published: what ties a run to the GitOps revisions that hold its digest."""

    run: int
    job: str
    image: str
    digest: str
    tags: list[str]
    at: float


@dataclass(frozen=True, slots=True)
class Build:
    """An image that was built, by its local id: when it was done, and how long that took in seconds."""

    image: str
    seconds: float
    at: float


@dataclass(frozen=True, slots=True)
class Artifact(_Record):
    """An uploaded artifact. `size` in bytes, `digest` is `sha256:…` of the zip, `id` its number on this server."""

    run: int
    name: str
    job: str
    size: int
    files: int
    digest: str
    created_at: float
    expires_at: float
    id: int = 0


@dataclass(frozen=True, slots=True)
class Cache(_Record):
    """A cache entry of a repository. `scope` is the ref that wrote it."""

    id: int
    repository: str
    scope: str
    key: str
    version: str
    job: str
    size: int
    digest: str
    created_at: float
    used_at: float


@dataclass(frozen=True, slots=True)
class RunDetail:
    """A run with what belongs to its latest attempt (`jobs`, `steps`) and to all of it.

    `deployments` are {environment, url, state, job, at} of jobs that named an environment. `pins` are what it was
    made of: `actions`, `images` and called `workflows`, each name with the commit or digest that it came to.
    """

    run: Run
    jobs: tuple[Job, ...]
    steps: tuple[Step, ...]
    annotations: tuple[Annotation, ...]
    images: tuple[Image, ...]
    artifacts: tuple[Artifact, ...]
    coverage: float | None
    builds: tuple[Build, ...] = ()
    deployments: tuple[dict[str, Any], ...] = ()
    pins: dict[str, dict[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FirstError:
    """What to show first of a failed run. `log` is the tail of the failing step where nothing better is known."""

    job: str
    job_name: str
    step: int | None
    step_name: str
    message: str
    file: str | None = None
    line: int | None = None
    log: tuple[str, ...] = ()
