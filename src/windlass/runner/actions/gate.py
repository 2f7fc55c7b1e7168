"""re-actors/alls-green: one step that says whether the jobs before it may count as green."""

from __future__ import annotations

import json
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from windlass.runner.actions.base import BuiltIn, Input
from windlass.runner.errors import StepError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from windlass.runner.actions.base import ActionRun


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is asked of one job, what became of it, and whether that will do."""

    job: str
    result: str
    asked: str
    good: bool


def judge(needs: Mapping[str, Any], may_fail: Collection[str], may_skip: Collection[str]) -> list[Verdict]:
    """Hold each job of a `needs` context against what is asked of it."""
    found = []
    for job, told in needs.items():
        result = str(told.get("result", "")) if isinstance(told, dict) else ""
        if job in may_fail:
            found.append(Verdict(job, result, "may fail", good=True))
        elif job in may_skip:
            found.append(Verdict(job, result, "may be skipped", good=result in {"success", "skipped"}))
        else:
            found.append(Verdict(job, result, "has to succeed", good=result == "success"))
    return found


def names(text: str) -> list[str]:
    """Return the jobs that an input names: a JSON list, or names with commas between them."""
    try:
        given = json.loads(text)
    except ValueError:
        given = text.split(",")
    listed = given if isinstance(given, list) else [given]
    return [name for one in listed if (name := str(one).strip())]


class AllsGreen(BuiltIn):
    """The step that a branch's rules ask for instead of each job of a matrix."""

    names = ("re-actors/alls-green",)
    about = (
        "Fails where one of the jobs that the job needs did not succeed, but for those that may fail or be skipped. "
        "The job needs `if: always()`, or a failure before it skips it."
    )
    inputs = (
        Input("jobs", "`${{ toJSON(needs) }}`", required=True),
        Input("allowed-failures", "jobs that may fail, as a JSON list or with commas", "[]"),
        Input("allowed-skips", "jobs that may be skipped, as a JSON list or with commas", "[]"),
    )
    outputs = MappingProxyType(
        {
            "failure": "true where a job did not do what is asked of it",
            "result": "success or failure",
            "success": "true where all did",
        }
    )

    def main(self, run: ActionRun) -> None:
        """Judge, tell, and fail with the names of those that are not green."""
        verdicts = judge(_needs(run), names(run.text("allowed-failures")), names(run.text("allowed-skips")))
        for one in verdicts:
            run.say(f"{'✓' if one.good else '✗'} {one.job}: {one.result} ({one.asked})")
        bad = [f"{one.job} ({one.result})" for one in verdicts if not one.good]
        run.output("failure", str(bool(bad)).lower())
        run.output("success", str(not bad).lower())
        run.output("result", "failure" if bad else "success")
        if bad:
            raise StepError(f"Not all jobs are green: {', '.join(bad)}")


def _needs(run: ActionRun) -> dict[str, Any]:
    try:
        given = json.loads(run.text("jobs"))
    except ValueError as error:
        raise StepError(f"input jobs is not JSON: {error}; write `jobs: ${{{{ toJSON(needs) }}}}`") from None
    if not isinstance(given, dict) or not given:
        raise StepError("input jobs names no job: the job that asks must have `needs:`")
    return given
