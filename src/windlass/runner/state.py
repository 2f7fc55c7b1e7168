"""What is true of a job while it runs, and the expressions evaluated against it."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from windlass.runner.globs import hash_files
from windlass.runner.supervise import Supervisor
from windlass.workflow.expressions import Scope, condition, interpolate, resolve, status_functions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from windlass.runner.actions.base import ActionRun
    from windlass.runner.actions.library import Library, Source
    from windlass.runner.events import Sink
    from windlass.runner.filecommands import FileSets
    from windlass.runner.masks import Masker
    from windlass.runner.matchers import Matcher
    from windlass.runner.paths import Paths
    from windlass.runner.sandbox import Sandbox
    from windlass.runner.supervise import Control
    from windlass.workflow.jobs import JobSpec

CONTEXTS = (
    "github",
    "env",
    "vars",
    "job",
    "steps",
    "runner",
    "secrets",
    "strategy",
    "matrix",
    "needs",
    "inputs",
)


IN_ACTIONS = ("github", "strategy", "matrix", "job", "runner")
"""The contexts of the job that the steps of a composite action see as well."""


@dataclass
class Frame:
    """The composite action that steps run in, and the step that uses it."""

    caller: JobState
    source: Source
    inputs: dict[str, str]
    env: dict[str, str]
    """What the step that uses it has under `env:`; a step inside may override it through GITHUB_ENV."""
    deadline: float
    depth: int


@dataclass
class JobState:
    """One running job. Changed only by the steps' code, in one thread: a step in the background has its own."""

    spec: JobSpec
    token: str
    secrets: dict[str, str]
    paths: Paths
    sink: Sink
    masker: Masker
    control: Control
    supervisor: Supervisor
    github: dict[str, Any]
    runner: dict[str, str]
    base: dict[str, str]
    files: FileSets
    env: dict[str, str] = field(default_factory=dict)
    """What the workflow and the job set under `env:`, and what steps wrote to GITHUB_ENV."""
    path: list[str] = field(default_factory=list)
    """What steps wrote to GITHUB_PATH, first what counts first."""
    steps: dict[str, dict[str, Any]] = field(default_factory=dict)
    matchers: dict[str, Matcher] = field(default_factory=dict)
    posts: list[ActionRun] = field(default_factory=list)
    """Actions with a post step, in the order of their main steps."""
    prepared: dict[str, ActionRun] = field(default_factory=dict)
    """Actions whose pre step has run, by the step's id."""
    failed: bool = False
    debug: bool = False
    job: dict[str, Any] = field(default_factory=dict)
    """What the `job` context tells of containers."""
    contained: Sandbox | None = None
    """Where `run:` steps run instead of the sandbox, in a job with a container."""
    contained_base: dict[str, str] = field(default_factory=dict)
    network: str = ""
    """The engine's network for the job's containers, "" where it has none of its own."""
    frame: Frame | None = None
    """Set in the state that the steps of a composite action run against."""
    _library: Library | None = None

    @property
    def status(self) -> str:
        """`success`, `failure` or `cancelled`, as the status functions see it."""
        if self.control.cancelled or self.control.timed_out:
            return "cancelled"
        return "failure" if self.failed else "success"

    @property
    def library(self) -> Library:
        """What finds actions for this job."""
        from windlass.runner.actions.library import Library

        if self._library is None:
            self._library = Library(self)
        return self._library

    def within(self, frame: Frame, github: Mapping[str, Any]) -> JobState:
        """Return the state for the steps of a composite action: steps and status of its own, all else shared."""
        made = replace(self, steps={}, prepared={}, failed=False, frame=frame, github=dict(github))
        made._library = self.library  # noqa: SLF001 - the same class
        return made

    def beside(self, control: Control) -> JobState:
        """Return the state for a step in the background: what is true now, and nothing that it does is seen here."""
        made = replace(
            self,
            env=dict(self.env),
            path=list(self.path),
            steps=dict(self.steps),
            matchers={owner: copy(matcher) for owner, matcher in self.matchers.items()},
            posts=[],
            control=control,
            supervisor=Supervisor(self.supervisor.sandbox, control),
        )
        made._library = copy(self.library)  # noqa: SLF001 - the same class; it keeps what it has fetched
        made._library._state = made  # noqa: SLF001 - and runs its processes as this step's
        return made

    def take(self, step: str, other: JobState, before: JobState) -> None:
        """Take over what a step in the background did, which began with `before` and ended with `other`."""
        self.steps[step] = other.steps[step]
        for name, value in other.env.items():
            if before.env.get(name) != value:
                self.set_env(name, value)
        self.path[:0] = other.path[: len(other.path) - len(before.path)]
        for owner in other.matchers.keys() - before.matchers.keys():
            self.matchers[owner] = other.matchers[owner]
        for owner in before.matchers.keys() - other.matchers.keys():
            self.matchers.pop(owner, None)
        self.posts += other.posts
        for action in self.posts:
            if action.state is other:
                action.state = self
        self.supervisor.take_over(other.supervisor)

    def variables(self) -> dict[str, str]:
        """Return the `env` context of the next step, before its own `env:`."""
        return {**self.env, **self.frame.env} if self.frame else dict(self.env)

    def set_env(self, name: str, value: str) -> None:
        """Set a variable for all later steps, whatever the steps around this one say."""
        self.env[name] = value
        frame = self.frame
        while frame is not None:
            frame.env.pop(name, None)
            frame = frame.caller.frame

    def action_variables(self) -> dict[str, str]:
        """Return the variables that say to which action a step of a composite belongs."""
        names = ("action_path", "action_repository", "action_ref")
        return {f"GITHUB_{name.upper()}": str(self.github.get(name) or "") for name in names if self.frame}

    def scope(self, env: Mapping[str, str] | None = None, github: Mapping[str, Any] | None = None) -> Scope:
        """Return what expressions of a step see. `env` and `github` stand in for the job's."""
        given = self.spec.contexts
        token = self.secrets.get("GITHUB_TOKEN", self.token)  # a person's own, where there is no server
        contexts: dict[str, Any] = {name: given.get(name) or {} for name in CONTEXTS}
        contexts |= {
            "github": github if github is not None else self.github,
            "env": dict(env) if env is not None else self.variables(),
            "job": {"status": self._job_status(), **(given.get("job") or {}), **self.job},
            "steps": self._named_steps(),
            "runner": self.runner,
            "secrets": {**self.secrets, "GITHUB_TOKEN": token, "github_token": token},
        }
        if self.frame is not None:
            own = {name: contexts[name] for name in ("env", "steps")} | {"inputs": self.frame.inputs}
            contexts = {name: contexts[name] for name in IN_ACTIONS} | own
        root = self.paths.workspace.host
        functions = {
            **status_functions(self.status),
            "hashFiles": lambda *patterns: hash_files(root, map(str, patterns)),
        }
        return Scope(contexts, functions)

    def _named_steps(self) -> dict[str, dict[str, Any]]:
        """Return the `steps` context: as on GitHub, a step to which the file gives no `id` is not in it."""
        return {name: step for name, step in self.steps.items() if not name.startswith("__")}

    def _job_status(self) -> str:
        return self.frame.caller._job_status() if self.frame else self.status  # noqa: SLF001 - the same class

    def environment(self, env: Mapping[str, str], *, contained: bool = False) -> dict[str, str]:
        """Return the variables of a process: the machine's or the container's, then the workflow's."""
        base = self.contained_base if contained else self.base
        merged = {**base, **env}
        merged["PATH"] = ":".join([*self.path, env.get("PATH") or base["PATH"]])
        return merged

    def text(self, template: Any, scope: Scope) -> str:
        """Return a value of the workflow file as text, its expressions evaluated. Raises `ExpressionError`."""
        return interpolate(template, scope) if isinstance(template, str) else plain(template)

    def mapping(self, given: Any, scope: Scope) -> dict[str, str]:
        """Return a map of the workflow file (`env`, `with`), or an expression that makes one, as texts."""
        found = resolve(given, scope) if given else {}
        return {str(key): plain(value) for key, value in found.items()} if isinstance(found, dict) else {}


def plain(value: Any) -> str:
    """Return a value of the workflow file as GitHub writes it into an environment or an input."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


__all__ = ["JobState", "condition", "plain"]
