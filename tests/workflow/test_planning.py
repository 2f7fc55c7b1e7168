from __future__ import annotations

import json
from typing import Any

import pytest

from windlass.workflow import (
    Concurrency,
    Environment,
    Invalid,
    JobResult,
    Ready,
    Skipped,
    Waiting,
    Workflow,
    WorkflowError,
    concurrency_of,
    decide_job,
    order,
    parse,
    permissions_of,
    run_name_of,
)
from windlass.workflow.expressions import ExpressionError

CONTEXTS: dict[str, Any] = {
    "github": {"ref": "refs/heads/main", "actor": "anna"},
    "inputs": {"n": 2},
    "vars": {"V": "v"},
}
OK, BAD, SKIPPED = JobResult("success"), JobResult("failure"), JobResult("skipped")


def workflow(jobs: str, head: str = "on: push") -> Workflow:
    parsed = parse(f"{head}\njobs:\n{jobs}", "ci.yaml")
    assert parsed.workflow is not None, parsed.diagnostics
    return parsed.workflow


CHAIN = workflow(
    """\
  a: {runs-on: x}
  b: {runs-on: x, needs: a, if: always()}
  c: {runs-on: x, needs: b}
  d: {runs-on: x, needs: [c], if: failure()}
  e: {runs-on: x, needs: b, if: "success('b')"}
  f: {runs-on: x, needs: a, if: "!cancelled()"}
"""
)


@pytest.mark.parametrize(
    ("key", "results", "expected"),
    [
        ("a", {}, Ready),
        ("b", {}, Waiting),
        ("b", {"a": BAD}, Ready),
        ("c", {"a": OK, "b": OK}, Ready),
        ("c", {"a": BAD, "b": OK}, Skipped),  # all ancestors count, not only the direct needs
        ("c", {"a": SKIPPED, "b": OK}, Skipped),
        ("d", {"a": BAD, "b": OK, "c": SKIPPED}, Ready),
        ("d", {"a": OK, "b": OK, "c": SKIPPED}, Skipped),
        ("e", {"a": BAD, "b": OK}, Ready),
        ("f", {"a": BAD}, Ready),
    ],
)
def test_needs_and_conditions(key: str, results: dict[str, JobResult], expected: type) -> None:
    assert isinstance(decide_job(CHAIN, key, results, CONTEXTS), expected)


def test_after_a_cancellation_only_those_run_that_say_so() -> None:
    def started(key: str, results: dict[str, JobResult]) -> bool:
        return isinstance(decide_job(CHAIN, key, results, CONTEXTS, cancelled=True), Ready)

    assert not started("a", {})
    assert started("b", {"a": OK})
    assert not started("c", {"a": OK, "b": OK})
    assert not started("d", {"a": BAD, "b": OK, "c": BAD})
    assert not started("f", {"a": OK})


def test_reasons() -> None:
    waiting = decide_job(CHAIN, "b", {}, CONTEXTS)
    assert isinstance(waiting, Waiting)
    assert (waiting.reason, waiting.needs) == ("waits for 'a'", ("a",))
    skipped = decide_job(CHAIN, "c", {"a": BAD, "b": SKIPPED}, CONTEXTS)
    assert isinstance(skipped, Skipped)
    assert skipped.reason == "'a' failed; 'b' was skipped"
    one = workflow("  a: {runs-on: x, if: github.ref == 'refs/heads/dev'}")
    assert decide_job(one, "a", {}, CONTEXTS) == Skipped(
        "its condition is false: github.ref == 'refs/heads/dev'"
    )


def ready(one: Workflow, key: str, **results: JobResult) -> Ready:
    decision = decide_job(one, key, results, CONTEXTS)
    assert isinstance(decision, Ready), decision
    return decision


FULL = workflow(
    """\
  a: {runs-on: x}
  test:
    needs: a
    name: Test
    runs-on: [self-hosted, "${{ matrix.os }}"]
    timeout-minutes: ${{ fromJSON(needs.a.outputs.minutes) }}
    continue-on-error: ${{ matrix.os == 'mac' }}
    concurrency: {group: "g-${{ matrix.os }}", cancel-in-progress: "${{ inputs.n == 2 }}", queue: max}
    environment: {name: "env-${{ matrix.os }}", url: "https://${{ steps.x.outputs.y }}"}
    env: {OS: "${{ matrix.os }}"}
    defaults: {run: {shell: bash}}
    strategy:
      fail-fast: false
      max-parallel: 1
      matrix:
        os: ${{ fromJSON(needs.a.outputs.list) }}
    steps: [{run: "echo ${{ matrix.os }}"}]
""",
    "on: push\nenv: {OUTER: '1'}\ndefaults: {run: {working-directory: sub, shell: sh}}\npermissions: {contents: read}",
)
LISTED = JobResult("success", {"list": '["linux", "mac"]', "minutes": "7"})


