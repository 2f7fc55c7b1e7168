from __future__ import annotations

import pytest

from windlass.workflow.lint import RULES, lint
from windlass.workflow.lint.hints import cycle_in
from workflow.lint.cases import codes, notes, severities, workflow

SHA = "0123456789abcdef0123456789abcdef01234567"
HEAD = "${{ github.event.pull_request.head.sha }}"


def checkout(ref: str = HEAD, key: str = "ref", condition: str = "") -> str:
    guard = f', if: "{condition}"' if condition else ""
    return f"{{uses: actions/checkout@v6, with: {{{key}: '{ref}'}}{guard}}}"


# ---- privileged-checkout


@pytest.mark.parametrize(
    "step",
    [
        checkout(),
        checkout("${{ github.head_ref }}"),
        checkout("refs/pull/${{ github.event.number }}/merge"),
        checkout("${{ github.event.pull_request.head.repo.full_name }}", "repository"),
        checkout("${{ github.event.pull_request.head.ref || github.sha }}"),
        checkout(condition="github.event.action == 'opened'"),
    ],
)
def test_a_privileged_checkout_of_the_head_is_an_error(step: str) -> None:
    assert severities(workflow("pull_request_target", step)) == ["privileged-checkout error"]


@pytest.mark.parametrize(
    ("on", "step"),
    [
        ("pull_request", checkout()),
        ("pull_request_target", checkout("${{ github.event.pull_request.base.sha }}")),
        ("pull_request_target", checkout("main")),
        ("pull_request_target", "uses: actions/checkout@v6"),
        ("[push, pull_request_target]", checkout(condition="github.event_name == 'push'")),
        (
            "pull_request_target",
            checkout(condition="github.event.pull_request.head.repo.full_name == github.repository"),
        ),
        ("pull_request_target", checkout(condition="!github.event.pull_request.head.repo.fork")),
        (
            "workflow_run",
            checkout(
                "${{ github.event.workflow_run.head_sha }}",
                condition="github.event.workflow_run.event == 'push' && success()",
            ),
        ),
    ],
)
def test_what_no_stranger_reaches_is_none(on: str, step: str) -> None:
    on = "{workflow_run: {workflows: [ci]}}" if on == "workflow_run" else on
    assert codes(workflow(on, step)) == []


@pytest.mark.parametrize(
    "condition", ["github.event.pull_request.head.repo.full_name != github.repository", "always()"]
)
def test_a_condition_that_lets_strangers_in_does_not_help(condition: str) -> None:
    assert codes(workflow("pull_request_target", checkout(condition=condition))) == ["privileged-checkout"]


def test_guards_by_people_and_the_other_ways_are_warnings() -> None:
    labels = checkout(condition="contains(github.event.pull_request.labels.*.name, 'safe')")
    assert severities(workflow("pull_request_target", labels)) == ["privileged-checkout warning"]
    protected = workflow("pull_request_target", checkout(), job="environment: review")
    assert severities(protected) == ["privileged-checkout warning"]
    command = workflow("pull_request_target", "run: gh pr checkout 12")
    assert severities(command) == ["privileged-checkout warning"]
    later = workflow(
        "{workflow_run: {workflows: [ci]}}", checkout("${{ github.event.workflow_run.head_sha }}")
    )
    assert severities(later) == ["privileged-checkout warning"]


# ---- actions


@pytest.mark.parametrize(
    "uses", ["acme/x@v1", "acme/x/sub@v1.2.3", "acme/x@abcdef1", "actions/checkout@main", "docker://alpine:3"]
)
def test_what_can_move_is_unpinned(uses: str) -> None:
    assert codes(workflow("push", f"uses: {uses}")) == ["unpinned-action"]


@pytest.mark.parametrize(
    "uses",
    [
        f"acme/x@{SHA}",
        "actions/checkout@v6",
        "github/codeql-action/init@v4",
        "./here",
        f"docker://a@sha256:{SHA}",
    ],
)
def test_what_cannot_move_or_is_of_the_house_is_pinned(uses: str) -> None:
    assert codes(workflow("push", f"uses: {uses}")) == []


