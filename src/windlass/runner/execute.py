"""Run one step of the workflow file: its condition, its environment, and what it says to do."""

from __future__ import annotations

import errno
import os
import secrets as random
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from windlass.runner import shells
from windlass.runner.actions.base import ActionRun
from windlass.runner.errors import (
    CancelledError,
    FileCommandError,
    PathError,
    RunnerError,
    SandboxError,
    StepError,
    TimedOutError,
)
from windlass.runner.state import condition
from windlass.runner.step import Result, StepRun
from windlass.workflow.expressions import ExpressionError

if TYPE_CHECKING:
    from windlass.runner.state import JobState
    from windlass.runner.supervise import Ending


@dataclass(frozen=True, slots=True)
class Planned:
    """A step as the workflow file has it, expressions and all."""

    id: str
    name: str
    line: int
    uses: str = ""
    run: str = ""
    data: dict[str, Any] = field(default_factory=dict)
    background: bool = False
    kind: str = ""
    """`wait`, `wait-all` or `cancel`, for a step that is about those in the background."""
    targets: tuple[str, ...] = ()
    """Of such a step, the `key` of the steps that it is about."""
    key: str = ""
    """What tells the step from all others of its job, which may have the same `id`."""


@dataclass
class _Attempt:
    """A step on its way: what `execute` hands down."""

    state: JobState
    step: Planned
    run: StepRun
    env: dict[str, str]
    deadline: float

    def holds(self) -> bool:
        """Return whether the step's condition still holds, now that the job is cancelled."""
        return condition(self.step.data.get("if") or "success()", self.state.scope(self.env))


def plan(index: int, step: dict[str, Any]) -> Planned:
    """Return a step as it is to be run. Raises `RunnerError` for what is neither `run` nor `uses`."""
    for key in ("wait", "wait-all", "cancel", "parallel"):
        if step.get(key):
            raise RunnerError(f"step {index + 1}: `{key}` cannot stand here; the job cannot run as written")
    uses, run = str(step.get("uses") or ""), str(step.get("run") or "")
    first = next((line.strip() for line in run.splitlines() if line.strip()), "")
    return Planned(
        id=str(step.get("id") or f"__{index}"),
        name=str(step.get("name") or f"Run {uses or first}"),
        line=int(step.get("line") or 0),
        uses=uses,
        run=run,
        data=step,
        key=f"s{index}",
    )


def execute(state: JobState, step: Planned, run: StepRun) -> Result:
    """Run the step if its condition holds, record it in the `steps` context, and return how it ended."""
    result = run.finish(_attempt(state, step, run))
    state.steps[step.id] = {
        "outputs": dict(run.outputs),
        "outcome": result.outcome,
        "conclusion": result.conclusion,
    }
    return result


def concluded(state: JobState, step: Planned, result: Result) -> Result:
    """Apply `continue-on-error`, and record how a step without a process ended."""
    if result.outcome == "failure" and (given := step.data.get("continue-on-error")) is not None:
        text = state.text(given, state.scope())
        conclusion = "success" if text.strip().lower() == "true" else result.outcome
        result = Result(result.outcome, conclusion, result.reason)
    if step.id:
        state.steps[step.id] = {"outputs": {}, "outcome": result.outcome, "conclusion": result.conclusion}
    return result


def step_name(state: JobState, step: Planned) -> str:
    """Return the step's name with its expressions evaluated, as far as they can be: one line, as on GitHub."""
    try:
        name = state.text(step.name, state.scope())
    except ExpressionError:
        name = step.name
    return next(iter(name.strip().splitlines()), "")


def execute_pre(state: JobState, step: Planned, run: StepRun) -> Result:
    """Run the pre step of the action that a step uses, before the job's first step."""
    try:
        env = state.variables() | state.mapping(step.data.get("env"), state.scope())
        attempt = _Attempt(state, step, run, env, float("inf"))
        action = _action(attempt)
        state.prepared[step.id] = action
        if action.action.has_post:
            state.posts.append(action)
        return run.finish(_stage(action, run, "pre"))
    except (ExpressionError, RunnerError) as error:
        return run.finish(Result("failure", "failure", str(error)))


