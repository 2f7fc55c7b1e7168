"""A workflow file as typed values. Expressions in it are still text; positions are 1-based lines.

What is left as plain data (`definition`, `env`, `defaults`, …) has string keys and JSON values, and
strings in it may hold `${{ }}`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from windlass.syntax import Diagnostic


class WorkflowError(ValueError):
    """Something about a workflow, its inputs or its matrix cannot be used as it stands."""


@dataclass(frozen=True, slots=True)
class Trigger:
    """One event under `on:` with its filters. An empty tuple means that there is no such filter.

    `options` holds everything as plain data: `inputs`, `outputs`, `secrets`, `workflows`, `cron`, …
    """

    event: str
    types: tuple[str, ...] = ()
    branches: tuple[str, ...] = ()
    branches_ignore: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    tags_ignore: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    paths_ignore: tuple[str, ...] = ()
    workflows: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    schedules: tuple[Schedule, ...] = ()
    inputs: dict[str, Input] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, bool] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    line: int = 0


@dataclass(frozen=True, slots=True)
class Schedule:
    """One entry of `on.schedule`: five cron fields, in the named time zone."""

    cron: str
    timezone: str = "UTC"
    line: int = 0


@dataclass(frozen=True, slots=True)
class Input:
    """One input of `workflow_dispatch`, `workflow_call` or an action. `default` is None where not given."""

    name: str
    type: str = "string"  # string | boolean | number | choice | environment
    required: bool = False
    default: Any = None
    description: str = ""
    options: tuple[str, ...] = ()
    deprecation: str = ""


@dataclass(frozen=True, slots=True)
class Job:
    """One entry of `jobs:` before its matrix is expanded.

    `condition` is the whole condition with the implied `success() &&` in it, without `${{ }}`.
    `definition` is what `JobSpec.definition` takes: steps as {id, name, uses, run, with, env, if, shell,
    working-directory, continue-on-error, timeout-minutes, background, wait, wait-all, cancel, line}, a
    step's id always there (made where the file gives none), its `if` normalised as `condition` is.
    """

    key: str
    name: str  # a template; the key where the file gives none
    needs: tuple[str, ...]
    condition: str
    definition: dict[str, Any]
    permissions: dict[str, str] | None  # None: not given here
    uses: str | None = None  # a reusable workflow
    line: int = 0

    @property
    def steps(self) -> list[dict[str, Any]]:
        """The steps of `definition`; empty for a reusable workflow."""
        return self.definition.get("steps") or []


@dataclass(frozen=True, slots=True)
class Workflow:
    """One file that could be read without errors."""

    path: str
    name: str  # the path where the file gives none
    run_name: str | None  # a template
    triggers: dict[str, Trigger]
    env: dict[str, Any]
    defaults: dict[str, Any]
    permissions: dict[str, str] | None
    concurrency: Any  # None, a template, or a mapping with `group`
    jobs: dict[str, Job]  # in the order of the file

    def ancestors(self, key: str) -> set[str]:
        """All jobs that must be over before this one, not only its direct `needs`."""
        found: set[str] = set()
        open_ = list(self.jobs[key].needs)
        while open_:
            if (name := open_.pop()) not in found:
                found.add(name)
                open_ += self.jobs[name].needs
        return found


@dataclass(frozen=True, slots=True)
class Parsed:
    """What reading gave: the workflow unless there are errors, and everything there is to say."""

    workflow: Workflow | None
    diagnostics: tuple[Diagnostic, ...] = ()


@dataclass(frozen=True, slots=True)
class Event:
    """What happened. `payload` is what `github.event` shows.

    `ref` is the full ref (`refs/heads/main`, `refs/tags/v1`, `refs/pull/7/merge`). `paths` are the files
    that changed, None where that is unknown (new branch, too many), in which case path filters let it pass.
    For `schedule`, `payload["schedule"]` is the cron line.
    """

    name: str
    ref: str
    payload: dict[str, Any] = field(default_factory=dict)
    paths: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether an event starts a workflow, and why (not), in one sentence."""

    triggered: bool
    reason: str

    def __bool__(self) -> bool:
        return self.triggered


@dataclass(frozen=True, slots=True)
class Concurrency:
    """An evaluated concurrency group. `queue` is "single" (a newer waiter replaces the older) or "max"."""

    group: str
    cancel_in_progress: bool = False
    queue: str = "single"


@dataclass(frozen=True, slots=True)
class Environment:
    """An evaluated deployment environment. `url` is still a template: it may use the steps' outputs."""

    name: str
    url: str = ""
    deployment: bool = True


@dataclass(frozen=True, slots=True)
class PlannedJob:
    """One job that may start: a single leg of the matrix, everything evaluated that must be before it runs.

    `key` is unique in the run and safe in file names: `test`, or `test~2` for the second leg. `job` is the
    key in the file. `definition`, `env` and `contexts` go into `JobSpec` unchanged; `contexts` holds
    github, needs, strategy, matrix, inputs, vars.
    """

    key: str
    job: str
    name: str
    definition: dict[str, Any]
    env: list[dict[str, Any]]
    contexts: dict[str, Any]
    permissions: dict[str, str]
    matrix: dict[str, Any] | None = None
    index: int = 0
    total: int = 1
    fail_fast: bool = True
    max_parallel: int | None = None
    runs_on: tuple[str, ...] = ()
    runner_group: str = ""
    timeout_minutes: float = 360.0
    cancel_timeout_minutes: float = 5.0
    continue_on_error: bool = False
    concurrency: Concurrency | None = None
    inner_concurrency: Concurrency | None = None  # of the workflow that it calls, held beside its own
    environment: Environment | None = None
    uses: str | None = None
    inputs: dict[str, Any] = field(default_factory=dict)  # `with` of a reusable workflow


@dataclass(frozen=True, slots=True)
class JobResult:
    """How a job (all its legs together) ended, as the `needs` context shows it."""

    result: str  # success | failure | cancelled | skipped
    outputs: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ready:
    """The job may start: one `PlannedJob` for each leg of its matrix."""

    jobs: tuple[PlannedJob, ...]


@dataclass(frozen=True, slots=True)
class Waiting:
    """The job waits for the named jobs."""

    reason: str
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Skipped:
    """The job is not to run; record it with result `skipped`."""

    reason: str


@dataclass(frozen=True, slots=True)
class Invalid:
    """The job cannot be planned: an expression failed, the matrix is empty. Record it as `failure`."""

    reason: str
    diagnostics: tuple[Diagnostic, ...] = ()


JobDecision = Ready | Waiting | Skipped | Invalid


@dataclass(frozen=True, slots=True)
class Action:
    """An `action.yml`. `runs` is plain data as in the file; steps of a composite are shaped as a job's."""

    path: str
    name: str
    description: str
    inputs: dict[str, Input]
    outputs: dict[str, str]  # name -> template (composite) or "" (set by the action)
    using: str  # composite | node12 | node16 | node20 | node24 | docker
    runs: dict[str, Any]
    env: dict[str, Any] = field(default_factory=dict)
