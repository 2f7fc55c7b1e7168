"""What public workflow files are made of: each idiom is read, planned for its events, and never crashes the planner.

The verdicts were compared with GitHub's own parser.
"""

from __future__ import annotations

from typing import Any

import pytest

from windlass.workflow import (
    Event,
    Invalid,
    JobResult,
    Skipped,
    Workflow,
    concurrency_of,
    decide_job,
    dispatch_inputs,
    order,
    parse,
    run_name_of,
    triggered_by,
)
from windlass.workflow.grammar.events import DEFAULT_TYPES

PATH = ".github/workflows/a.yml"
JOB = "  a:\n    runs-on: ubuntu-latest\n"
STEPS = "    steps:\n      - run: x\n"
ON = "on: push\njobs:\n"

ACCEPTED = {
    "a strategy from another job": (
        ON
        + "  m:\n    runs-on: u\n    outputs: {s: '${{ steps.x.outputs.s }}'}\n    steps: [{id: x, run: ./gen}]\n"
        '  a:\n    needs: [m]\n    strategy: ${{ fromJSON(needs.m.outputs.s || \'{"matrix":{"o":["u"]}}\') }}\n'
        "    runs-on: ${{ matrix.o }}\n    container: ${{ matrix.container }}\n" + STEPS
    ),
    "a container only sometimes": (
        ON + JOB + "    strategy: {matrix: {platform: [linux, windows]}}\n"
        "    container: ${{ matrix.platform == 'linux' && fromJSON('{\"image\":\"alpine\"}') || null }}\n"
        + STEPS
    ),
    "labels from a variable": ON + "  a:\n    runs-on: ${{ fromJSON(vars.R || '[\"u\"]') }}\n" + STEPS,
    "a group of runners": ON + "  a:\n    runs-on: {group: large, labels: [x64]}\n" + STEPS,
    "anchors for paths and steps": (
        "on:\n  push:\n    paths: &p ['src/**', '!src/docs/**']\n  pull_request:\n    paths: *p\njobs:\n"
        + JOB
        + "    steps: &s\n      - run: x\n  b:\n    runs-on: u\n    steps: *s\n"
    ),
    "a schedule with names and steps": (
        "on:\n  schedule:\n    - cron: '0 0 * * SUN'\n    - cron: '*/15 1,2 * JAN-MAR 1-5'\n"
        "      timezone: Europe/Berlin\n"
        "jobs:\n" + JOB + STEPS
    ),
    "concurrency in one line": (
        "on: push\nconcurrency: ${{ github.workflow }}-${{ github.ref }}\njobs:\n"
        + JOB
        + "    concurrency:\n      group: x\n      cancel-in-progress: ${{ github.ref != 'refs/heads/main' }}\n"
        + STEPS
    ),
    "a folded condition": (
        ON + JOB + "    if: >-\n      !contains(github.event.head_commit.message, 'skip') &&\n"
        "      (github.event_name == 'push' || github.actor != 'dependabot[bot]')\n" + STEPS
    ),
    "an environment by branch, or none": (
        ON + JOB + "    environment: ${{ (github.ref == 'refs/heads/main') && 'pypi' || '' }}\n" + STEPS
    ),
    "all kinds of inputs": (
        "on:\n  workflow_dispatch:\n    inputs:\n      e: {type: environment, required: true, default: ci}\n"
        "      b: {type: boolean, default: 'false'}\n      n: {type: number, default: '3'}\n"
        "      c: {type: choice, options: [1.0, a, true]}\njobs:\n"
        + JOB
        + "    environment: ${{ github.event.inputs.e }}\n"
        + STEPS
    ),
    "an empty dispatch": "on:\n  workflow_dispatch:\n    inputs:\njobs:\n" + JOB + STEPS,
    "a called workflow": (
        "on:\n  workflow_call:\n    inputs:\n      a: {type: string, default: ''}\n"
        "      b: {type: boolean}\n    secrets:\n"
        "      T: {required: true}\n      U:\n    outputs:\n"
        "      o: {description: d, value: '${{ jobs.a.outputs.o }}'}\n"
        "jobs:\n" + JOB + "    outputs: {o: '${{ steps.s.outputs.o }}'}\n    steps: [{id: s, run: x}]\n"
    ),
    "a matrix of all shapes": (
        ON
        + JOB
        + "    strategy:\n      fail-fast: ${{ github.event_name == 'merge_group' }}\n      max-parallel: 2\n"
        "      matrix:\n        python: [3.8, '3.10', pypy3.9]\n        os: ${{ fromJSON('[\"a\"]') }}\n"
        "        include:\n          - {os: b, python: 3.11, extra: [x, {y: 1}], experimental: true}\n"
        "        exclude:\n          - {os: a, python: 3.8}\n    name: ${{ matrix.os }}-${{ matrix.python }}\n"
        "    continue-on-error: ${{ matrix.experimental == true }}\n"
        "    timeout-minutes: ${{ fromJSON(matrix.limit || '10') }}\n" + STEPS
    ),
    "an environment of variables from JSON": ON + JOB + "    env: ${{ fromJSON(vars.E || '{}') }}\n" + STEPS,
    "services with options": (
        ON
        + JOB
        + "    services:\n      pg:\n        image: postgres:16\n        env: {POSTGRES_PASSWORD: x, N: 1}\n"
        "        ports: ['5432:5432', 6379]\n"
        "        options: >-\n          --health-cmd pg_isready\n          --health-retries 5\n" + STEPS
    ),
    "an index over lines": (
        ON
        + JOB
        + '    steps:\n      - uses: a/b@v1\n        with:\n          env: ${{ fromJSON(\'["P", "Q"]\')\n'
        "            [github.ref != 'refs/heads/master'] }}\n"
    ),
    "a filter of objects": (
        ON
        + JOB
        + "    if: contains(github.event.pull_request.labels.*.name, 'x') || github.event_name == 'push'\n"
        + STEPS
    ),
    "after another workflow": (
        "on:\n  workflow_run:\n    workflows: [CI]\n    types: [completed]\n    branches-ignore: [gh-pages]\njobs:\n"
        + JOB
        + "    if: ${{ github.event.workflow_run.conclusion == 'success' }}\n"
        + STEPS
    ),
    "types and branches as one word": (
        "on:\n  pull_request:\n    types: opened\n    branches: main\n    paths: '**.py'\njobs:\n"
        + JOB
        + STEPS
    ),
    "tags with ranges": (
        "on:\n  push:\n    tags: ['v[0-9]+.[0-9]+.[0-9]+', '!v*-rc*', 'v?.*']\njobs:\n" + JOB + STEPS
    ),
    "permissions of all sorts": (
        "on: push\npermissions: {}\njobs:\n"
        + JOB
        + "    permissions: {contents: read, id-token: write, attestations: write, models: read, pages: write}\n"
        + STEPS
    ),
    "carriage returns, a mark of byte order and another alphabet": (
        "\ufeff"
        + ("name: 🚀 Relëase\nrun-name: ${{ github.actor }} 🚀\n" + ON + JOB + STEPS).replace("\n", "\r\n")
    ),
    "numbers that YAML 1.1 takes for others": (
        ON
        + JOB
        + "    env: {A: 010, B: 0o7, C: 1e3, D: .5, E: ~, F: 0x1F, G: 2024-01-01, H: 12:30:45, I: 1_000}\n"
        + STEPS
    ),
}