def execute_post(state: JobState, action: ActionRun, run: StepRun) -> Result:
    """Run an action's post step: always, unless its `post-if` says otherwise."""
    action.prepare_post(run)
    if state.control.killed:
        return run.finish(Result("skipped", "skipped"))
    return run.finish(_stage(action, run, "post"))


def _stage(action: ActionRun, run: StepRun, stage: Literal["pre", "post"]) -> Result:
    """Run what an action does before or after the job's steps, on its own condition."""
    state = action.state
    try:
        if not condition(action.action.condition(stage), state.scope({**state.variables(), **action.own})):
            return Result("skipped", "skipped")
    except ExpressionError as error:
        return Result("failure", "failure", f"{stage}-if: {error}")
    result = _guarded(lambda: action.act(stage))
    try:
        run.collect()
    except FileCommandError as error:
        result = Result("failure", "failure", result.reason or str(error))
    action.saved |= run.saved
    return Result(result.outcome, result.outcome, result.reason)


def _attempt(state: JobState, step: Planned, run: StepRun) -> Result:
    try:
        env = state.variables()
        env |= state.mapping(step.data.get("env"), state.scope())
        scope = state.scope(env)
        if state.control.killed or not condition(step.data.get("if") or "success()", scope):
            return Result("skipped", "skipped")
        attempt = _Attempt(state, step, run, env, _deadline(state, step, env))
        result = _guarded(lambda: _run(attempt) if step.run else _use(attempt))
        return _concluded(attempt, result)
    except (ExpressionError, RunnerError) as error:
        return Result("failure", "failure", str(error))


def _guarded(work: Any) -> Result:
    """Turn what a step raises into how it ended."""
    try:
        found: Result = work()
    except CancelledError:
        return Result("cancelled", "cancelled", "The operation was cancelled.")
    except TimedOutError as error:
        return Result("failure", "failure", str(error))
    except (RunnerError, ExpressionError, OSError) as error:
        return Result("failure", "failure", str(error))
    return found


def _deadline(state: JobState, step: Planned, env: dict[str, str]) -> float:
    given = step.data.get("timeout-minutes")
    around = state.frame.deadline if state.frame else float("inf")
    if given is None:
        return around
    text = state.text(given, state.scope(env))
    try:
        return min(around, time.monotonic() + 60 * float(text))
    except ValueError:
        raise StepError(f"timeout-minutes: {text!r} is not a number of minutes") from None


def _concluded(attempt: _Attempt, result: Result) -> Result:
    """Apply what the step wrote, what it was refused, and `continue-on-error`."""
    outcome, reason = result.outcome, result.reason
    try:
        attempt.run.collect()
    except FileCommandError as error:
        outcome, reason = "failure", reason or str(error)
    if attempt.run.refused and outcome == "success":
        outcome, reason = "failure", attempt.run.refused
    conclusion = outcome
    if outcome == "failure" and (given := attempt.step.data.get("continue-on-error")) is not None:
        text = attempt.state.text(given, attempt.state.scope(attempt.env))
        conclusion = "success" if text.strip().lower() == "true" else outcome
    return Result(outcome, conclusion, reason)


def _use(attempt: _Attempt) -> Result:
    state, step = attempt.state, attempt.step
    action = state.prepared.pop(step.id, None)
    if action is None:
        action = _action(attempt)
        if action.action.has_post:
            state.posts.append(action)
    else:
        action.renew(_action(attempt))
        action.state = state
    header = [f"##[group]Run {step.uses}"]
    if action.given:
        header += ["with:", *(f"  {name}: {value}" for name, value in action.given.items())]
    attempt.run.say("\n".join([*header, *_env_lines(attempt.env), "##[endgroup]"]))
    try:
        return action.act("main")
    finally:
        attempt.run.collect()
        action.saved |= attempt.run.saved


def _action(attempt: _Attempt) -> ActionRun:
    """Bring the action that the step uses together with what it is given."""
    state, step, scope = attempt.state, attempt.step, attempt.state.scope(attempt.env)
    given = state.mapping(step.data.get("with"), scope)
    action = state.library.find(step.uses, attempt.run)
    return ActionRun(
        action, state, attempt.run, given=given, defaults=action.defaults(state, scope), env=attempt.env,
        step_id=step.id, step_name=step.name, deadline=attempt.deadline, holds=attempt.holds,
    )  # fmt: skip


