"""Names that lead nowhere: `unknown-reference` and `unset-output`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from windlass.workflow.expressions.nodes import Logic
from windlass.workflow.lint.actions import load_action
from windlass.workflow.lint.paths import named
from windlass.workflow.lint.scripts import may_set
from windlass.workflow.lint.unit import child, condition_site, pairs, sites
from windlass.workflow.parsing import DEFAULT, read_file
from windlass.workflow.reading.problems import Problems
from windlass.workflow.reading.tokens import MappingToken, SequenceToken, data, has_expression, text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from windlass.syntax import Severity
    from windlass.workflow.expressions.nodes import Node
    from windlass.workflow.lint.unit import Job, Site, Step, Unit
    from windlass.workflow.reading.tokens import Token

_SHELLS = ("bash", "sh")
_STEP_PARTS = frozenset({"outputs", "outcome", "conclusion"})


def check(unit: Unit) -> None:
    """Look at all expressions of all jobs and steps."""
    for job in unit.jobs.values():
        names = _Names(unit, job)
        for key, site, step in _places(unit, job):
            names.look(site, step, shown=key == "name")
    if not unit.is_action:
        _called_outputs(unit)


def _places(unit: Unit, job: Job) -> Iterator[tuple[str, Site, Step | None]]:
    """Yield all expressions of a job with the key under which they stand, those of a step with it."""
    for key, token in pairs(unit.root if unit.is_action else job.token):
        if key not in {"steps", "runs"}:
            yield from ((key, site, None) for site in _sites(token, whole=key == "if"))
    for step in job.steps:
        for key, token in pairs(step.token):
            if key != "parallel":
                yield from ((key, site, step) for site in _sites(token, whole=key == "if"))


def _sites(token: Token, *, whole: bool) -> Iterator[Site]:
    if whole:
        site = condition_site(token)
        if site is not None:
            yield site
    else:
        yield from sites(token)


def _called_outputs(unit: Unit) -> None:
    for site in sites(child(unit.root.get("on"), "workflow_call", "outputs")):
        for path, _ in named(site.tree):
            parts = path.split(".")
            if parts[0] == "jobs" and len(parts) > 1 and parts[1] != "*":
                _job_output(unit, site, parts[1:], "jobs")


def _job_output(
    unit: Unit, site: Site, parts: list[str], context: str, severity: Severity | None = None
) -> None:
    job = unit.jobs.get(parts[0])
    if job is None:
        unit.report("unknown-reference", f"There is no job '{parts[0]}'", site, severity=severity)
        return
    if len(parts) < 2 or "*" in parts:
        return
    if parts[1] not in {"result", "outputs"}:
        message = f"`{context}.{parts[0]}` has `result` and `outputs`, no `{parts[1]}`"
        unit.report("unknown-reference", message, site, severity=severity)
    elif parts[1] == "outputs" and len(parts) > 2:
        declared = outputs_of(unit, job)
        if declared is not None and parts[2] not in declared:
            has = ", ".join(sorted(declared)) or "none"
            message = f"Job '{job.key}' has no output '{parts[2]}'; it has {has}"
            unit.report("unset-output", message, site, severity=severity)


def outputs_of(unit: Unit, job: Job) -> set[str] | None:
    """Return the outputs that a job declares, in lower case; None where they are not known."""
    if not job.uses:
        outputs = job.token.get("outputs")
        return None if outputs is not None and not isinstance(outputs, MappingToken) else set(job.outputs)
    if unit.load is None or not job.uses.startswith("./"):
        return None
    source = unit.load(job.uses.removeprefix("./"))
    if source is None:
        return None
    called = read_file(source, job.uses, Problems(), DEFAULT).workflow
    trigger = called.triggers.get("workflow_call") if called else None
    return {name.lower() for name in trigger.outputs} if trigger else None


class _Names:
    """What may be named in one job."""

    def __init__(self, unit: Unit, job: Job) -> None:
        self.unit = unit
        self.job = job
        self.steps = {step.id: step for step in job.steps if step.id}
        self.inputs = _inputs(unit)
        self.matrix = _matrix(job)
        self.severity: Severity | None = None

    def look(self, site: Site, step: Step | None, *, shown: bool = False) -> None:
        """Look at all names in one expression. What is only shown, a `name`, does no harm where it is empty."""
        self.severity = "warning" if shown else None
        seen: set[str] = set()
        optional = _with_fallback(site.tree)
        for path, node in named(site.tree):
            parts = path.split(".")
            if path in seen or len(parts) < 2 or parts[1] == "*":
                continue
            seen.add(path)
            if parts[0] == "steps":
                self.step(site, parts[1:], step)
            elif parts[0] == "needs":
                self.need(site, parts[1:])
            elif parts[0] == "inputs" and node not in optional:
                self.input(site, parts[1])
            elif parts[0] == "matrix" and node not in optional:
                self.vector(site, parts[1])

    def report(self, code: str, message: str, site: Site) -> None:
        """Note a finding, as harmful as its place."""
        self.unit.report(code, message, site, severity=self.severity)

    def step(self, site: Site, parts: list[str], here: Step | None) -> None:
        """Check `steps.ID.outputs.NAME`."""
        target = self.steps.get(parts[0])
        if target is None:
            known = ", ".join(sorted(self.steps)) or "none"
            message = f"No step here has the identifier '{parts[0]}'; there are {known}"
            self.report("unset-output" if "outputs" in parts else "unknown-reference", message, site)
            return
        if here is not None and target.position >= here.position:
            message = f"Step '{parts[0]}' has not run yet here: it comes later"
            self.report("unknown-reference", message, site)
        elif len(parts) > 1 and parts[1] not in _STEP_PARTS | {"*"}:
            message = f"A step has `outputs`, `outcome` and `conclusion`, no `{parts[1]}`"
            self.report("unknown-reference", message, site)
        elif len(parts) == 3 and parts[1] == "outputs" and parts[2] != "*":
            self.output(site, target, parts[2])

    def output(self, site: Site, step: Step, name: str) -> None:
        """Check that a step can set an output."""
        run = step.token.get("run")
        if run is not None and self.in_bash(step) and not may_set(text(run), name):
            self.report("unset-output", f"Step '{step.id}' does not set the output '{name}'", site)
        if step.uses:
            action = load_action(self.unit, step.uses)
            if action is None or action.using != "composite":
                return
            declared = {output.lower() for output in action.outputs}
            if name not in declared:
                has = ", ".join(action.outputs) or "none"
                message = f"Action '{step.uses}' has no output '{name}'; it has {has}"
                self.report("unset-output", message, site)

    def in_bash(self, step: Step) -> bool:
        """Whether a step runs in bash or sh, as far as the file says."""
        tokens = [step.token.get("shell"), child(self.job.token, "defaults", "run", "shell")]
        tokens.append(child(self.unit.root, "defaults", "run", "shell"))
        shell = next((text(token) for token in tokens if token is not None), "bash")
        return shell.split(" ")[0] in _SHELLS

    def need(self, site: Site, parts: list[str]) -> None:
        """Check `needs.JOB.outputs.NAME`."""
        if parts[0] not in self.job.needs:
            if parts[0] in self.unit.jobs:
                message = (
                    f"Job '{self.job.key}' does not list '{parts[0]}' under `needs`, so it is empty here"
                )
            else:
                message = f"There is no job '{parts[0]}'"
            self.report("unknown-reference", message, site)
        elif parts[0] in self.unit.jobs:
            _job_output(self.unit, site, parts, "needs", self.severity)

    def input(self, site: Site, name: str) -> None:
        """Check `inputs.NAME`."""
        if self.inputs is not None and name not in self.inputs:
            has = ", ".join(sorted(self.inputs)) or "none"
            message = f"There is no input '{name}'; declared are {has}"
            self.report("unknown-reference", message, site)

    def vector(self, site: Site, name: str) -> None:
        """Check `matrix.NAME`."""
        if self.matrix is not None and name not in self.matrix:
            has = f"The matrix has no '{name}'; it has {', '.join(sorted(self.matrix))}"
            none = f"Job '{self.job.key}' has no matrix, so `matrix.{name}` is empty here"
            self.report("unknown-reference", has if self.matrix else none, site)


def _with_fallback(tree: Node) -> set[Node]:
    """Return the operands of `||` after which another one comes: they may be empty on purpose."""
    return {
        operand
        for node in tree.walk()
        if isinstance(node, Logic) and node.stop
        for operand in node.operands[:-1]
    }


def _inputs(unit: Unit) -> set[str] | None:
    """Return the declared inputs in lower case, None where they are not known."""
    if unit.is_action:
        tokens = [unit.root.get("inputs")]
    elif unit.events is None:
        return None
    else:
        on = unit.root.get("on")
        tokens = [child(on, event, "inputs") for event in ("workflow_dispatch", "workflow_call")]
    return {name.lower() for token in tokens for name, _ in pairs(token)}


def _matrix(job: Job) -> set[str] | None:
    """Return the keys of a job's matrix in lower case, None where they are known only in the run."""
    strategy = job.token.get("strategy")
    if not job.key:
        return None
    matrix = child(strategy, "matrix")
    if matrix is None:
        return None if strategy is not None and has_expression(strategy) else set()
    include = child(matrix, "include")
    if not isinstance(matrix, MappingToken) or any(has_expression(key) for key, _ in matrix.pairs):
        return None
    if include is not None and (not isinstance(include, SequenceToken) or has_expression_of_keys(include)):
        return None
    keys = {name.lower() for name, _ in pairs(matrix)} - {"include", "exclude"}
    extra = include.items if isinstance(include, SequenceToken) else []
    return keys | {str(name).lower() for item in extra for name in data(item)}


def has_expression_of_keys(include: SequenceToken) -> bool:
    """Whether an entry of `include` is an expression, or has one as key."""
    return any(
        not isinstance(item, MappingToken) or any(has_expression(key) for key, _ in item.pairs)
        for item in include.items
    )
