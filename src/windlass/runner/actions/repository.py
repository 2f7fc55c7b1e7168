"""What actions from repositories have in common, whatever they are written in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from windlass.runner.actions import toolkit
from windlass.runner.actions.base import Input
from windlass.runner.state import plain
from windlass.workflow.expressions import interpolate, normalised

if TYPE_CHECKING:
    from windlass.runner.actions.base import ActionRun
    from windlass.runner.actions.library import Source
    from windlass.runner.state import JobState
    from windlass.workflow.expressions import Scope
    from windlass.workflow.model import Action as Definition


class RepositoryAction:
    """An action that an `action.yml` describes. Its inputs are texts; none is enforced, as on GitHub."""

    names: tuple[str, ...] = ()
    in_process = False

    def __init__(self, source: Source, definition: Definition) -> None:
        self.source = source
        self.definition = definition
        self.about = definition.description
        self.inputs = tuple(Input(name, one.description) for name, one in definition.inputs.items())
        self.outputs = dict.fromkeys(definition.outputs, "")

    def part(self, name: str) -> str:
        """Return an entry of `runs`, "" where there is none."""
        return plain(self.definition.runs.get(name))

    @property
    def has_pre(self) -> bool:
        """Whether there is something to do before the job's first step."""
        return bool(self.part("pre"))

    @property
    def has_post(self) -> bool:
        """Whether there is something to do after the job's last step."""
        return bool(self.part("post"))

    def condition(self, stage: Literal["pre", "post"]) -> str:
        """Return `pre-if` or `post-if`: always, by default."""
        given = self.part(f"{stage}-if").strip()
        return normalised(given) if given else "always()"

    def defaults(self, state: JobState, scope: Scope) -> dict[str, str]:  # noqa: ARG002
        """Return the defaults of all inputs, evaluated for the step that uses the action."""
        return {
            name: interpolate(one.default, scope) if isinstance(one.default, str) else plain(one.default)
            for name, one in self.definition.inputs.items()
        }

    def pre(self, run: ActionRun) -> None:
        """Do nothing."""

    def main(self, run: ActionRun) -> None:
        """Do the step."""
        raise NotImplementedError

    def post(self, run: ActionRun) -> None:
        """Do nothing."""

    def notice(self, run: ActionRun) -> None:
        """Say which inputs that were given are on their way out."""
        for name, one in self.definition.inputs.items():
            if one.deprecation and name.lower() in {given.lower() for given in run.given}:
                run.warning(f"Input '{name}' has been deprecated with message: {one.deprecation}")

    def github(self, run: ActionRun) -> dict[str, Any]:
        """Return the `github` context as the action's own steps see it."""
        return {
            **run.state.github,
            "action": run.step_id,
            "action_path": self.source.directory,
            "action_repository": self.source.repository,
            "action_ref": self.source.ref,
        }

    def variables(self, run: ActionRun) -> dict[str, str]:
        """Return what its process finds in its environment: inputs, kept state, files, and what it is."""
        return {
            **run.state.variables(),
            **toolkit.variables(run.state.spec, run.state.token),
            **run.own,
            **input_variables(run),
            **{f"STATE_{name}": value for name, value in run.saved.items()},
            **run.step.files(),
            "GITHUB_ACTION": run.step_id,
            "GITHUB_ACTION_PATH": self.source.directory,
            "GITHUB_ACTION_REPOSITORY": self.source.repository,
            "GITHUB_ACTION_REF": self.source.ref,
        }


def input_variables(run: ActionRun) -> dict[str, str]:
    """Return `INPUT_NAME` for each input, declared or only given."""
    known = {name.lower() for name in run.inputs}
    values = {**run.inputs, **{name: value for name, value in run.given.items() if name.lower() not in known}}
    return {f"INPUT_{name.replace(' ', '_').upper()}": value for name, value in values.items()}