def test_trusted_owners_need_no_pin() -> None:
    source = workflow("push", "uses: Acme/x@v1", "uses: acme/x@main", "uses: other/x@v1")
    found = lint(source, "a.yml", None, frozenset({"acme"})).diagnostics
    assert [item.message.split("`")[1] for item in found] == ["other/x@v1"]


def test_called_workflows_of_others_are_pinned_too() -> None:
    source = "on: push\njobs: {a: {uses: acme/x/.github/workflows/y.yml@v1}}"
    assert codes(source) == ["unpinned-action"]


@pytest.mark.parametrize(
    ("uses", "expected"),
    [
        ("actions/upload-artifact@v3", "error"),
        ("actions/cache@v2.1", "error"),
        ("actions/checkout@v3", "warning"),
        ("actions/setup-python@v4.7.1", "warning"),
        ("actions/create-release@v1", "warning"),
        ("actions/checkout@v4", "info"),
    ],
)
def test_old_versions_of_githubs_actions(uses: str, expected: str) -> None:
    assert severities(workflow("push", f"uses: {uses}")) == [f"deprecated-action {expected}"]


@pytest.mark.parametrize(
    "uses", ["actions/checkout@v7", "actions/upload-artifact@v7", f"actions/checkout@{SHA}"]
)
def test_current_versions_are_none(uses: str) -> None:
    assert severities(workflow("push", f"uses: {uses}")) == []


COMPOSITE = """
name: x
inputs: {Size: {}}
outputs: {made: {value: "${{ steps.s.outputs.made }}"}}
runs: {using: composite, steps: [{id: s, shell: bash, run: 'echo "made=1" >> "$GITHUB_OUTPUT"'}]}
"""
FILES = {".github/actions/x/action.yml": COMPOSITE}


def test_local_actions_are_held_against_their_files() -> None:
    use = "{id: x, uses: ./.github/actions/x, with: {size: 1}}"
    assert codes(workflow("push", use, "run: echo ${{ steps.x.outputs.made }}"), files=FILES) == []
    assert codes(workflow("push", use.replace("size", "sise")), files=FILES) == ["unknown-action-input"]
    assert codes(workflow("push", use, "run: echo ${{ steps.x.outputs.mode }}"), files=FILES) == [
        "unset-output"
    ]
    assert codes(workflow("push", use), files={}) == ["unknown-action"]
    assert codes(workflow("push", use)) == []  # no checkout to look into
    elsewhere = "{uses: actions/checkout@v6, with: {repository: acme/x}}"
    assert codes(workflow("push", elsewhere, use), files={}) == []


# ---- conditions


@pytest.mark.parametrize(
    "condition",
    [
        "${{ github.ref == 'x' }} && success()",
        "\"!${{ github.ref == 'x' }}\"",
        "|\n          ${{ false }}\n",
        "${{ success() }} && ${{ false }}",
    ],
)
def test_text_around_an_expression_makes_it_true(condition: str) -> None:
    assert codes(workflow("push", f"if: {condition}\n        run: ls")) == ["constant-condition"]
    assert codes(workflow("push", "run: ls", job=f"if: {condition}".replace("          ", "  "))) == [
        "constant-condition"
    ]


@pytest.mark.parametrize(
    "condition",
    [
        "${{ github.ref == 'x' }}",
        "github.ref == 'x'",
        "|-\n          ${{ github.ref }}\n",
        "|\n          github.ref\n",
    ],
)
def test_whole_expressions_decide(condition: str) -> None:
    assert codes(workflow("push", f"if: {condition}\n        run: ls")) == []


@pytest.mark.parametrize(
    ("on", "condition"),
    [
        ("push", "false"),
        ("push", "${{ false && always() }}"),
        ("[push, pull_request]", "github.event_name == 'schedule'"),
        ("[push, pull_request]", "github.event_name == 'schedule' && github.ref == 'x' || false"),
        ("{push: {branches: [main]}}", "startsWith(github.ref, 'refs/tags/v')"),
        ("{push: {branches: [main]}}", "github.ref == 'main'"),
        ("{push: {branches: [main]}}", "github.ref_type == 'tag'"),
        ("{push: {tags: ['v*']}}", "github.ref == 'refs/heads/main'"),
        ("{pull_request: {types: [closed]}}", "github.event.action == 'opened'"),
        ("push", "!contains('abc', 'b')"),
    ],
)
def test_a_job_that_no_event_reaches(on: str, condition: str) -> None:
    assert codes(workflow(on, "run: ls", job=f'if: "{condition}"')) == ["unreachable-job"]
    assert codes(workflow(on, f'{{run: ls, if: "{condition}"}}')) == ["unreachable-step"]


