from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from windlass.syntax import render
from windlass.workflow import Workflow, parse
from windlass.workflow.model import Input, Schedule

CI = """\
name: CI
run-name: CI of ${{ github.actor }}
on:
  push:
    branches: [main, 'releases/**']
  workflow_dispatch:
    inputs:
      level: {type: choice, options: [a, b], default: a, description: How much}
  schedule:
    - cron: '30 5 * * 1-5'
      timezone: Europe/Berlin
permissions:
  contents: read
  packages: none
env:
  PYTHON: 3.10
  DEBUG: true
concurrency:
  group: ${{ github.ref }}
  cancel-in-progress: true
jobs:
  test:
    runs-on: ubuntu-latest
    timeout-minutes: 5
    steps:
      - uses: actions/checkout@v4
      - uses: actions/checkout@v4
      - name: Tests
        id: tests
        run: |
          uv sync
          pytest ${{ env.ARGS }}
        if: ${{ !env.SKIP }}
        env: {A: 1}
      - run: echo always
        if: always()
  build:
    needs: [TEST]
    if: github.ref == 'refs/heads/main'
    permissions: write-all
    runs-on: [self-hosted, linux]
    outputs:
      digest: ${{ steps.push.outputs.digest }}
    steps:
      - id: push
        uses: docker/build-push-action@v6
        with: {push: true, tags: 'a:${{ github.sha }}'}
"""


def workflow(text: str) -> Workflow:
    parsed = parse(text, "ci.yaml")
    assert parsed.workflow is not None, parsed.diagnostics
    return parsed.workflow


def found(text: str) -> list[tuple[str, int, int, str]]:
    return [
        (item.code, item.span.line if item.span else 0, item.span.column if item.span else 0, item.message)
        for item in parse(text, "ci.yaml").diagnostics
    ]


def job(body: str) -> str:
    return "on: push\njobs:\n  a:\n    runs-on: x\n" + body


def test_the_model_of_a_workflow() -> None:
    one = workflow(CI)
    assert (one.name, one.run_name) == ("CI", "CI of ${{ github.actor }}")
    assert one.env == {"PYTHON": "3.1", "DEBUG": "true"}
    assert one.permissions == {"contents": "read"}
    assert one.concurrency == {"group": "${{ github.ref }}", "cancel-in-progress": True}
    assert one.triggers["push"].branches == ("main", "releases/**")
    assert one.triggers["schedule"].schedules == (Schedule("30 5 * * 1-5", "Europe/Berlin", 10),)
    assert one.triggers["workflow_dispatch"].inputs == {
        "level": Input("level", "choice", default="a", description="How much", options=("a", "b"))
    }
    test, build = one.jobs.values()
    assert (test.key, test.needs, test.condition, test.line) == ("test", (), "success()", 22)
    assert build.needs == ("test",)
    assert build.condition == "success() && (github.ref == 'refs/heads/main')"
    assert build.permissions is not None
    assert build.permissions["packages"] == "write"
    assert build.permissions["models"] == "read"
    assert build.definition["runs-on"] == ["self-hosted", "linux"]
    assert build.definition["outputs"] == {"digest": "${{ steps.push.outputs.digest }}"}
    assert build.steps[0]["with"] == {"push": "true", "tags": "a:${{ github.sha }}"}


def test_steps_have_identifiers_lines_and_whole_conditions() -> None:
    steps = workflow(CI).jobs["test"].steps
    assert [step["id"] for step in steps] == ["__actions_checkout", "__actions_checkout_2", "tests", "__run"]
    assert [step["line"] for step in steps] == [26, 27, 28, 35]
    assert [step["if"] for step in steps] == [
        "success()",
        "success()",
        "success() && (!env.SKIP)",
        "always()",
    ]
    assert steps[2]["run"] == "uv sync\npytest ${{ env.ARGS }}\n"
    assert steps[2]["env"] == {"A": "1"}


