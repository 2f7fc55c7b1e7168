"""Composite actions: steps within a step, with inputs, outputs, status and conditions of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from windlass.runner.actions.library import DEPTH
from windlass.runner.actions.repository import RepositoryAction
from windlass.runner.errors import CancelledError, RunnerError, StepError
from windlass.runner.state import Frame
from windlass.runner.step import InnerStep
from windlass.workflow.expressions import ExpressionError

if TYPE_CHECKING:
    from windlass.runner.actions.base import ActionRun
    from windlass.runner.state import JobState


class Composite(RepositoryAction):
    """`using: composite`."""

    @property
    def has_pre(self) -> bool:
        """Never: what its steps' actions have to do before, they do when their turn comes."""
        return False

    @property
    def has_post(self) -> bool:
        """Never: its steps' actions have their own."""
        return False

    @property
    def steps(self) -> list[dict[str, Any]]:
        """The steps as the file has them."""
        return self.definition.runs.get("steps") or []

    def uses(self) -> list[str]:
        """Return the actions that its steps use."""
        return [str(step["uses"]) for step in self.steps if step.get("uses")]

    def main(self, run: ActionRun) -> None:
        """Run the steps; fail where one of them does, after those that are to run all the same."""
        self.notice(run)
        state = self._state(run)
        try:
            ended = self._run(state, run)
        finally:
            self._outputs(state, run)
        if state.status == "cancelled":
            raise CancelledError("The operation was cancelled.")
        if ended:
            raise StepError(ended)

    def _state(self, run: ActionRun) -> JobState:
        depth = run.state.frame.depth + 1 if run.state.frame else 1
        if depth > DEPTH:
            raise RunnerError(f"{self.source.uses}: actions are nested deeper than {DEPTH}")
        frame = Frame(run.state, self.source, dict(run.inputs), dict(run.own), run.deadline, depth)
        frame.env = {**(run.state.frame.env if run.state.frame else {}), **frame.env}
        return run.state.within(frame, {**self.github(run), "action_status": "success"})

    def _run(self, state: JobState, run: ActionRun) -> str:
        """Return why it failed, "" where it did not."""
        from windlass.runner.execute import execute, plan, step_name

        reason = ""
        for index, data in enumerate(self.steps):
            planned = plan(index, data)
            name = step_name(state, planned)
            result = execute(state, planned, InnerStep(state, run.step.number, name, parent=run.step))
            state.control.note_time()
            if result.conclusion == "failure" and not state.failed:
                state.failed = True
                reason = f"The step '{name}' of {self.source.uses} failed: {result.reason}"
            state.github["action_status"] = state.status
        return reason

    def _outputs(self, state: JobState, run: ActionRun) -> None:
        scope = state.scope()
        for name, template in self.definition.outputs.items():
            try:
                run.output(name, state.text(template, scope))
            except ExpressionError as error:
                run.warning(f"The output {name} cannot be evaluated: {error}")
