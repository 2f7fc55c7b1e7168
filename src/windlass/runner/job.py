"""One job from its first event to its last: set-up, steps, post steps, outputs."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from windlass.runner import environment
from windlass.runner.actions.toolkit import identity_variables
from windlass.runner.background import Background, plan_all
from windlass.runner.errors import RunnerError
from windlass.runner.execute import Planned, concluded, execute, execute_post, execute_pre, step_name
from windlass.runner.filecommands import FileSets
from windlass.runner.hold import hold
from windlass.runner.masks import Masker
from windlass.runner.paths import EVENT, OWN
from windlass.runner.place import tracking
from windlass.runner.state import JobState, plain
from windlass.runner.step import Result, StepRun
from windlass.runner.supervise import Supervisor
from windlass.workflow.expressions import ExpressionError

if TYPE_CHECKING:
    from windlass.runner.events import Sink
    from windlass.runner.paths import Paths
    from windlass.runner.place import Place
    from windlass.runner.services import Surroundings
    from windlass.runner.supervise import Control
    from windlass.workflow.jobs import JobSecrets, JobSpec

_DEFAULT_MINUTES = 360.0
_DEFAULT_GRACE_MINUTES = 5.0
_OUTPUT_LIMIT = 1024 * 1024


@dataclass(frozen=True, slots=True)
class JobEnd:
    """How the job ended. `reason` is "" for a success."""

    conclusion: str
    outputs: dict[str, str]
    reason: str = ""


class Job:
    """Runs one job. `spec`, secrets and sink are all it knows of the world: there may be no server."""

    def __init__(
        self, spec: JobSpec, secrets: JobSecrets, sink: Sink, control: Control, place: Place
    ) -> None:
        self._spec = spec
        self._sink = sink
        self._control = control
        self._paths = place.paths
        self._sandbox = place.sandbox
        self._state = _state(spec, secrets, place, Supervisor(self._sandbox, control), sink)
        self._background = Background(self._state, lambda state, name, line: self._next(name, line, state))
        self._number = 0
        self._opened: list[StepRun] = []
        self._reason = ""
        self._surroundings: Surroundings | None = None

    def run(self) -> JobEnd:
        """Run every step that is due and return how the job ended; the last event is the caller's."""
        try:
            planned = self._start_containers(self._set_up())
            for step in planned:
                if self._state.library.has_pre(step):
                    run = self._next(f"Pre {step_name(self._state, step)}", step.line)
                    self._take(execute_pre(self._state, step, run))
            for step in planned:
                self._step(step)
            self._wait_for_the_rest()
            for action in reversed(self._state.posts):
                run = self._next(f"Post {action.step_name}", 0)
                self._take(execute_post(self._state, action, run))
            self._stop_containers()
            return self._complete()
        finally:
            if self._surroundings:
                self._surroundings.stop(None)
            self._state.supervisor.close()
            for run in self._opened:
                run.close()

    def _step(self, step: Planned) -> None:
        name = step_name(self._state, step)
        if step.background:
            self._background.start(step, name)
            self._control.note_time()
        elif step.kind:
            run = self._next(name, step.line)
            try:
                result = concluded(self._state, step, self._background.obey(step, run))
            except ExpressionError as error:
                result = Result("failure", "failure", str(error))
            self._take(run.finish(result))
        else:
            result = execute(self._state, step, self._next(name, step.line))
            self._take(result)
            if result.outcome == "failure":
                hold(self._state, step)

    def _wait_for_the_rest(self) -> None:
        """Wait for what nobody has waited for; then all that ran in the background counts for the job."""
        if self._background.left():
            step = Planned("", "Wait for all background steps", 0, kind="wait-all")
            run = self._next(step.name, 0)
            self._take(run.finish(self._background.obey(step, run)))
        for result in self._background.results():
            self._take(result)

    def clean(self) -> None:
        """Delete what only the running job needed; its events and logs stay, and are made durable."""
        self._sandbox.wait()
        for run in self._opened:
            run.keep()
        root = Path(self._spec.directory)
        for name in (*OWN, "tmp", "volumes", "auth"):
            shutil.rmtree(root / name, ignore_errors=True)

    def _next(self, name: str, line: int, state: JobState | None = None) -> StepRun:
        run = StepRun(state or self._state, self._number, name, line)
        self._number += 1
        self._opened.append(run)
        return run

    def _take(self, result: Result) -> None:
        """Take a step's result into the job's, and see to it that an end, once asked for, comes."""
        if result.conclusion == "failure" and not self._state.failed:
            self._state.failed = True
            self._reason = self._reason or result.reason
        self._control.note_time()

    def _set_up(self) -> list[Planned]:
        run = self._next("Set up job", 0)
        try:
            planned = self._plan(run)
        except (RunnerError, ExpressionError) as error:
            ended = "cancelled" if self._control.cancelled else "failure"
            self._take(run.finish(Result(ended, ended, str(error))))
            return []
        run.finish(Result("success", "success"))
        return planned

    def _plan(self, run: StepRun) -> list[Planned]:
        spec, state = self._spec, self._state
        run.say(f"Windlass runner, job {spec.id}: {spec.name}")
        run.say(f"Isolation: {_explained(self._sandbox.name)}")
        run.say(f"{spec.repository} at {spec.sha} ({spec.ref}), from {spec.workflow_file}")
        for name, place in (("Workspace", self._paths.workspace), ("Tool caches", self._paths.tools)):
            run.say(f"{name}: {place.inside}")
        _write_event(self._paths, state.github.get("event"))
        for layer in spec.env:
            state.env |= state.mapping(layer, state.scope())
        self._control.grace = 60 * self._minutes("cancel-timeout-minutes", _DEFAULT_GRACE_MINUTES)
        if not self._control.cancelled:
            self._control.deadline = time.monotonic() + 60 * self._minutes(
                "timeout-minutes", _DEFAULT_MINUTES
            )
        planned = plan_all(spec.definition.get("steps") or [])
        for step in planned:
            if step.uses:
                self._state.library.prepare(step.uses, run)
        return planned

    def _start_containers(self, planned: list[Planned]) -> list[Planned]:
        """Start what `container:` and `services:` ask for; without it, no step of the job makes sense."""
        definition = self._spec.definition
        if self._state.failed or not (definition.get("container") or definition.get("services")):
            return planned
        from windlass.runner.services import Surroundings

        run = self._next("Initialize containers", 0)
        try:
            self._surroundings = Surroundings(self._state)
            if self._surroundings:
                self._surroundings.start(run)
        except (RunnerError, ExpressionError) as error:
            self._control.note_time()
            ended = "cancelled" if self._state.status == "cancelled" else "failure"
            self._take(run.finish(Result(ended, ended, str(error))))
            return []
        run.finish(Result("success", "success"))
        return planned

    def _stop_containers(self) -> None:
        if not self._surroundings:
            return
        run = self._next("Stop containers", 0)
        self._surroundings.stop(run)
        run.finish(Result("success", "success"))

    def _minutes(self, key: str, default: float) -> float:
        given = self._spec.definition.get(key)
        if given is None:
            return default
        text = self._state.text(given, self._state.scope())
        try:
            return float(text)
        except ValueError:
            raise RunnerError(f"{key}: {text!r} is not a number of minutes") from None

    def _complete(self) -> JobEnd:
        run = self._next("Complete job", 0)
        outputs = self._outputs(run)
        self._tell_address(run)
        self._state.supervisor.close()
        conclusion = self._conclusion()
        run.say(f"Job finished: {conclusion}")
        run.finish(Result("success", "success"))
        return JobEnd(conclusion, outputs, self._state.masker.mask_text(self._why(conclusion)))

    def _conclusion(self) -> str:
        if self._control.timed_out:
            return "timed_out"
        return {"success": "success", "failure": "failure"}.get(self._state.status, "cancelled")

    def _why(self, conclusion: str) -> str:
        if conclusion == "timed_out":
            minutes = plain(self._spec.definition.get("timeout-minutes") or _DEFAULT_MINUTES)
            return f"the job took longer than its {minutes} minutes"
        return {"cancelled": "the job was cancelled", "failure": self._reason}.get(conclusion, "")

    def _outputs(self, run: StepRun) -> dict[str, str]:
        made: dict[str, str] = {}
        scope = self._state.scope()
        for name, template in (self._spec.definition.get("outputs") or {}).items():
            try:
                value = self._state.text(template, scope)
            except ExpressionError as error:
                run.warning(f"The output {name} cannot be evaluated: {error}")
                continue
            if self._state.masker.hides(value):
                run.warning(f"The output {name} is withheld: it may hold a secret.")
            elif sum(map(len, made.values())) + len(value) > _OUTPUT_LIMIT:
                run.warning(
                    f"The output {name} is withheld: the job's outputs are more than {_OUTPUT_LIMIT} bytes."
                )
            elif value:
                made[name] = value
        return made

    def _tell_address(self, run: StepRun) -> None:
        """Evaluate the environment's `url`, which may name what steps have put out."""
        given = self._spec.definition.get("environment")
        template = given.get("url") if isinstance(given, dict) else None
        if not template:
            return
        try:
            url = self._state.masker.mask_text(self._state.text(template, self._state.scope()))
        except ExpressionError as error:
            run.warning(f"environment.url cannot be evaluated: {error}")
            return
        if url:
            self._sink.emit("environment", url=url)