def test_all_errors_at_once_each_with_its_place() -> None:
    text = """\
on: push
jobs:
  1st:
    runs-on: x
    steps:
      - run: echo ${{ github.ref == }}
      - ran: x
  b:
    steps: []
  b:
    runs-on: ${{ secrets.X }}
"""
    assert [(code, line, column) for code, line, column, _ in found(text)] == [
        ("expression", 6, 34),
        ("unexpected-key", 7, 9),
        ("ambiguous-mapping", 7, 9),
        ("missing-key", 9, 5),
        ("duplicate-key", 10, 3),
    ]


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("", "empty-file", "The file is empty"),
        ("on: push", "missing-key", "Required property is missing: jobs"),
        ("jobs: {a: {runs-on: x}}", "missing-key", "Required property is missing: on"),
        ("on: push\njobs: {}", "needs-cycle", "at least one job with no dependencies"),
        ("on: pussh\njobs: {a: {runs-on: x}}", "unknown-event", "Unexpected value 'pussh'"),
        ("on: {pussh: }\njobs: {a: {runs-on: x}}", "unknown-event", "Unexpected value 'pussh'"),
        (job("    needs: b"), "needs-cycle", "at least one job"),
        (job("  b: {runs-on: x, needs: c}"), "unknown-job", "depends on unknown job 'c'"),
        (job("    strategy: {matrix: {v: []}}"), "invalid-matrix", "'v' does not contain any values"),
        (job("    strategy: {matrix: {v: [1], exclude: [{w: 1}]}}"), "invalid-matrix", "exclude key 'w'"),
        (job("    services: {db: {image: ''}}"), "unexpected-value", "Unexpected value ''"),
        (job("    services: {db: 'docker://'}"), "empty-image", "Container image cannot be empty"),
        (job("    timeout-minutes: soon"), "unexpected-value", "Unexpected value 'soon'"),
        (job("    permissions: {contents: admin}"), "unexpected-value", "Unexpected value 'admin'"),
        (job("    if: ${{ secrets.X }}"), "expression", "Unrecognized named-value: 'secrets'"),
        (job("    if: env.X"), "expression", "Unrecognized named-value: 'env'"),
        (job("    steps: [{run: x, if: hashFiles()}]"), "expression", "Too few parameters"),
        (job("    steps: [{run: 'a ${{ 1'}]"), "expression-not-closed", "The expression is not closed"),
        (job("    steps: [{uses: checkout}]"), "invalid-uses", "Expected format {org}/{repo}[/path]@ref"),
        (job("    steps: [{run: x, id: a b}]"), "invalid-id", "The identifier 'a b' is invalid"),
        (job("    steps: [{run: x, id: a}, {run: x, id: A}]"), "invalid-id", "more than once"),
        (job("    steps: [{run: x, id: __a}]"), "invalid-id", "are reserved"),
        (job("    steps: [{wait: nobody}]"), "unknown-step", "unknown step ID 'nobody'"),
        (job("    steps: [{parallel: [{run: x, background: true}]}]"), "invalid-step", "'background' is not"),
        (job("    runs-on: y"), "duplicate-key", "'runs-on' is already defined"),
        (job("    concurrency: " + "g" * 401), "invalid-concurrency", "less than 400"),
        ("on: {schedule: [{cron: '* * *'}]}\njobs: {a: {runs-on: x}}", "invalid-cron", "Invalid cron"),
        ("on: {schedule: [{cron: '0 25 * * *'}]}\njobs: {a: {runs-on: x}}", "invalid-cron", "Invalid cron"),
        (
            "on: {schedule: [{cron: '0 5 * * *', timezone: Mars/Base}]}\njobs: {a: {runs-on: x}}",
            "invalid-timezone",
            "Unknown time zone 'Mars/Base'",
        ),
        (
            "on: {push: {branches: [a], branches-ignore: [b]}}\njobs: {a: {runs-on: x}}",
            "conflicting-filters",
            "only define one of",
        ),
        ("on: [push\njobs: 1", "yaml-syntax", ""),
    ],
)
def test_errors(text: str, code: str, message: str) -> None:
    parsed = parse(text, "ci.yaml")
    assert parsed.workflow is None
    assert any(item.code == code and message in item.message for item in parsed.diagnostics), (
        parsed.diagnostics
    )


def test_a_cycle_names_each_edge() -> None:
    text = (
        "on: push\njobs:\n  z: {runs-on: x}\n  a: {runs-on: x, needs: b}\n  b: {runs-on: x, needs: [a, z]}\n"
    )
    assert [message for _, _, _, message in found(text)] == [
        "Job 'a' depends on job 'b' which creates a cycle in the dependency graph.",
        "Job 'b' depends on job 'a' which creates a cycle in the dependency graph.",
    ]


