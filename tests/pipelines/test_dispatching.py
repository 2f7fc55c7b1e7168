"""Runs by hand: inputs, refs, and GitHub's limits on what is sent along."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from windlass.pipelines import NotFoundError, StateError
from windlass.pipelines.dispatching import (
    MAX_PAYLOAD,
    DispatchError,
    check_client_payload,
    check_inputs,
)

if TYPE_CHECKING:
    from pipelines.conftest import House

FOLDER = ".github/workflows"
FILE = f"{FOLDER}/deploy.yaml"
TEXT = """
name: Deploy it
on:
  workflow_dispatch:
    inputs:
      target: {type: choice, options: [staging, production], required: true}
      dry: {type: boolean, default: false}
jobs:
  it:
    runs-on: ubuntu-latest
    steps:
      - run: "true"
"""


async def test_a_dispatch_on_a_branch_runs_that_branchs_file_with_typed_inputs(house: House) -> None:
    await house.repository()
    async with house.running() as pipelines:
        await house.commit({FILE: TEXT})
        sha = await house.commit(message="Later", branch="feature")
        inputs = {"target": "staging", "dry": "true"}
        number = await pipelines.dispatch("acme/app", "deploy.yaml", "feature", inputs, actor="zoe")
        run = await pipelines.run_record(number)
        spec = await house.spec(number)
        assert run is not None
        assert run.occurrence is not None
        item, runs = await pipelines.occurrence(run.occurrence)
    assert (run.sha, run.ref, run.actor, run.title) == (sha, "refs/heads/feature", "zoe", "Deploy it")
    assert spec.contexts["inputs"] == {"target": "staging", "dry": True}
    event = spec.contexts["github"]["event"]
    assert (event["ref"], event["workflow"], event["inputs"]["target"]) == (
        "refs/heads/feature",
        FILE,
        "staging",
    )
    assert (item.event, item.runs, item.actor, [one.id for one in runs]) == (
        "workflow_dispatch",
        1,
        "zoe",
        [number],
    )


async def test_without_a_ref_it_is_the_default_branch_and_names_of_workflows_do_as_well(house: House) -> None:
    await house.repository()
    async with house.running() as pipelines:
        sha = await house.commit({FILE: TEXT})
        number = await pipelines.dispatch("acme/app", "Deploy it", inputs={"target": "staging"}, actor="zoe")
        run = await pipelines.run_record(number)
    assert run is not None
    assert (run.sha, run.ref) == (sha, "refs/heads/main")


async def test_a_branch_goes_before_a_tag_of_the_same_name(house: House) -> None:
    await house.repository()
    async with house.running() as pipelines:
        await house.commit({FILE: TEXT})
        await house.move("refs/tags/v1", "HEAD")
        sha = await house.commit(message="Later", branch="v1")
        number = await pipelines.dispatch("acme/app", FILE, "v1", {"target": "staging"}, actor="zoe")
        run = await pipelines.run_record(number)
    assert run is not None
    assert (run.sha, run.ref) == (sha, "refs/heads/v1")


@pytest.mark.parametrize(
    ("workflow", "ref", "inputs", "error", "says"),
    [
        ("deploy.yaml", "gone", {"target": "staging"}, NotFoundError, "a branch or a tag that is pushed"),
        ("gone.yaml", "", {}, NotFoundError, "it has .github/workflows/deploy.yaml"),
        ("deploy.yaml", "", {}, StateError, "'target' is required"),
        ("deploy.yaml", "", {"target": "moon"}, StateError, "one of staging, production"),
        ("deploy.yaml", "", {"target": "staging", "x": 1}, StateError, "'x' is not one of its inputs"),
        ("deploy.yaml", "", {str(number): 1 for number in range(26)}, DispatchError, "25 are allowed"),
        ("push.yaml", "", {}, StateError, "cannot be started by hand"),
    ],
)
async def test_what_cannot_be_started_says_why(  # noqa: PLR0917 the columns of the table
    house: House, workflow: str, ref: str, inputs: dict[str, Any], error: type[Exception], says: str
) -> None:
    await house.repository()
    files = {FILE: TEXT}
    if workflow == "push.yaml":
        files[f"{FOLDER}/push.yaml"] = "on: push\njobs: {it: {runs-on: x64, steps: [{run: a}]}}\n"
    await house.commit(files)
    pipelines = house.pipelines()
    with pytest.raises(error, match=says):
        await pipelines.dispatch("acme/app", workflow, ref, inputs, actor="zoe")
    assert await pipelines.runs() == []


@pytest.mark.parametrize(
    ("event_type", "payload", "says"),
    [
        ("", {}, "event_type"),
        ("x" * 101, {}, "event_type"),
        ("a\nb", {}, "event_type"),
        ("go", {str(number): 1 for number in range(11)}, "11 properties at its top, 10 are allowed"),
        ("go", {"a": "x" * (MAX_PAYLOAD - 7)}, "65535 are allowed"),
        ("go", {"a": "é" * (MAX_PAYLOAD // 2)}, "65535 are allowed"),
    ],
)
def test_githubs_limits(event_type: str, payload: dict[str, Any], says: str) -> None:
    with pytest.raises(DispatchError, match=says):
        check_client_payload(event_type, payload)


def test_what_is_just_within_the_limits_is_taken() -> None:
    check_client_payload("x" * 100, {str(number): number for number in range(10)})
    check_client_payload("go", {"a": "x" * (MAX_PAYLOAD - 8)})
    check_inputs({str(number): number for number in range(25)})
    with pytest.raises(DispatchError):
        check_inputs({"a": "x" * MAX_PAYLOAD})