@pytest.mark.parametrize(
    ("on", "condition"),
    [
        ("[push, schedule]", "github.event_name == 'schedule'"),
        ("[workflow_call]", "github.event_name == 'schedule'"),
        ("push", "startsWith(github.ref, 'refs/tags/v')"),
        ("{push: {branches: [main], tags: ['v*']}}", "startsWith(github.ref, 'refs/tags/v')"),
        ("{push: {branches: [main]}}", "startsWith(github.ref, 'refs/')"),
        ("{push: {branches: [main]}, workflow_dispatch: }", "startsWith(github.ref, 'refs/tags/v')"),
        ("push", "github.event_name != 'schedule' && !cancelled()"),
        ("push", "vars.ON == 'yes' || false"),
        ("{pull_request: {types: [closed, opened]}}", "github.event.action == 'opened'"),
    ],
)
def test_a_job_that_some_event_reaches(on: str, condition: str) -> None:
    assert codes(workflow(on, "run: ls", job=f'if: "{condition}"')) == []


def test_what_needs_an_unreachable_job_is_unreachable() -> None:
    source = """
on: push
jobs:
  c: {needs: b, runs-on: x, steps: [{run: ls}]}
  b: {needs: a, if: "success() && true", runs-on: x, steps: [{run: ls}]}
  a: {if: false, runs-on: x, steps: [{run: ls, if: false}]}
  d: {needs: a, if: always(), runs-on: x, steps: [{run: ls}]}
  e: {needs: a, if: "!cancelled()", runs-on: x, steps: [{run: ls}]}
"""
    found = lint(source, "a.yml").diagnostics
    assert [(item.code, item.span.line) for item in found if item.span] == [
        ("unreachable-job", n) for n in (4, 5, 6)
    ]


def test_a_secret_in_a_condition() -> None:
    for source in (
        workflow("push", "{run: ls, if: \"secrets.X != ''\"}"),
        workflow("push", "run: ls", job="if: ${{ secrets.X }}"),
        workflow("push", "run: ls\n        if: >-\n          always() &&\n          secrets.X"),
    ):
        assert severities(source) == ["secret-in-if error"]
    elsewhere = workflow("push", "run: ls", job="name: ${{ secrets.X }}")
    assert codes(elsewhere) == ["expression"]


def test_a_circle_of_needs_is_said_by_the_parser() -> None:
    source = "on: push\njobs: {z: {runs-on: x, steps: [{run: a}]}"
    source += ", a: {needs: b, runs-on: x, steps: [{run: a}]}, b: {needs: a, runs-on: x, steps: [{run: a}]}}"
    assert codes(source) == ["needs-cycle", "needs-cycle"]


# ---- references


@pytest.mark.parametrize(
    ("script", "found"),
    [
        ('echo "x=1" >> "$GITHUB_OUTPUT"', 0),
        ('echo "::set-output name=x::1"', 1),  # deprecated, but it sets it
        ("echo hello", 1),
        ('echo "y=1" >> "$GITHUB_OUTPUT"', 1),
        ("git diff --quiet || echo 'changed=1' >> $GITHUB_OUTPUT", 1),
        ('if [ -f a ]; then\n  V=$(cat a)\n  echo "v=$V" | tee -a $GITHUB_OUTPUT\nfi', 1),
        ("./make-outputs.sh", 0),
        ("python outputs.py >> $GITHUB_OUTPUT", 0),
        ('for k in a b; do echo "$k=1" >> $GITHUB_OUTPUT; done', 0),
        ("echo '${{ github.job }}=1' >> $GITHUB_OUTPUT", 0),
        ("{\n  echo 'x<<EOF'\n  cat file\n  echo EOF\n} >> $GITHUB_OUTPUT", 0),
        ("cat env-file >> $GITHUB_OUTPUT && make", 0),
        ("jq -r 'to_entries[] | \"\\(.key)=\\(.value)\"' a.json >> $GITHUB_OUTPUT", 0),
        ("cat a.env >> $GITHUB_OUTPUT", 0),
    ],
)
def test_outputs_of_scripts(script: str, found: int) -> None:
    lines = "\n".join(f"          {line}" for line in script.splitlines())
    source = workflow("push", f"id: s\n        run: |\n{lines}", "run: echo ${{ steps.s.outputs.x }}")
    assert len(codes(source)) == found, codes(source)