def _state(spec: JobSpec, secrets: JobSecrets, place: Place, supervisor: Supervisor, sink: Sink) -> JobState:
    paths = place.paths
    debug = any(
        str(source.get(name, "")).lower() == "true"
        for source in (secrets.secrets, spec.contexts.get("vars") or {})
        for name in ("ACTIONS_STEP_DEBUG", "RUNNER_DEBUG")
    )
    isolated = supervisor.sandbox.name == "bubblewrap"
    runner = environment.runner_context(paths, debug=debug)
    github = environment.github_context(spec, secrets.secrets.get("GITHUB_TOKEN", secrets.token), paths)
    interpreter = os.path.dirname(os.path.realpath(sys.executable)) if isolated else ""  # noqa: PTH120
    base = environment.base(os.environ, paths, isolated=isolated, interpreter=interpreter)
    base |= environment.github_variables(github) | environment.runner_variables(runner, tracking(spec))
    base |= identity_variables(spec, secrets.token)
    known = environment.credentials_in(dict(enumerate(place.settings)))
    return JobState(
        spec=spec,
        token=secrets.token,
        secrets=dict(secrets.secrets),
        paths=paths,
        sink=sink,
        masker=Masker([*secrets.secrets.values(), secrets.token, *environment.credentials_in(base), *known]),
        control=supervisor.control,
        supervisor=supervisor,
        github=github,
        runner=runner,
        base=base,
        files=FileSets(paths.files.host),
        debug=debug,
    )


def _write_event(paths: Paths, event: Any) -> None:
    (paths.temp.host / EVENT / "event.json").write_text(json.dumps(event or {}, ensure_ascii=False), "utf-8")


def _explained(name: str) -> str:
    if name == "host":
        return "none; steps run as the server's user on this machine (isolation: host)"
    return f"{name} (own processes, /tmp and home; the system read-only; the machine's network)"
