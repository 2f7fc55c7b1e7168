"""re-actors/alls-green."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING

import pytest

from windlass.runner.actions.gate import judge, names

if TYPE_CHECKING:
    from runner.conftest import Forge

RESULTS = ("success", "failure", "cancelled", "skipped")
GOOD = {
    (False, False): {"success"},
    (False, True): {"success", "skipped"},
    (True, False): set(RESULTS),
    (True, True): set(RESULTS),
}


@pytest.mark.parametrize(
    ("result", "may_fail", "may_skip"), list(itertools.product(RESULTS, (True, False), (True, False)))
)
def test_a_job_is_held_against_what_is_asked_of_it(result: str, *, may_fail: bool, may_skip: bool) -> None:
    fail, skip = ["a"] if may_fail else ["b"], ["a"] if may_skip else []
    (verdict,) = judge({"a": {"result": result, "outputs": {}}}, fail, skip)
    assert verdict.good == (result in GOOD[may_fail, may_skip])


@pytest.mark.parametrize(
    ("text", "listed"),
    [
        ("", []),
        ("[]", []),
        ("a, b ,", ["a", "b"]),
        ('["a", "b"]', ["a", "b"]),
        ("docs", ["docs"]),
        ('"docs"', ["docs"]),
    ],
)
def test_jobs_are_named_with_commas_or_as_json(text: str, listed: list[str]) -> None:
    assert names(text) == listed


def gate(forge: Forge, inputs: dict[str, str], needs: dict[str, str] | None = None) -> tuple[str, str]:
    """How the step ended: its reason, and what it put out."""
    told = {job: {"result": result, "outputs": {}} for job, result in (needs or {}).items()}
    ran = forge.run(
        {"id": "g", "uses": "re-actors/alls-green@release/v1", "with": {"jobs": "${{ toJSON(needs) }}", **inputs}},
        {"if": "always()", "run": "echo '${{ toJSON(steps.g.outputs) }}'"},
        contexts={"needs": told},
    )  # fmt: skip
    said = ran.printed(2)
    return ran.wait().get("reason", ""), ",".join(json.loads(said).values())


def test_the_step_fails_with_the_jobs_that_are_not_green(host_forge: Forge) -> None:
    needs = {"lint": "success", "test": "failure", "docs": "skipped", "old": "failure"}
    inputs = {"allowed-failures": "old", "allowed-skips": '["docs"]'}
    assert gate(host_forge, inputs, needs) == ("Not all jobs are green: test (failure)", "true,false,failure")
    assert gate(host_forge, inputs, {**needs, "test": "success"}) == ("", "false,true,success")


def test_without_needs_there_is_nothing_to_judge(host_forge: Forge) -> None:
    reason, _ = gate(host_forge, {})
    assert "must have `needs:`" in reason
    reason, _ = gate(host_forge, {"jobs": "test"})
    assert "toJSON(needs)" in reason
