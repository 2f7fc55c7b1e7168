"""Jobs that call a workflow of the same repository: what they give it, against what it declares."""

from __future__ import annotations

from typing import TYPE_CHECKING

from windlass.workflow.parsing import DEFAULT, read_file
from windlass.workflow.reading.problems import Problems
from windlass.workflow.reading.tokens import MappingToken
from windlass.workflow.reusable import Loader, Policy

if TYPE_CHECKING:
    from windlass.syntax import Diagnostic
    from windlass.workflow.lint.unit import Unit


def check(unit: Unit) -> list[Diagnostic]:
    """Return what GitHub would refuse when the workflow starts. Errors in the called file are its own."""
    problems = Problems()
    problems.file(unit.path)
    for job in unit.jobs.values():
        uses = job.token.get("uses")
        if unit.load is None or uses is None or not job.uses.startswith("./") or "${{" in job.uses:
            continue
        source = unit.load(job.uses.removeprefix("./"))
        if source is None:
            message = f"There is no workflow '{job.uses}' in this repository"
            problems.add(uses, message, "unknown-workflow")
            continue
        reading = read_file(source, job.uses, Problems(), DEFAULT)
        if reading.workflow is None or not isinstance(job.token, MappingToken):
            continue
        if "workflow_call" not in reading.workflow.triggers:
            message = f"'{job.uses}' cannot be called: it has no `workflow_call:` under `on:`"
            problems.add(uses, message, "not-callable")
            continue
        Loader(problems, unit.load, DEFAULT, Policy()).check_trigger(uses, job.token, reading)
    return [problem.diagnostic() for problem in problems.found]