REFUSED = {
    "a merge key": (
        ON + "  a: &a\n    runs-on: u\n    steps: [{run: x}]\n  b:\n    <<: *a\n",
        "Unexpected value '<<'",
    ),
    "keys of one's own": ("on: push\nx-common: 1\njobs:\n" + JOB + STEPS, "Unexpected value 'x-common'"),
    "yes for true": (ON + JOB + "    continue-on-error: yes\n" + STEPS, "Unexpected value 'yes'"),
    "permissions of nothing": ("on: push\npermissions:\njobs:\n" + JOB + STEPS, "Unexpected value ''"),
    "an empty with": (ON + JOB + "    steps:\n      - uses: ./\n        with:\n", "Unexpected value ''"),
    "the runner in a job's env": (
        ON + JOB + "    env: {Y: '${{ runner.os }}'}\n" + STEPS,
        "Unrecognized named-value: 'runner'",
    ),
    "the matrix in a step's shell": (
        ON + JOB + "    steps:\n      - run: x\n        shell: ${{ matrix.s }}\n",
        "Unrecognized named-value: 'matrix'",
    ),
    "the eighth day of the week": (
        "on:\n  schedule:\n    - cron: '17 3 * * 8'\njobs:\n" + JOB + STEPS,
        "Invalid cron",
    ),
}


def payload(workflow: Workflow, name: str) -> dict[str, Any]:
    """Return what the event would show that this workflow waits for."""
    trigger = workflow.triggers[name]
    types = trigger.types or DEFAULT_TYPES.get(name, ())
    found: dict[str, Any] = {"head_commit": {"message": "m"}, "action": types[0] if types else None}
    if name == "schedule":
        found["schedule"] = trigger.schedules[0].cron
    if name == "workflow_run":
        found["workflow_run"] = {"name": "CI", "conclusion": "success", "head_branch": "main"}
    if name == "pull_request":
        found["pull_request"] = {"base": {"ref": "main"}, "head": {"ref": "f"}, "labels": [{"name": "x"}]}
    return found


def inputs(workflow: Workflow, name: str) -> dict[str, Any]:
    trigger = workflow.triggers[name]
    if name != "workflow_dispatch":
        return {key: item.default for key, item in trigger.inputs.items()}
    given = {key: item.options[0] for key, item in trigger.inputs.items() if item.options}
    return dispatch_inputs(workflow, given)


@pytest.mark.parametrize("source", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_an_idiom_is_read_and_planned(source: str) -> None:
    parsed = parse(source, PATH)
    workflow = parsed.workflow
    assert workflow is not None, parsed.diagnostics
    for name in workflow.triggers:
        ref = "refs/tags/v1.2.3" if workflow.triggers[name].tags else "refs/heads/main"
        event = payload(workflow, name)
        decision = triggered_by(workflow, Event(name, ref, event, ("src/a.py",)))
        assert decision or name == "workflow_call", decision.reason
        github = {"event_name": name, "ref": ref, "actor": "ann", "workflow": "w", "event": event}
        contexts = {"github": github, "inputs": inputs(workflow, name), "vars": {}}
        run_name_of(workflow, contexts)
        concurrency_of(workflow, contexts)
        results: dict[str, JobResult] = {}
        for key in order(workflow):
            decided = decide_job(workflow, key, results, contexts)
            assert not isinstance(decided, (Invalid, Skipped)), decided
            results[key] = JobResult("success", {})


@pytest.mark.parametrize(("source", "said"), REFUSED.values(), ids=REFUSED.keys())
def test_what_github_refuses_is_refused_in_its_words(source: str, said: str) -> None:
    parsed = parse(source, PATH)
    assert parsed.workflow is None
    assert said in parsed.diagnostics[0].message
