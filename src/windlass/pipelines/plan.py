"""From an event and the workflow files at its commit to runs. Pure, but for the caches of parsed text."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from windlass.pipelines.context import github_context
from windlass.pipelines.reason import Reason
from windlass.workflow import (
    Concurrency,
    Event,
    Parsed,
    Workflow,
    WorkflowError,
    concurrency_of,
    parse,
    run_name_of,
    triggered_by,
)
from windlass.workflow.expressions import ExpressionError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from windlass.pipelines.records import Run

FOLDER = ".github/workflows"
SUFFIXES = (".yml", ".yaml")
MAX_TITLE = 500


@dataclass(frozen=True, slots=True)
class Planned:
    """A run to be made of one workflow file; `workflow` is None where the file is invalid."""

    path: str
    source: str
    parsed: Parsed

    @property
    def workflow(self) -> Workflow | None:
        """The workflow, if it could be read."""
        return self.parsed.workflow

    @property
    def name(self) -> str:
        """The workflow's name; its path where it has none."""
        return self.workflow.name if self.workflow else self.path


@lru_cache(maxsize=256)
def read(source: str, path: str) -> Parsed:
    """Parse a workflow file."""
    return parse(source, path)


def is_workflow(path: str) -> bool:
    """Whether this path is one where GitHub looks for workflows."""
    folder, _, name = path.rpartition("/")
    return folder == FOLDER and name.endswith(SUFFIXES)


def filters_paths(files: Mapping[str, str]) -> bool:
    """Whether any of the workflows looks at the paths that changed."""
    workflows = [read(source, path).workflow for path, source in files.items()]
    triggers = [trigger for workflow in workflows if workflow for trigger in workflow.triggers.values()]
    return any(trigger.paths or trigger.paths_ignore for trigger in triggers)


def plan_runs(files: Mapping[str, str], event: Event) -> list[Planned]:
    """Which files the event starts. A file that is invalid starts a run too, which fails and shows why."""
    found = []
    for path, source in sorted(files.items()):
        parsed = read(source, path)
        if parsed.workflow is None or triggered_by(parsed.workflow, event):
            found.append(Planned(path, source, parsed))
    return found


@dataclass(frozen=True, slots=True)
class Naming:
    """What a run's own expressions gave: its title and its concurrency group, or why they cannot be had."""

    title: str
    concurrency: Concurrency | None = None
    reason: Reason | None = None


def name_run(workflow: Workflow, contexts: Mapping[str, Any], subject: str) -> Naming:
    """Evaluate `run-name` and `concurrency`; the commit's subject is the title where there is no name."""
    try:
        title = (run_name_of(workflow, contexts) or "").strip() or subject
        return Naming(title[:MAX_TITLE], concurrency_of(workflow, contexts))
    except (ExpressionError, WorkflowError) as error:
        why = Reason("invalid-workflow", f"{workflow.path}: {error}", remedy="see `windlass lint`")
        return Naming(subject[:MAX_TITLE], None, why)


def contexts_of(
    run: Run, payload: dict[str, Any], inputs: dict[str, Any], variables: dict[str, str], server_url: str
) -> dict[str, Any]:
    """Return the contexts under which a run is planned."""
    return {"github": github_context(run, payload, server_url), "inputs": inputs, "vars": variables}
