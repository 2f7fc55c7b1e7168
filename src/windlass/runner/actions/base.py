"""What an action is, and what it is given: one interface for those built in and those from a repository."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

from windlass.runner.errors import CancelledError, StepError, TimedOutError
from windlass.runner.jobapi import JobApi
from windlass.runner.step import Result, StepRun

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence
    from pathlib import Path

    from windlass.runner.state import JobState
    from windlass.runner.supervise import Feed
    from windlass.workflow.expressions import Scope

T = TypeVar("T")
_OUTPUT_LIMIT = 8 << 20
_TRUE = frozenset({"true", "True", "TRUE"})
_FALSE = frozenset({"false", "False", "FALSE"})


@dataclass(frozen=True, slots=True)
class Input:
    """One input of an action, and what becomes of it here.

    `honour` is "yes"; "warn" where leaving it out does not change the result; "error" where it would. `fine`
    are values besides the default for which there is nothing to say.
    """

    name: str
    about: str = ""
    default: str = ""
    required: bool = False
    honour: Literal["yes", "warn", "error"] = "yes"
    fine: tuple[str, ...] = ()


class Action(Protocol):
    """Something that `uses:` can name.

    `main` does the step; `post`, if `has_post`, is run after all steps, in reverse order, whatever happened.
    Both raise `StepError` to fail with a reason. One instance serves all jobs: what a step must remember goes
    through `ActionRun.memory`.
    """

    @property
    def names(self) -> tuple[str, ...]:
        """`owner/repository`, as `uses:` has it before the `@`."""

    @property
    def about(self) -> str:
        """One sentence."""

    @property
    def inputs(self) -> tuple[Input, ...]:
        """All inputs that the original has."""

    @property
    def outputs(self) -> Mapping[str, str]:
        """Outputs with what they mean."""

    @property
    def has_post(self) -> bool:
        """Whether there is a post step."""

    @property
    def in_process(self) -> bool:
        """Whether it runs in the runner's own process, where only an exception can end it."""

    def condition(self, stage: Literal["pre", "post"]) -> str:
        """Return the condition of the pre or post step."""

    def defaults(self, state: JobState, scope: Scope) -> dict[str, str]:
        """Return the values of inputs that are not given, evaluated. Raises `ExpressionError`."""

    def pre(self, run: ActionRun) -> None:
        """Do what is to be done before the job's first step; called only where `Library.has_pre` says so."""

    def main(self, run: ActionRun) -> None:
        """Do the step."""

    def post(self, run: ActionRun) -> None:
        """Clean up after the job's last step."""


class BuiltIn:
    """Defaults for the actions in this package."""

    names: tuple[str, ...] = ()
    about = ""
    inputs: tuple[Input, ...] = ()
    outputs: Mapping[str, str] = MappingProxyType({})
    has_post = False
    in_process = True
    heeds = False
    """Whether what its tools print may hold commands: only where they are the job's own, as a `run:` step's are."""

    def condition(self, stage: Literal["pre", "post"]) -> str:  # noqa: ARG002
        """Run whatever happened."""
        return "always()"

    def defaults(self, state: JobState, scope: Scope) -> dict[str, str]:  # noqa: ARG002
        """Return the inputs' defaults; none is an expression."""
        return {spec.name: spec.default for spec in self.inputs}

    def pre(self, run: ActionRun) -> None:
        """Do nothing."""

    def post(self, run: ActionRun) -> None:
        """Do nothing."""


class _Captured:
    """Keeps what a process prints, for the action itself; `log` gets it too."""

    def __init__(self, log: Feed | None = None) -> None:
        self.data = b""
        self._log = log

    def feed(self, chunk: bytes) -> None:
        if len(self.data) < _OUTPUT_LIMIT:
            self.data += chunk
        if self._log is not None:
            self._log.feed(chunk)