def test_outputs_of_other_shells_are_not_judged() -> None:
    source = workflow("push", "{id: s, shell: pwsh, run: dir}", "run: echo ${{ steps.s.outputs.x }}")
    assert codes(source) == []


def test_outputs_of_steps_and_jobs_that_are_not_there() -> None:
    source = """
on: {push: , workflow_call: {outputs: {o: {value: "${{ jobs.a.outputs.w }}"}, p: {value: "${{ jobs.q.outputs.x }}"}}}}
jobs:
  a:
    runs-on: x
    outputs: {v: "${{ steps.nope.outputs.v }}"}
    steps: [{run: ls}]
  b:
    needs: [a]
    runs-on: x
    steps:
      - run: echo ${{ needs.a.outputs.v }} ${{ needs.a.result }} ${{ toJSON(needs) }}
      - run: echo ${{ needs.a.outputs.w }}
      - run: echo ${{ needs.z.result }}
  c:
    needs: b
    runs-on: x
    steps: [{run: "echo ${{ needs.a.result }} ${{ needs.b.status }}"}]
"""
    found = lint(source, "a.yml").diagnostics
    assert [(item.span.line, item.code) for item in found if item.span] == [
        (2, "unset-output"),
        (2, "unknown-reference"),
        (6, "unset-output"),
        (13, "unset-output"),
        (14, "unknown-reference"),
        (18, "unknown-reference"),
        (18, "unknown-reference"),
    ]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("steps.first.outcome", []),
        ("steps.FIRST.conclusion", []),
        ("steps.later.outcome", ["unknown-reference"]),
        ("steps.here.outcome", ["unknown-reference"]),
        ("steps.first.output.x", ["unknown-reference"]),
        ("steps.none.outcome", ["unknown-reference"]),
        ("steps[github.job].outcome", []),
        ("matrix.os", []),
        ("matrix.extra", []),
        ("matrix.oss", ["unknown-reference"]),
        ("matrix.oss || 'x'", []),
        ("inputs.kind", []),
        ("inputs.kid", ["unknown-reference"]),
    ],
)
def test_names(expression: str, expected: list[str]) -> None:
    source = workflow(
        "{workflow_dispatch: {inputs: {kind: {type: boolean}}}}",
        "{id: first, run: ls}",
        f'{{id: here, name: "${{{{ {expression} }}}}", run: ls}}',
        "{id: later, run: ls}",
        job="strategy: {matrix: {os: [a], include: [{os: b, extra: c}]}}",
    )
    assert codes(source) == expected


def test_a_matrix_from_an_expression_may_hold_anything() -> None:
    for matrix in (
        "\"${{ fromJSON('{}') }}\"",
        "{include: \"${{ fromJSON('[]') }}\"}",
        '{include: ["${{ inputs }}"]}',
    ):
        source = workflow("push", "run: echo ${{ matrix.any }}", job=f"strategy: {{matrix: {matrix}}}")
        assert codes(source) == []


CALLED = """
on: {workflow_call: {inputs: {x: {type: string, required: true}}, outputs: {o: {value: v}}}}
jobs: {a: {runs-on: x, steps: [{run: ls}]}}
"""
CALLER = """
on: push
jobs:
  a: {uses: ./.github/workflows/c.yml, with: {x: y}}
  b: {needs: a, runs-on: x, steps: [{run: "echo ${{ needs.a.outputs.o }}"}]}
"""


