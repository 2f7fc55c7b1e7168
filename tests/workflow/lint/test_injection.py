from __future__ import annotations

import csv
from pathlib import Path

import pytest

from windlass.workflow.lint import lint
from windlass.workflow.lint.untrusted import Trust, trust, trust_whole
from workflow.lint.cases import codes, notes, severities, workflow

ALL = "[push, pull_request_target, issues, issue_comment, discussion, workflow_run, gollum, status, fork, release]"


def run(expression: str, on: str = ALL) -> list[str]:
    return codes(workflow(on, f'run: echo "${{{{ {expression} }}}}"'))


@pytest.mark.parametrize(
    "expression",
    [
        "github.event.issue.title",
        "github.event.issue.body",
        "GitHub.Event.Issue['Title']",
        "github.event.comment.body",
        "github.event.pull_request.title",
        "github.event.pull_request.head.ref",
        "github.event.pull_request.head.label",
        "github.event.pull_request.head.repo.default_branch",
        "github.head_ref",
        "github.event.workflow_run.head_branch",
        "github.event.workflow_run.head_commit.message",
        "github.event.head_commit.message",
        "github.event.head_commit.author.email",
        "github.event.commits[0].message",
        "github.event.commits.*.author.name",
        "github.event.pages[1].page_name",
        "github.event.discussion.title",
        "github.event[github.event_name].title",
        "github.head_ref || github.ref_name",
        "github.event_name == 'push' && github.event.head_commit.message || ''",
        "format('x {0}', github.event.issue.title)",
        "toJSON(github.event.issue)",
        "toJSON(github)",
        "join(github.event.commits.*.message, ', ')",
        "fromJSON(toJSON(github.event)).issue.title",
        "case(github.ref == 'x', github.event.issue.title, 'y')",
    ],
)
def test_text_of_strangers_in_a_script_is_an_error(expression: str) -> None:
    assert run(expression) == ["script-injection"]


@pytest.mark.parametrize(
    "expression",
    [
        "github.event.issue.number",
        "github.event.issue",  # written out, an object is the word Object
        "github.sha",
        "github.repository",
        "contains(github.event.issue.title, 'x')",
        "github.event.issue.title == 'x'",
        "!github.event.issue.title",
        "github.event.issue.title && 'has a title'",
        "startsWith(github.head_ref, 'renovate/') && 'yes' || 'no'",
        "hashFiles(github.head_ref)",
        "secrets.TOKEN",
        "steps.x.outputs.y && 1",
    ],
)
def test_what_cannot_carry_text_is_none(expression: str) -> None:
    assert [code for code in run(expression) if "script" in code] == []


@pytest.mark.parametrize(
    ("expression", "event"),
    [
        ("github.head_ref", "push"),
        ("github.event.issue.title", "pull_request"),
        ("github.event.pull_request.title", "[push, issues]"),
        ("github.event.head_commit.message", "pull_request"),
    ],
)
def test_what_the_event_does_not_have_is_none(expression: str, event: str) -> None:
    assert run(expression, event) == []
    assert run(expression, "[workflow_call]") == ["script-injection"]  # there it is the caller's event


def test_free_text_that_takes_rights_is_a_warning() -> None:
    source = workflow("release", 'run: echo "${{ github.event.release.body }}"')
    assert severities(source) == ["text-in-script warning"]
    assert run("github.event.label.name") == ["text-in-script"]
    assert run("github.event.client_payload.number", "repository_dispatch") == ["text-in-script"]
    assert run("toJSON(github)", "workflow_dispatch") == ["text-in-script"]


def test_values_of_a_known_shape_are_notes() -> None:
    for expression in (
        "github.ref_name",
        "github.event.pull_request.user.login",
        "github.event.release.tag_name",
    ):
        source = workflow(ALL, f"run: echo ${{{{ {expression} }}}}")
        assert (codes(source), notes(source)) == ([], ["context-in-script"])


@pytest.mark.parametrize(("kind", "expected"), [("string", 1), ("choice", 0), ("boolean", 0), ("number", 0)])
def test_inputs_are_notes_where_they_are_free(kind: str, expected: int) -> None:
    options = ", options: [a]" if kind == "choice" else ""
    on = f"{{workflow_dispatch: {{inputs: {{x: {{type: {kind}{options}}}}}}}}}"
    for name in ("inputs.x", "github.event.inputs.x"):
        assert notes(workflow(on, f"run: echo ${{{{ {name} }}}}")) == ["context-in-script"] * expected