def _run(attempt: _Attempt) -> Result:
    state, data = attempt.state, attempt.step.data
    scope = state.scope(attempt.env)
    defaults = ((state.spec.definition.get("defaults") or {}).get("run") or {}) if not state.frame else {}
    text = state.text(attempt.step.run, scope)
    name = state.text(data.get("shell") or defaults.get("shell") or "", scope)
    where = state.text(data.get("working-directory") or defaults.get("working-directory") or "", scope)
    shell = shells.choose(name or ("sh" if state.contained else ""))
    script = _script(state, shell, text)
    directory = os.path.normpath(os.path.join(state.paths.workspace.inside, where))  # noqa: PTH118
    attempt.run.say(_header(text, shell, where, attempt.env))
    ours = {**attempt.run.files(), **state.action_variables(), "GITHUB_ACTION": attempt.step.id}
    argv = shells.argv(shell, script)
    try:
        ending = state.supervisor.run(
            argv,
            env=state.environment({**attempt.env, **ours}, contained=state.contained is not None),
            cwd=directory,
            feed=attempt.run.output,
            deadline=attempt.deadline,
            interruptible=lambda: not attempt.holds(),
            sandbox=state.contained,
        )
    except SandboxError as error:
        raise _not_started(state, error, argv[0], directory) from error
    attempt.run.output.finish()
    return judged(ending, state, attempt.step.name, attempt.step.data.get("timeout-minutes"))


def _not_started(state: JobState, error: SandboxError, program: str, directory: str) -> RunnerError:
    """Say which of the two it is that is not there: the working directory, or the shell."""
    if not str(error).endswith(os.strerror(errno.ENOENT)):
        return error
    try:
        there = state.paths.to_host(directory).is_dir()
    except PathError:  # no directory of the job's own
        return error
    if there:
        return StepError(
            f"the shell {program} is not there: install it on this machine, or use bash, sh or python"
        )
    hint = (
        " (is there an actions/checkout step before it?)"
        if directory.startswith(state.paths.workspace.inside)
        else ""
    )
    return StepError(f"the working directory {directory} is not there{hint}")


def judged(ending: Ending, state: JobState, name: str, minutes: Any) -> Result:
    """Say what the end of a process means for its step."""
    if ending.reason in {"cancelled", "killed"}:
        return Result("cancelled", "cancelled", "The operation was cancelled.")
    if ending.reason == "timed_out":
        if time.monotonic() >= state.control.deadline:
            return Result("cancelled", "cancelled", "The job has exceeded its maximum execution time.")
        return Result("failure", "failure", f"The step '{name}' has timed out after {minutes} minutes.")
    if ending.code == 0:
        return Result("success", "success")
    if ending.code < 0:
        return Result("failure", "failure", f"The process was ended by signal {-ending.code}.")
    return Result("failure", "failure", f"Process completed with exit code {ending.code}.")


def _script(state: JobState, shell: shells.Shell, text: str) -> str:
    """Write the script where the step can read it, under a name that it could not foresee."""
    name = f"{random.token_hex(8)}{shell.ending}"
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(state.paths.temp.host / name, flags, 0o600), "wb") as stream:
        stream.write(shells.script(shell, text).encode("utf-8", "surrogateescape"))
    return f"{state.paths.temp.inside}/{name}"


def _header(text: str, shell: shells.Shell, where: str, env: dict[str, str]) -> str:
    lines = text.rstrip().split("\n")
    first = next((line.strip() for line in lines if line.strip()), "")
    header = [f"##[group]Run {first}", *lines, f"shell: {shell.command}"]
    if where:
        header.append(f"working-directory: {where}")
    return "\n".join([*header, *_env_lines(env), "##[endgroup]"])


def _env_lines(env: dict[str, str]) -> list[str]:
    return ["env:", *(f"  {name}: {value}" for name, value in env.items())] if env else []