def test_calls_of_local_workflows() -> None:
    files = {".github/workflows/c.yml": CALLED, ".github/workflows/d.yml": workflow("push", "run: ls")}
    assert codes(CALLER, files=files) == []
    assert codes(CALLER.replace("outputs.o", "outputs.p"), files=files) == ["unset-output"]
    assert codes(CALLER.replace("{x: y}", "{z: y}"), files=files) == ["missing-input", "unknown-input"]
    assert codes(CALLER.replace("c.yml", "d.yml"), files=files) == ["not-callable"]
    assert codes(CALLER.replace("c.yml", "e.yml"), files=files) == ["unknown-workflow"]
    assert codes(CALLER.replace("c.yml", "e.yml")) == []


# ---- deprecated


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("echo '::set-output name=a::b'", ["deprecated-command warning"]),
        ("echo ::save-state name=a::b", ["deprecated-command warning"]),
        ('echo "::set-env name=A::b"', ["deprecated-command error"]),
        ("echo ::add-path::/x", ["deprecated-command error"]),
        ("grep -r '::set-output name=' .", []),
        ("# echo ::set-output name=a::b", []),
        ("echo ::error::x", []),
    ],
)
def test_deprecated_commands(script: str, expected: list[str]) -> None:
    assert severities(workflow("push", f"run: |\n          {script}")) == expected


def test_refused_commands_may_be_allowed() -> None:
    source = workflow("push", "run: echo ::add-path::/x", job="env: {ACTIONS_ALLOW_UNSECURE_COMMANDS: true}")
    assert severities(source) == ["deprecated-command warning"]


@pytest.mark.parametrize(
    ("job", "expected"),
    [
        ("runs-on: ubuntu-20.04", 1),
        ("runs-on: [macos-13]", 1),
        ("runs-on: ubuntu-24.04", 0),
        ("runs-on: [self-hosted, ubuntu-20.04]", 0),
        ("runs-on: {group: g, labels: ubuntu-20.04}", 0),
        (
            "runs-on: '${{ matrix.os }}'\nstrategy: {matrix: {os: [windows-2019, ubuntu-24.04], x: [macos-12]}}",
            1,
        ),
        ("runs-on: '${{ matrix.os }}'\nstrategy: {matrix: {include: [{os: macos-12}]}}", 1),
    ],
)
def test_removed_images(job: str, expected: int) -> None:
    source = workflow("push", "run: ls", job=job).replace("    runs-on: ubuntu-latest\n", "")
    assert codes(source) == ["deprecated-runner"] * expected


# ---- ignoring


def test_a_comment_ignores_on_its_line_or_the_next() -> None:
    bad = "uses: acme/x@v1"
    assert codes(workflow("push", f"{bad} # windlass: ignore[unpinned-action]")) == []
    assert codes(workflow("push", f"# windlass: ignore[unpinned-action, other]\n        {bad}")) == []
    assert codes(workflow("push", f"{bad} # windlass: ignore[script-injection]")) == ["unpinned-action"]
    assert codes(workflow("push", f"{bad} # windlass: ignore[unpinned-action]", bad)) == ["unpinned-action"]
    script = "run: | # windlass: ignore[script-injection]\n          ls\n          echo ${{ github.event.issue.title }}"
    assert codes(workflow("issues", script)) == []
    counted = lint(workflow("issues", script), "a.yml")
    assert counted.ignored == 1


def test_a_workflow_may_be_called_action() -> None:
    assert codes(workflow("push", "run: ls"), ".github/workflows/action.yml") == []
    assert notes(workflow("push", "run: ls")) == []


def test_codes_are_kebab_case_and_have_a_page() -> None:
    for code, rule in RULES.items():
        assert rule.code == code
        assert code.replace("-", "").isalpha()
        assert rule.link == f"lint.md#{code}"


# ---- action-metadata, hints


ACTION = """\
name: a
description: b
inputs:
  version: {description: c, default: '1', deprecationMessage: d}
runs:
  using: composite
  steps:
    - {run: x, shell: bash}
"""


