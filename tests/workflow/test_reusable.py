from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from windlass.workflow import JobResult, WorkflowError, parse
from windlass.workflow.reusable import Called, Policy, called_inputs, called_outputs, parse_with_called

if TYPE_CHECKING:
    from windlass.workflow import Parsed

CALLED = """\
on:
  workflow_call:
    inputs:
      target: {type: string, required: true}
      count: {type: number}
    secrets:
      key: {required: true}
permissions: {contents: read}
jobs:
  deploy: {runs-on: x}
"""


def caller(body: str) -> str:
    return f"on: push\njobs:\n  call:\n    uses: ./.github/workflows/d.yml\n{body}"


def read(source: str, called: dict[str, str], **policy: Any) -> tuple[Parsed, dict[str, Called]]:
    return parse_with_called(source, "ci.yaml", called.get, policy=Policy(**policy))


def messages(source: str, called: str = CALLED, **policy: Any) -> list[str]:
    parsed, _ = read(source, {"./.github/workflows/d.yml": called}, **policy)
    return [item.message for item in parsed.diagnostics]


GOOD = "    with: {target: prod}\n    secrets: {KEY: '${{ secrets.K }}'}\n"


def test_what_is_called_is_loaded() -> None:
    parsed, called = read(caller(GOOD), {"./.github/workflows/d.yml": CALLED})
    assert parsed.workflow is not None, parsed.diagnostics
    assert parsed.workflow.jobs["call"].uses == "./.github/workflows/d.yml"
    assert list(called["call"].workflow.jobs) == ["deploy"]
    assert messages(caller("    with: {target: prod}\n    secrets: inherit\n")) == []


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("    secrets: inherit\n", "Input target is required, but not provided while calling."),
        ("    with: {target: a}\n", "Secret key is required, but not provided while calling."),
        (
            "    with: {target: a, more: b}\n    secrets: inherit\n",
            "Invalid input, more is not defined in the referenced workflow.",
        ),
        ("    with: {target: a, count: many}\n    secrets: inherit\n", "Unexpected value 'many'"),
        (
            "    with: {target: a}\n    secrets: {key: a, other: b}\n",
            "Invalid secret, other is not defined in the referenced workflow.",
        ),
    ],
)
def test_inputs_and_secrets_are_checked(body: str, message: str) -> None:
    assert messages(caller(body)) == [message]


def test_permissions_cannot_grow() -> None:
    called = CALLED.replace("{contents: read}", "{contents: write}")
    (message,) = messages(caller(GOOD), called)
    assert "is requesting 'contents: write', but is only allowed 'contents: read'" in message
    assert messages(caller(GOOD + "    permissions: write-all\n"), called) == []
    assert messages(caller(GOOD), called, default="Write") == []


def test_errors_of_the_called_file_say_who_called() -> None:
    (message,) = messages(caller(GOOD), CALLED.replace("runs-on: x", "run-on: x, runs-on: x"))
    assert message == "In ci.yaml (Line: 4, Col: 11): Error from called workflow Unexpected value 'run-on'"


def test_nesting_is_bounded() -> None:
    again = "on: workflow_call\njobs:\n  call: {uses: ./.github/workflows/d.yml}\n"
    assert messages(caller(""), again) == ["Nested reusable workflow depth exceeded 10."]
    assert messages(caller(""), again, depth=2) == ["Nested reusable workflow depth exceeded 2."]


def test_what_is_not_there_or_not_callable() -> None:
    parsed, _ = read(caller(GOOD), {})
    assert ["Unable to find reusable workflow" in item.message for item in parsed.diagnostics] == [True]
    (message,) = messages(caller(GOOD), "on: push\njobs: {a: {runs-on: x}}")
    assert message.endswith("workflow_call key is not defined in the referenced workflow.")


OUTPUTS = """\
on:
  workflow_call:
    inputs:
      target: {type: string, default: "to-${{ github.ref }}"}
      count: {type: number, default: 2}
      dry: {type: boolean}
    outputs:
      url: {value: "https://${{ jobs.deploy.outputs.host }}/${{ inputs.target }}"}
jobs:
  deploy: {runs-on: x}
"""


def test_inputs_and_outputs_of_a_call() -> None:
    one = parse(OUTPUTS, "d.yml").workflow
    assert one is not None
    contexts: dict[str, Any] = {"github": {"ref": "main"}}
    assert called_inputs(one, {"dry": True}, contexts) == {"target": "to-main", "count": 2, "dry": True}
    with pytest.raises(WorkflowError, match="'nope' is not one of its inputs"):
        called_inputs(one, {"nope": 1}, contexts)
    results = {"deploy": JobResult("success", {"host": "h"})}
    assert called_outputs(one, results, {"inputs": {"target": "t"}}) == {"url": "https://h/t"}
