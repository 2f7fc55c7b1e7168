from __future__ import annotations

from typing import Any

import pytest

from windlass.workflow import Event, Workflow, WorkflowError, dispatch_inputs, parse, triggered_by


def workflow(on: str) -> Workflow:
    parsed = parse(f"on:\n{on}\njobs:\n  a:\n    runs-on: x\n    steps: [{{run: 'true'}}]\n", "ci.yaml")
    assert parsed.workflow is not None, parsed.diagnostics
    return parsed.workflow


def push(ref: str, paths: tuple[str, ...] | None = None, **payload: Any) -> Event:
    return Event("push", ref, payload, paths)


MAIN, DEV, TAG = "refs/heads/main", "refs/heads/dev", "refs/tags/v1"


@pytest.mark.parametrize(
    ("on", "event", "triggered"),
    [
        ("  push:", push(MAIN), True),
        ("  push:", push(TAG), True),
        ("  pull_request:", push(MAIN), False),
        ("  push: {branches: [main]}", push(MAIN), True),
        ("  push: {branches: [main]}", push(DEV), False),
        ("  push: {branches: [main]}", push(TAG), False),
        ("  push: {branches-ignore: [main]}", push(DEV), True),
        ("  push: {branches-ignore: [main]}", push(MAIN), False),
        ("  push: {tags: ['v*']}", push(TAG), True),
        ("  push: {tags: ['v*']}", push(MAIN), False),
        ("  push: {tags: ['v*'], branches: [main]}", push(MAIN), True),
        ("  push: {tags-ignore: ['v1']}", push(TAG), False),
        ("  push: {branches: ['**', '!dev']}", push(DEV), False),
        ("  push: {paths: ['src/**']}", push(MAIN, ("src/a.py", "README")), True),
        ("  push: {paths: ['src/**']}", push(MAIN, ("README",)), False),
        ("  push: {paths: ['src/**', '!src/docs/**']}", push(MAIN, ("src/docs/a",)), False),
        ("  push: {paths: ['src/**']}", push(MAIN, None), True),
        ("  push: {paths: ['src/**']}", push(TAG, ("README",)), True),
        ("  push: {paths-ignore: ['*.md']}", push(MAIN, ("a.md", "b.md")), False),
        ("  push: {paths-ignore: ['*.md']}", push(MAIN, ("a.md", "b.py")), True),
        ("  push:", push(MAIN, head_commit={"message": "fix [skip ci]"}), False),
        ("  push:", push(MAIN, head_commit={"message": "fix\n\n\nskip-checks: true"}), False),
        (
            "  push:",
            push(MAIN, head_commit={"message": "fix\n\n\nskip-checks: true\nSigned-off-by: a"}),
            False,
        ),
        ("  push:", push(MAIN, head_commit={"message": "skip-checks: true\n\nis a trailer"}), True),
        ("  push:", push(MAIN, head_commit={"message": "\n" * 1_000_000 + "x"}), True),
        ("  push:", push(MAIN, deleted=True), False),
        ("  schedule: [{cron: '0 5 * * 1'}]", Event("schedule", MAIN, {"schedule": "0 5 * * 1"}), True),
        ("  schedule: [{cron: '0 5 * * 1'}]", Event("schedule", MAIN, {"schedule": "0 6 * * 1"}), False),
        ("  workflow_call:", Event("workflow_call", MAIN), False),
        ("  release: {types: [published]}", Event("release", TAG, {"action": "published"}), True),
        ("  release: {types: [published]}", Event("release", TAG, {"action": "created"}), False),
        ("  repository_dispatch: {types: [go]}", Event("repository_dispatch", MAIN, {"action": "go"}), True),
        ("  repository_dispatch: {types: [go]}", Event("repository_dispatch", MAIN, {"action": "no"}), False),
    ],
)
def test_filters(on: str, event: Event, triggered: bool) -> None:
    decision = triggered_by(workflow(on), event)
    assert decision.triggered is triggered
    assert decision.reason


def pull_request(action: str, base: str, *paths: str) -> Event:
    payload = {"action": action, "pull_request": {"base": {"ref": base}}}
    return Event("pull_request", "refs/pull/7/merge", payload, paths or None)


def test_pull_requests_go_by_type_and_base_branch() -> None:
    plain = workflow("  pull_request:")
    assert triggered_by(plain, pull_request("opened", "main"))
    assert not triggered_by(plain, pull_request("labeled", "main"))
    narrow = workflow("  pull_request: {types: [labeled], branches: [main], paths: ['src/**']}")
    assert triggered_by(narrow, pull_request("labeled", "main", "src/a"))
    assert not triggered_by(narrow, pull_request("opened", "main", "src/a"))
    assert not triggered_by(narrow, pull_request("labeled", "dev", "src/a"))
    assert not triggered_by(narrow, pull_request("labeled", "main", "README"))


def test_workflow_runs_go_by_name_type_and_branch() -> None:
    one = workflow("  workflow_run: {workflows: [Build], types: [completed], branches: [main]}")

    def run(name: str, action: str, branch: str) -> Event:
        return Event(
            "workflow_run", MAIN, {"action": action, "workflow_run": {"name": name, "head_branch": branch}}
        )

    assert triggered_by(one, run("Build", "completed", "main"))
    assert not triggered_by(one, run("Test", "completed", "main"))
    assert not triggered_by(one, run("Build", "requested", "main"))
    assert not triggered_by(one, run("Build", "completed", "dev"))


def test_the_reason_names_what_did_not_match() -> None:
    assert triggered_by(workflow("  push: {branches: [main]}"), push(DEV)).reason == (
        "the branch 'dev' does not match main"
    )
    assert (
        "not on workflow_dispatch"
        in triggered_by(workflow("  push:"), Event("workflow_dispatch", MAIN)).reason
    )


DISPATCH = """\
  workflow_dispatch:
    inputs:
      environment: {type: choice, options: [staging, production], default: staging}
      dry: {type: boolean, default: true}
      count: {type: number}
      note: {required: true}
"""


def test_inputs_are_typed_and_defaulted() -> None:
    one = workflow(DISPATCH)
    assert dispatch_inputs(one, {"note": "x"}) == {
        "environment": "staging",
        "dry": True,
        "count": 0,
        "note": "x",
    }
    assert dispatch_inputs(one, {"NOTE": 5, "dry": "false", "count": "2.5"}) == {
        "environment": "staging",
        "dry": False,
        "count": 2.5,
        "note": "5",
    }


def test_all_that_is_wrong_with_inputs_is_said_at_once() -> None:
    with pytest.raises(WorkflowError) as caught:
        dispatch_inputs(workflow(DISPATCH), {"environment": "moon", "dry": "maybe", "count": "x", "other": 1})
    for part in (
        "'other' is not one",
        "staging, production, not 'moon'",
        "true or false",
        "is a number",
        "required",
    ):
        assert part in str(caught.value)
    with pytest.raises(WorkflowError, match="add `workflow_dispatch:`"):
        dispatch_inputs(workflow("  push:"), {})