class ActionRun:
    """One use of an action in one job: its inputs, and everything it may do.

    What it does to the workspace it does with processes in the job's sandbox, because what lies there was
    put there by the job.
    """

    def __init__(
        self,
        action: Action,
        state: JobState,
        step: StepRun,
        *,
        given: Mapping[str, str],
        defaults: Mapping[str, str],
        env: Mapping[str, str],
        step_id: str,
        step_name: str,
        deadline: float,
        holds: Callable[[], bool],
    ) -> None:
        self.action = action
        self.state = state
        self.step = step
        self.step_id = step_id
        self.step_name = step_name
        self.memory: dict[str, Any] = {}
        self.saved: dict[str, str] = {}
        """What the action itself keeps for its later steps (GITHUB_STATE)."""
        self.env = dict(env)
        around = state.variables()
        self.own = {name: value for name, value in env.items() if around.get(name) != value}
        """What the step itself has under `env:`."""
        self.deadline = deadline
        self._holds = holds
        self.given = dict(given)
        self._given = {name.lower(): value for name, value in given.items()}
        self.inputs = {name: self._given.get(name.lower(), value) for name, value in defaults.items()}

    def renew(self, other: ActionRun) -> None:
        """Take over step, inputs and environment of the main step after the pre step has run."""
        for name in ("step", "env", "own", "deadline", "_holds", "given", "_given", "inputs"):
            setattr(self, name, getattr(other, name))

    # What is asked

    def text(self, name: str) -> str:
        """Return an input without the white space around it."""
        return self.inputs[name].strip()

    def flag(self, name: str) -> bool:
        """Return a boolean input. Raises `StepError` where it is none."""
        value = self.text(name)
        if value not in _TRUE | _FALSE:
            raise StepError(f"input {name}: {value!r} is neither true nor false")
        return value in _TRUE

    def lines(self, name: str) -> list[str]:
        """Return the lines of an input that say something."""
        return [line.strip() for line in self.inputs[name].splitlines() if line.strip()]

    @property
    def github(self) -> dict[str, Any]:
        """The `github` context."""
        return self.state.github

    @property
    def api(self) -> JobApi:
        """The server's API for jobs."""
        return JobApi(self.state.spec.server_url, self.state.token)

    # What is told

    def say(self, text: str) -> None:
        """Log lines."""
        self.step.say(text)

    def warning(self, text: str) -> None:
        """Log and annotate a warning."""
        self.step.warning(text)

    def output(self, name: str, value: str) -> None:
        """Set an output."""
        self.step.outputs[name] = value

    def set_env(self, name: str, value: str) -> None:
        """Set a variable for later steps, and for what this action runs from now on."""
        self.state.set_env(name, value)
        self.env[name] = value

    def add_path(self, directory: str) -> None:
        """Put a directory before PATH for later steps."""
        self.state.path.insert(0, directory)

    # What is done

    def run(
        self,
        argv: Sequence[str],
        *,
        cwd: str = "",
        env: Mapping[str, str] | None = None,
        source: bytes = b"",
        check: bool = True,
        quiet: bool = False,
    ) -> int:
        """Run a program in the job's sandbox with its output in the log; return its exit code.

        Raises `StepError` where the code is not 0, unless `check` is off.
        """
        if not quiet:
            self.say(f"[command]{' '.join(argv)}")
        return self._process(argv, self.step.output, cwd, env, source, check=check)

    def capture(
        self, argv: Sequence[str], *, cwd: str = "", env: Mapping[str, str] | None = None, check: bool = True
    ) -> str:
        """Run a program in the job's sandbox and return what it prints."""
        code, text = self.hear(argv, cwd=cwd, env=env, shown=False)
        if check and code != 0:
            raise StepError(f"{argv[0]} ended with exit code {code}: {text.strip()[-2000:]}")
        return text if code == 0 else ""

    def which(self, program: str) -> str:
        """Return where a program is on the PATH of steps, "" where it is not."""
        return self.capture(["sh", "-c", 'command -v -- "$1"', "sh", program], check=False).strip()

    def hear(
        self, argv: Sequence[str], *, cwd: str = "", env: Mapping[str, str] | None = None, shown: bool = True
    ) -> tuple[int, str]:
        """Run a program in the job's sandbox; return its exit code and what it prints, with `shown` in the log too."""
        captured = _Captured(self.step.output if shown else None)
        code = self._process(argv, captured, cwd, env, b"", check=False)
        return code, captured.data.decode(errors="replace")

    def _process(
        self,
        argv: Sequence[str],
        feed: Any,
        cwd: str,
        env: Mapping[str, str] | None,
        source: bytes,
        *,
        check: bool,
    ) -> int:
        state = self.state
        ending = state.supervisor.run(
            list(argv),
            env=state.environment({**self.env, **(env or {})}),
            cwd=cwd or state.paths.workspace.inside,
            feed=feed,
            source=source,
            deadline=self.deadline,
            interruptible=lambda: not self._holds(),
        )
        if ending.reason in {"cancelled", "killed"}:
            raise CancelledError
        if ending.reason == "timed_out":
            raise TimedOutError(f"{argv[0]} took longer than the time that is left for this step.")
        if check and ending.code != 0:
            raise StepError(f"{argv[0]} ended with exit code {ending.code}.")
        return ending.code

    def helper(self, name: str, *arguments: str, check: bool = True) -> Any:
        """Run one of `windlass.runner.inside` in the sandbox; return the JSON that it prints last."""
        import os
        import sys
        from pathlib import Path

        script = str(Path(__file__).resolve().parent.parent / "inside" / f"{name}.py")
        captured = _Captured()
        code = self._process(
            [os.path.realpath(sys.executable), "-I", "-S", script, *arguments],
            captured,
            "",
            None,
            b"",
            check=False,
        )
        *log, last = captured.data.decode(errors="replace").rstrip("\n").split("\n")
        if log:
            self.say("\n".join(log))
        try:
            answer = json.loads(last)
        except ValueError:
            raise StepError(f"{name}: {last[-2000:]}") from None
        if check and code != 0:
            raise StepError(str(answer.get("error", answer) if isinstance(answer, dict) else answer))
        return answer

    def wait_for(self, work: Coroutine[Any, Any, T]) -> T:
        """Run asynchronous work to its end, outside of the sandbox; cancelled when the step is."""
        return asyncio.run(work)

    def host_path(self, path: str) -> Path:
        """Return where a path that the workflow names is on this machine; `PathError` outside of the job's."""
        return self.state.paths.to_host(path)

    # The frame

    def act(self, stage: Literal["pre", "main", "post"]) -> Result:
        """Run one of the action's steps so that cancellation and timeout end it."""
        if stage == "main":
            self._check_inputs()
        if not self.action.in_process:  # what it starts is watched over by the supervisor
            self._step(stage)
            return Result("success", "success")
        output, heeded = self.step.output, self.step.output.heeds
        output.heeds = heeded and (not isinstance(self.action, BuiltIn) or self.action.heeds)
        try:
            return self._act_in_process(stage)
        finally:
            output.finish()
            output.heeds = heeded

    def _act_in_process(self, stage: Literal["pre", "main", "post"]) -> Result:
        control = self.state.control
        control.stop = self._stopper(post=stage == "post")
        left = min(self.deadline, control.deadline) - time.monotonic()
        if left != float("inf"):
            control.arm(left)
        try:
            self._step(stage)
        finally:
            control.stop = None
            control.disarm()
        return Result("success", "success")

    def _step(self, stage: Literal["pre", "main", "post"]) -> None:
        {"pre": self.action.pre, "main": self.action.main, "post": self.action.post}[stage](self)

    def prepare_post(self, step: StepRun) -> None:
        """Let the post step speak under its own number, without the time limit and the condition of the first."""
        self.step = step
        self.deadline = float("inf")
        self._holds = lambda: True

    def _stopper(self, *, post: bool) -> Callable[[], BaseException | None]:
        def stop() -> BaseException | None:
            spared = not self.state.control.killed and (post or self._holds())
            return None if spared else CancelledError()

        return stop

    def _check_inputs(self) -> None:
        known = {spec.name.lower(): spec for spec in self.action.inputs}
        if unknown := sorted(self._given.keys() - known.keys()):
            self.warning(
                f"Unexpected input(s) {', '.join(map(repr, unknown))}, valid inputs are "
                f"{', '.join(spec.name for spec in self.action.inputs)}"
            )
        for spec in self.action.inputs:
            value = self._given.get(spec.name.lower(), spec.default).strip()
            if spec.required and not value:
                raise StepError(f"Input required and not supplied: {spec.name}")
            if spec.honour == "yes" or value in {"", spec.default.strip(), *spec.fine}:
                continue
            if spec.honour == "error":
                raise StepError(f"input {spec.name}: {value!r} cannot be honoured here: {spec.about}")
            self.warning(f"input {spec.name} has no effect here: {spec.about}")