def test_what_github_ignores_below_an_event_is_a_warning() -> None:
    parsed = parse("on: {workflow_dispatch: {unknown: 1}}\njobs: {a: {runs-on: x}}", "ci.yaml")
    assert parsed.workflow is not None
    assert [(item.code, item.severity) for item in parsed.diagnostics] == [("ignored-key", "warning")]


def test_the_caret_stands_under_the_symbol() -> None:
    text = job("    env: {A: '${{ nope }}', B: \"x ${{ github.ref == }}\"}\n")
    drawn = [render(item, text).splitlines()[1:3] for item in parse(text, "ci.yaml").diagnostics]
    assert [source[carets.index("^") :][:4] for source, carets in drawn] == ["nope", "== }"]


def test_each_expression_of_a_text_is_noted_where_it_stands() -> None:
    text = job(
        "    steps:\n"
        "      - run: |\n"
        "          echo ${{ 'a' }} ${{ nope.x }} ${{ foo() }}\n"
        "          echo ${{ github.ref == }}\n"
        "      - run: >-\n"
        "          a\n"
        "          b ${{ bar.x }}\n"
        '      - run: "a \\"b\\"\n'
        '          ${{ baz.y }} ${{ bat.y == \\"1\\" }}"\n'
    )
    found = parse(text, "ci.yaml").diagnostics
    drawn = [render(item, text).splitlines()[1:3] for item in found]
    marked = [source[carets.index("^") :][: carets.count("^")] for source, carets in drawn]
    assert marked == ["n", "f", "=", "b", "b", r"${{ bat.y == \"1\" }}"]
    assert [item.message.split(". ")[0] for item in found[:3]] == [
        "Unrecognized named-value: 'nope'",
        "Unrecognized function: 'foo'",
        "Unexpected end of expression: '=='",
    ]


def test_a_condition_is_checked_for_names_and_symbols_in_one_pass() -> None:
    text = job("    if: |\n      github.ref &&\n      nope.x y\n")
    (found,) = parse(text, "ci.yaml").diagnostics
    assert found.message.startswith("Unrecognized named-value: 'nope'. Located at position 15 ")
    source, carets = render(found, text).splitlines()[-3:-1]
    assert source[carets.index("^") :].startswith("nope")


def test_background_steps() -> None:
    one = workflow(
        job(
            "    steps:\n"
            "      - {id: server, run: npm start, background: true}\n"
            "      - wait: [server]\n"
            "      - wait-all:\n"
            "      - cancel: server\n"
            "      - parallel: [{run: a}, {uses: ./x}]\n"
        )
    )
    steps = one.jobs["a"].steps
    assert [step["id"] for step in steps] == ["server", "__wait", "__wait-all", "__cancel", "__parallel"]
    assert steps[0]["background"] is True
    assert (steps[1]["wait"], steps[2]["wait-all"], steps[3]["cancel"]) == (["server"], True, "server")
    assert [(step["id"], step["if"]) for step in steps[4]["parallel"]] == [
        ("__run", "success()"),
        ("__self", "success()"),
    ]


def test_anchors_are_read() -> None:
    one = workflow(
        "on: push\njobs:\n  a:\n    runs-on: x\n    steps: &s\n      - run: y\n"
        "  b:\n    runs-on: x\n    steps: *s\n"
    )
    assert one.jobs["b"].steps[0]["run"] == "y"


@settings(max_examples=60)
@given(st.data())
def test_any_mutation_gives_a_workflow_or_diagnostics(data: st.DataObject) -> None:
    lines = CI.splitlines()
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(lines) - 1))
        lines[at : at + 1] = data.draw(
            st.sampled_from(
                [[], [lines[at]] * 2, [lines[at] + " x"], [lines[at][2:]], ["  " + lines[at]], ["- a: ["]]
            )
        )
        lines = lines or [""]
    parsed = parse("\n".join(lines), "ci.yaml")
    assert (parsed.workflow is None) == any(item.severity == "error" for item in parsed.diagnostics)
    assert all(item.message for item in parsed.diagnostics)