def test_the_environment_is_safe_for_the_shell_and_not_for_an_expression() -> None:
    env = "env: {T: '${{ github.event.issue.title }}'}"
    assert codes(workflow("issues", 'run: echo "$T"', job=env)) == []
    assert codes(workflow("issues", 'run: echo "${{ env.T }}"', job=env)) == ["script-injection"]
    shadowed = '{run: "echo ${{ env.T }}", env: {T: safe}}'
    assert codes(workflow("issues", shadowed, job=env)) == []
    whole = "env: {T: '${{ github.event.issue.title }}'}\n" + workflow("issues", 'run: echo "${{ env.t }}"')
    assert codes(whole) == ["script-injection"]


def test_text_is_followed_through_outputs_and_the_matrix() -> None:
    source = """
on: issues
jobs:
  a:
    runs-on: ubuntu-latest
    outputs: {t: "${{ github.event.issue.title }}"}
    steps: [{run: ls}]
  b:
    needs: a
    runs-on: ubuntu-latest
    strategy: {matrix: {t: ["${{ needs.a.outputs.t }}", x]}}
    steps:
      - run: echo ${{ needs.a.outputs.t }}
      - run: echo ${{ matrix.t }}
"""
    assert codes(source) == ["script-injection"] * 2


def test_variables_that_need_each_other_end() -> None:
    assert codes(
        workflow("push", "run: echo ${{ env.A }}", job="env: {A: '${{ github.sha }}${{ env.A }}'}")
    ) == ["expression"]


@pytest.mark.parametrize(
    "step",
    [
        "{uses: actions/github-script@v8, with: {script: 'f(`${{ github.event.issue.title }}`)'}}",
        "{uses: Azure/CLI@" + "0" * 40 + ", with: {inlineScript: '${{ github.event.issue.title }}'}}",
    ],
)
def test_inputs_that_actions_execute_count(step: str) -> None:
    assert codes(workflow("issues", step)) == ["script-injection"]


def test_other_inputs_do_not() -> None:
    assert (
        codes(workflow("issues", "{uses: actions/labeler@v6, with: {x: '${{ github.event.issue.title }}'}}"))
        == []
    )


def test_containers_and_folders() -> None:
    title = "${{ github.event.issue.title }}"
    assert codes(workflow("issues", "run: ls", job=f"container: '{title}'")) == ["script-injection"]
    options = f"services: {{db: {{image: x, options: '{title}'}}}}"
    assert codes(workflow("issues", "run: ls", job=options)) == ["script-injection"]
    folder = f"{{run: ls, working-directory: '{title}'}}"
    assert severities(workflow("issues", folder)) == ["text-in-script warning"]


def test_composite_actions_know_no_events() -> None:
    source = """
name: x
description: y
inputs: {title: {}}
runs:
  using: composite
  steps:
    - shell: bash
      run: |
        echo ${{ github.event.issue.title }}
        echo ${{ inputs.title }}
"""
    found = lint(source, "action.yml").diagnostics
    assert [(item.code, item.span.line if item.span else 0) for item in found] == [
        ("script-injection", 10),
        ("context-in-script", 11),
    ]


def test_the_place_is_the_expression_itself() -> None:
    source = workflow(
        "issues",
        "run: |\n          true\n          # ä\n          echo ${{ github.job }} ${{ github.event.issue.title }} x",
    )
    (found,) = lint(source, "a.yml").diagnostics
    assert found.span is not None
    line = source.splitlines()[found.span.line - 1]
    assert line[found.span.column - 1 : found.span.end_column - 1] == "${{ github.event.issue.title }}"


REFERENCE = Path(__file__).parents[3].parent / "shared" / "reference" / "github-context-capabilities.csv"


@pytest.mark.skipif(not REFERENCE.exists(), reason="the reference table is not beside this checkout")
def test_classes_agree_with_the_reference_table() -> None:
    rows = [
        (path.lower(), kind)
        for path, kind in csv.reader(REFERENCE.read_text("utf-8").splitlines())
        if path.startswith("github.event.")
    ]
    assert [path for path, kind in rows if kind == "fixed" and trust(path) is not Trust.SAFE] == []
    assert [path for path, kind in rows if kind != "fixed" and trust(path) is Trust.SAFE] == []


def test_objects_are_as_bad_as_the_worst_in_them() -> None:
    assert trust_whole("github.event.pull_request") is Trust.STRANGER
    assert trust_whole("github.event.client_payload") is Trust.TEXT
    assert trust_whole("github.event.repository.owner.id") is Trust.SAFE
