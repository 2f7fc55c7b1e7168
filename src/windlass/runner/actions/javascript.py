"""JavaScript actions: pre, main and post by node, in the job's sandbox."""

from __future__ import annotations

from typing import TYPE_CHECKING

from windlass.runner.actions.node import node_for_action
from windlass.runner.actions.repository import RepositoryAction
from windlass.runner.actions.toolkit import under_alias
from windlass.runner.errors import StepError

if TYPE_CHECKING:
    from windlass.runner.actions.base import ActionRun


class JavaScript(RepositoryAction):
    """`using: node16`, `node20`, `node24`: all the same node here, as newer ones run what older ones do."""

    @property
    def major(self) -> int:
        """The version of node that it is written for."""
        digits = self.definition.using.removeprefix("node")
        return int(digits) if digits.isdecimal() else 0

    def pre(self, run: ActionRun) -> None:
        """Run `pre`."""
        self._run(run, "pre")

    def main(self, run: ActionRun) -> None:
        """Run `main`."""
        self.notice(run)
        self._run(run, "main")

    def post(self, run: ActionRun) -> None:
        """Run `post`."""
        self._run(run, "post")

    def _run(self, run: ActionRun, stage: str) -> None:
        program = node_for_action(run, self.major)
        env = self.variables(run)
        code = run.run(
            [program, f"{self.source.directory}/{self.part(stage)}"],
            env={**env, **under_alias(run.state.spec, env)},
            check=False,
            quiet=True,
        )
        run.step.output.finish()
        if code != 0:
            raise StepError(f"{self.source.uses} ended with exit code {code}.")