def test_keys_that_an_action_file_does_not_have_are_told() -> None:
    assert codes(ACTION, "action.yml") == []
    for good, bad, what in (
        ("inputs:", "input:", "An action has no key `input`"),
        ("default:", "defualt:", "An input has no key `defualt`"),
        ("shell: bash", "shell: bash, timeout-minutes: 3", "GitHub refuses an action with `timeout-minutes`"),
    ):
        found = lint(ACTION.replace(good, bad), "action.yml").diagnostics
        said = [item.message for item in found if item.code == "action-metadata"]
        assert any(message.startswith(what) for message in said), (bad, found)


def test_kinds_of_actions_have_keys_of_their_own() -> None:
    node = "name: a\ndescription: b\nruns: {using: node20, main: a.js, pre: b.js, post: c.js, post-if: always()}\n"
    docker = "name: a\ndescription: b\nruns: {using: docker, image: Dockerfile, args: [x], env: {A: b}}\n"
    assert codes(node, "action.yml") == codes(docker, "action.yml") == []
    assert "unexpected-key" in codes(docker.replace("image:", "pre: b.js, image:"), "action.yml")


def test_metadata_of_workflows_is_none_of_its_business() -> None:
    assert codes(workflow("push", "{run: x, timeout-minutes: 3}")) == []


def test_an_action_without_name_or_description_is_a_note() -> None:
    bare = "runs: {using: composite, steps: []}\n"
    found = lint(bare, "action.yml").diagnostics
    assert [(item.code, item.severity) for item in found] == [("action-metadata", "info")] * 2


def test_a_name_that_leads_nowhere_is_milder_where_it_is_only_shown() -> None:
    for context in ("matrix.python", "steps.none.outputs.x", "needs.none.result", "inputs.none"):
        shown = workflow("push", f"{{run: x, name: 'With ${{{{ {context} }}}}'}}")
        used = workflow("push", f"{{run: x, env: {{A: '${{{{ {context} }}}}'}}}}")
        assert [item.split()[1] for item in severities(shown)] == ["warning"], context
        assert [item.split()[1] for item in severities(used)] == ["error"], context


def test_a_cycle_of_needs_is_drawn_once() -> None:
    jobs = {"start": "", "a": "needs: [start, c]", "b": "needs: A", "c": "needs: b", "end": "needs: c"}
    text = "on: push\njobs:\n" + "".join(
        f"  {name}:\n    runs-on: u\n    steps: [{{run: x}}]\n" + (f"    {needs}\n" if needs else "")
        for name, needs in jobs.items()
    )
    said = [item.message for item in lint(text, ".github/workflows/a.yml").diagnostics]
    assert sum("The cycle is" in message for message in said) == 1
    assert any(message.endswith("The cycle is a → c → b → a") for message in said)


@pytest.mark.parametrize(
    ("edges", "cycle"),
    [
        ({"a": ["b"], "b": []}, []),
        ({"a": ["a"]}, ["a", "a"]),
        ({"a": ["b", "c"], "b": ["d"], "c": ["d"], "d": []}, []),
        ({"a": ["b", "c"], "b": ["d"], "c": ["a"], "d": []}, ["a", "c", "a"]),
        ({"a": ["unknown"]}, []),
    ],
)
def test_cycles_are_found_and_diamonds_are_none(edges: dict[str, list[str]], cycle: list[str]) -> None:
    assert cycle_in(edges) == cycle


def test_a_long_chain_of_needs_is_no_trouble() -> None:
    assert cycle_in({str(n): [str(n + 1)] for n in range(5000)}) == []


@pytest.mark.parametrize(
    ("source", "hint"),
    [
        ("on: push\njobs:\n\ta:\n", "indented with a tab"),
        ("on: push\0\n", "Save it as UTF-8"),
        (
            "on: push\njobs:\n  a: &a\n    runs-on: u\n    steps: [{run: x}]\n  b:\n    <<: *a\n",
            "no merge keys",
        ),
    ],
)
def test_what_the_parser_says_gets_a_hint(source: str, hint: str) -> None:
    assert any(hint in item.message for item in lint(source, ".github/workflows/a.yml").diagnostics)