def test_a_planned_leg() -> None:
    linux, mac = ready(FULL, "test", a=LISTED).jobs
    assert (linux.key, mac.key, linux.job) == ("test~1", "test~2", "test")
    assert (linux.name, mac.name) == ("Test (linux)", "Test (mac)")
    assert linux.runs_on == ("self-hosted", "linux")
    assert linux.timeout_minutes == 7
    assert (linux.continue_on_error, mac.continue_on_error) == (False, True)
    assert linux.concurrency == Concurrency("g-linux", cancel_in_progress=True, queue="max")
    assert linux.environment == Environment("env-linux", "https://${{ steps.x.outputs.y }}")
    assert linux.permissions == {"contents": "read"}
    assert (linux.fail_fast, linux.max_parallel, linux.index, linux.total) == (False, 1, 0, 2)
    assert linux.env == [{"OUTER": "1"}, {"OS": "${{ matrix.os }}"}]
    assert linux.definition["steps"][0]["run"] == "echo ${{ matrix.os }}"
    assert linux.definition["defaults"] == {"run": {"working-directory": "sub", "shell": "bash"}}
    assert "strategy" not in linux.definition
    assert mac.contexts["matrix"] == {"os": "mac"}
    assert mac.contexts["strategy"] == {"fail-fast": False, "job-index": 1, "job-total": 2, "max-parallel": 1}
    assert mac.contexts["needs"] == {"a": {"result": "success", "outputs": dict(LISTED.outputs)}}
    assert mac.contexts["github"]["job"] == "test"
    assert mac.contexts["inputs"] == {"n": 2}


def test_a_job_without_matrix_is_one_leg_with_its_own_key() -> None:
    (leg,) = ready(FULL, "a").jobs
    assert (leg.key, leg.name, leg.matrix, leg.timeout_minutes) == ("a", "a", None, 360)
    assert leg.contexts["matrix"] is None


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("", ["a (1)", "a (2)"]),
        ("    name: Job\n", ["Job (1)", "Job (2)"]),
        ("    name: v${{ matrix.v }}\n", ["v1", "v2"]),
        ("    name: ${{ matrix.none }}\n", ["a", "a"]),
        (f"    name: {'n' * 99}\n", ["n" * 97 + "..."] * 2),
    ],
)
def test_names(name: str, shown: list[str]) -> None:
    one = workflow(f"  a:\n    runs-on: x\n{name}    strategy: {{matrix: {{v: [1, 2]}}}}\n")
    assert [leg.name for leg in ready(one, "a").jobs] == shown


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("strategy: {matrix: \"${{ fromJSON('5') }}\"}", "not a mapping"),
        ("strategy: {matrix: {v: \"${{ fromJSON('[]') }}\"}}", "does not contain any values"),
        ('strategy: {matrix: {v: "${{ github.nothing }}"}}', "is not a list"),
        ("if: fromJSON('{')", "Error parsing JSON"),
        ("timeout-minutes: \"${{ 'soon' == 'x' || github.ref }}\"", "timeout-minutes is not a number"),
        ('concurrency: "${{ github.nothing }}"', "group name cannot be empty"),
    ],
)
def test_what_cannot_be_planned_says_where(body: str, message: str) -> None:
    one = workflow(f"  a:\n    runs-on: x\n    {body}\n")
    decision = decide_job(one, "a", {}, CONTEXTS)
    assert isinstance(decision, Invalid)
    assert message in decision.reason
    assert "job 'a' (line 3 of ci.yaml)" in decision.reason


def test_a_matrix_that_is_excluded_to_nothing_is_skipped() -> None:
    one = workflow("  a: {runs-on: x, strategy: {matrix: {v: [1], exclude: [{v: 1}]}}}")
    assert isinstance(decide_job(one, "a", {}, CONTEXTS), Skipped)


def test_permissions_come_from_the_job_else_the_workflow_else_the_default() -> None:
    one = workflow(
        "  a: {runs-on: x}\n  b: {runs-on: x, permissions: {}}\n", "on: push\npermissions: {issues: write}"
    )
    assert permissions_of(one, "a") == {"issues": "write"}
    assert permissions_of(one, "b") == {}
    assert permissions_of(FULL, "a", {"x": "read"}) == {"contents": "read"}
    assert permissions_of(CHAIN, "a", {"x": "read"}) == {"x": "read"}
    assert permissions_of(CHAIN, "a") == {"contents": "read", "packages": "read"}


def test_of_the_whole_run() -> None:
    head = "on: push\nrun-name: By ${{ github.actor }}\nconcurrency: ${{ github.ref }}"
    one = workflow("  a: {runs-on: x}", head)
    assert run_name_of(one, CONTEXTS) == "By anna"
    assert concurrency_of(one, CONTEXTS) == Concurrency("refs/heads/main")
    assert run_name_of(CHAIN, CONTEXTS) is None
    assert concurrency_of(CHAIN, CONTEXTS) is None
    with pytest.raises(WorkflowError, match="cannot be empty"):
        concurrency_of(one, {})
    bad = workflow("  a: {runs-on: x}", "on: push\nrun-name: ${{ fromJSON('{') }}")
    with pytest.raises(ExpressionError):
        run_name_of(bad, {})


def test_order_puts_needs_first() -> None:
    one = workflow("  c: {runs-on: x, needs: [a, b]}\n  b: {runs-on: x, needs: a}\n  a: {runs-on: x}\n")
    assert order(one) == ("a", "b", "c")


def test_the_time_limits_of_a_job_are_evaluated_and_reach_its_process() -> None:
    job = {
        "runs-on": "x",
        "timeout-minutes": "${{ fromJSON('5') }}",
        "cancel-timeout-minutes": 2,
        "steps": [{"run": "x"}],
    }
    source = json.dumps({"on": "push", "jobs": {"a": job}})
    workflow = parse(source, "ci.yml").workflow
    assert workflow is not None
    decision = decide_job(workflow, "a", {}, {"github": {}, "inputs": {}, "vars": {}})
    assert isinstance(decision, Ready)
    (leg,) = decision.jobs
    assert (leg.timeout_minutes, leg.cancel_timeout_minutes) == (5, 2)
    assert leg.definition["timeout-minutes"] == 5
    assert leg.definition["cancel-timeout-minutes"] == 2
