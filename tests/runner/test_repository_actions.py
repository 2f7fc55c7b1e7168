"""Actions from repositories that these tests write: composite and JavaScript, local and hosted."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from windlass.runner.actions.reference import Reference, reference
from windlass.runner.errors import UnknownActionError

if TYPE_CHECKING:
    from collections.abc import Callable

    from runner.conftest import Forge, Ran, Server

CHECKOUT: dict[str, Any] = {"uses": "actions/checkout@v4"}
NEEDS_NODE = pytest.mark.skipif(not shutil.which("node"), reason="no node here")


def hosted(forge: Forge, server: Server, files: dict[str, str], *steps: dict[str, Any], **more: Any) -> Ran:
    """Run steps in a repository that has `files`, with the actions of acme/actions beside it."""
    server.repository("acme/service", files)
    return forge.run(CHECKOUT, *steps, github={"sha": ""}, **more)


@pytest.mark.parametrize(
    ("uses", "expected"),
    [
        ("./x/y", Reference("local", "./x/y")),
        ("docker://alpine:3", Reference("image", "alpine:3")),
        ("a/b@v1", Reference("hosted", "", "a/b", "v1")),
        ("a/b/c/d@releases/v1", Reference("hosted", "c/d", "a/b", "releases/v1")),
        ("$/tools/x", Reference("own", "tools/x")),
    ],
)
def test_reference(uses: str, expected: Reference) -> None:
    assert reference(uses) == expected


@pytest.mark.parametrize(
    "uses",
    [
        "a/b",
        "a@v1",
        "a/b@",
        "a/b@--upload-pack=x",
        "a/b@x:y",
        "a/b/../../c@v1",
        "$/../x",
        "-a/b@v1",
        "a/b@../c",
    ],
)
def test_what_is_no_reference_is_refused(uses: str) -> None:
    with pytest.raises(UnknownActionError):
        reference(uses)


def test_a_local_composite_action_has_inputs_outputs_and_a_place(forge: Forge, server: Server) -> None:
    action = """
name: greet
inputs:
  who: {default: "${{ github.actor }}"}
  how: {required: true}
outputs:
  text: {value: "${{ steps.make.outputs.text }}"}
runs:
  using: composite
  steps:
    - id: make
      shell: bash
      env: {GREETING: "${{ inputs.how }}"}
      run: |
        echo "text=$GREETING, ${{ inputs.who }}" >> "$GITHUB_OUTPUT"
        echo "$OUTER $GITHUB_ACTION_PATH ${{ github.action_path }}" | sed "s#$GITHUB_WORKSPACE/##g"
        cat "$GITHUB_ACTION_PATH/beside"
        echo LATER=1 >> "$GITHUB_ENV"
    - shell: bash
      run: echo "later $LATER, secret '${{ inputs.none }}'"
    - if: always() && inputs.who == 'nobody'
      shell: bash
      run: echo never
"""
    ran = hosted(
        forge,
        server,
        {"ci/greet/action.yml": action, "ci/greet/beside": "beside\n"},
        {"id": "g", "uses": "./ci/greet", "with": {"how": "hello"}, "env": {"OUTER": "outer"}},
        {"run": "echo '${{ steps.g.outputs.text }}' $LATER ${{ steps.make.outputs.text }}"},
    )
    assert ran.conclusion == "success", ran.everything
    assert "outer ci/greet ci/greet\nbeside\n" in ran.log(2)
    assert "later 1, secret ''\n" in ran.log(2)
    assert "never" not in ran.log(2)
    assert ran.printed(3) == "hello, anna 1\n"
    assert ran.step(2)["outputs"] == {"text": "hello, anna"}
    assert "GITHUB_ACTION_PATH" not in ran.log(3)


def test_status_inside_a_composite_action_is_its_own(forge: Forge, server: Server) -> None:
    action = """
runs:
  using: composite
  steps:
    - {id: soft, shell: bash, run: exit 3, continue-on-error: true}
    - {shell: bash, run: "echo still here ${{ steps.soft.outcome }} ${{ steps.soft.conclusion }}"}
    - {shell: bash, run: exit 4}
    - {shell: bash, run: echo skipped}
    - {if: failure(), shell: bash, run: "echo cleaned ${{ github.action_status }} ${{ job.status }}"}
"""
    ran = hosted(
        forge,
        server,
        {"act/action.yml": action},
        {"run": "exit 1", "continue-on-error": True},
        {"id": "act", "uses": "./act"},
        {"run": "echo outside", "if": "failure() && steps.act.outcome == 'failure'"},
    )
    assert ran.conclusion == "failure"
    assert "still here failure success\n" in ran.log(3)
    assert "echo skipped\n" not in ran.log(3)
    assert "cleaned failure success\n" in ran.log(3)
    assert ran.printed(4) == "outside\n"
    assert "exit code 4" in ran.wait()["reason"]
    assert "./act" in ran.wait()["reason"]


def test_a_composite_action_that_runs_after_a_failure_starts_afresh(forge: Forge, server: Server) -> None:
    action = "runs: {using: composite, steps: [{shell: bash, run: echo inside}]}"
    ran = hosted(
        forge, server, {"act/action.yml": action}, {"run": "false"}, {"uses": "./act", "if": "always()"}
    )
    assert ran.log(3).endswith("inside\n")


def test_secrets_are_not_for_composite_actions(host_forge: Forge, server: Server) -> None:
    action = "runs: {using: composite, steps: [{shell: bash, run: 'echo ${{ secrets.KEY }}'}]}"
    ran = hosted(
        host_forge, server, {"act/action.yml": action}, {"uses": "./act"}, secrets={"KEY": "k3y-value"}
    )
    assert ran.conclusion == "failure"
    assert "secrets" in ran.wait()["reason"]
    assert "action.yml:1" in ran.wait()["reason"]


def test_ten_actions_may_be_nested_and_not_eleven(host_forge: Forge, server: Server) -> None:
    inner = "runs: {using: composite, steps: [{uses: ./a%d}]}"
    files = {f"a{number}/action.yml": inner % (number + 1) for number in range(11)}
    files["a11/action.yml"] = "runs: {using: composite, steps: [{shell: sh, run: echo the innermost}]}"
    ten = hosted(host_forge, server, files, {"uses": "./a2"}, {"uses": "./a1"})
    assert "the innermost" in ten.printed(2), ten.everything
    assert ten.step(2)["outcome"] == "success"
    assert "nested deeper than 10" in ten.wait()["reason"]


def test_actions_nested_without_end_are_stopped(host_forge: Forge, server: Server) -> None:
    action = "runs: {using: composite, steps: [{uses: ./act}]}"
    ran = hosted(host_forge, server, {"act/action.yml": action}, {"uses": "./act"})
    assert "nested deeper than 10" in ran.wait()["reason"]


def test_a_hosted_action_is_pinned_to_the_commit_it_came_to(forge: Forge, server: Server) -> None:
    def action(word: str) -> str:
        return f"runs: {{using: composite, steps: [{{shell: bash, run: echo {word}}}]}}"

    server.repository("acme/service", {"a": "1"})
    first = server.repository("acme/actions", {"say/action.yaml": action("old")})
    second = server.commit("acme/actions", {"say/action.yaml": action("new")}, "second")
    ran = forge.run(
        {"uses": f"acme/actions/say@{first}"},
        {"uses": "acme/actions/say@main"},
        {"uses": "acme/actions/say@main"},
    )
    assert ran.conclusion == "success", ran.everything
    assert [ran.log(step).splitlines()[-1] for step in (1, 2, 3)] == ["old", "new", "new"]
    assert ran.log(0).count(f"Download action repository 'acme/actions@main' (SHA:{second})") == 1
    assert f"(SHA:{first})" in ran.log(0)


def test_hosted_composites_bring_what_they_use_and_what_lies_beside_them(
    forge: Forge, server: Server
) -> None:
    outer = """
runs:
  using: composite
  steps:
    - {uses: acme/inner@main, with: {word: "${{ github.action_repository }}"}}
    - {uses: $/beside}
"""
    inner = """
inputs: {word: {}}
runs:
  using: composite
  steps: [{shell: bash, run: "echo inner ${{ inputs.word }} $GITHUB_ACTION_REPOSITORY@$GITHUB_ACTION_REF"}]
"""
    beside = "runs: {using: composite, steps: [{shell: bash, run: echo beside}]}"
    server.repository("acme/outer", {"action.yml": outer, "beside/action.yml": beside})
    server.repository("acme/inner", {"action.yml": inner})
    ran = forge.run({"uses": "acme/outer@main"})
    assert ran.conclusion == "success", ran.everything
    assert "Download action repository 'acme/inner@main'" in ran.log(0)
    assert "inner acme/outer acme/inner@main\n" in ran.log(1)
    assert "beside\n" in ran.log(1)


def test_an_action_that_is_nowhere_fails_before_the_first_step(forge: Forge, server: Server) -> None:
    server.repository("acme/service", {"a": "1"})
    ran = forge.run({"run": "echo first"}, {"uses": "someone/else@v1"})
    assert ran.conclusion == "failure"
    assert ran.step(0)["conclusion"] == "failure"
    assert not ran.of("step.started", name="Run echo first")
    reason = ran.wait()["reason"]
    for words in ("someone/else@v1", "./PATH", "docker://", "windlass repo import"):
        assert words in reason
    assert "actions/checkout" in ran.log(0)


def test_the_beginning_of_a_commit_is_no_pin(host_forge: Forge, server: Server) -> None:
    commit = server.repository("acme/actions", {"action.yml": "runs: {using: composite, steps: []}"})
    ran = host_forge.run({"uses": f"acme/actions@{commit[:8]}"})
    assert "write all 40 digits" in ran.wait()["reason"]


def test_a_mistake_in_an_action_file_is_shown_with_its_place(host_forge: Forge, server: Server) -> None:
    server.repository(
        "acme/actions", {"action.yml": "name: x\nruns:\n  using: composite\n  steps:\n    - run: x\n"}
    )
    ran = host_forge.run({"uses": "acme/actions@main"})
    assert "acme/actions@main/action.yml:5" in ran.wait()["reason"]


def test_a_local_action_without_a_checkout_says_what_is_missing(host_forge: Forge, server: Server) -> None:
    ran = host_forge.run({"uses": "./act"})
    assert "actions/checkout" in ran.wait()["reason"]


def test_a_repository_cannot_take_the_name_of_a_built_in_action(forge: Forge, server: Server) -> None:
    server.repository("acme/service", {"a": "mine"})
    evil = "runs: {using: composite, steps: [{shell: bash, run: echo evil}]}"
    server.repository("actions/checkout", {"action.yml": evil})
    ran = forge.run({"uses": "actions/checkout@main"}, {"run": "cat a"}, github={"sha": ""})
    assert ran.printed(2) == "mine\n"
    assert "evil" not in ran.everything


# JavaScript

SHOW = """
const fs = require('fs'), env = process.env;
fs.appendFileSync(env.GITHUB_STATE, 'pre=ran before\\n');
console.log('PRE', env['INPUT_A-NAME'], env.INPUT_TWO_WORDS);
"""
MAIN = """
const fs = require('fs'), env = process.env;
console.log('MAIN', env.STATE_pre, env.INPUT_TWO_WORDS, env.GITHUB_ACTION_REPOSITORY, env.GITHUB_ACTION_REF);
console.log(fs.existsSync(env.GITHUB_ACTION_PATH + '/action.yml'), process.cwd() === env.GITHUB_WORKSPACE);
fs.appendFileSync(env.GITHUB_OUTPUT, 'made<<E\\none\\ntwo\\nE\\n');
fs.appendFileSync(env.GITHUB_ENV, 'FROM_ACTION=yes\\n');
fs.appendFileSync(env.GITHUB_PATH, '/opt/from-action\\n');
console.log('::save-state name=old::way');
console.log('::add-mask::hush-hush'); console.log('it is hush-hush');
"""
POST = "console.log('POST', process.env.STATE_pre, process.env.STATE_old, process.env.INPUT_TWO_WORDS);"
ACTION = """
name: js
inputs:
  a-name: {default: dash}
  two words: {default: "${{ github.actor }}"}
runs: {using: node16, pre: pre.js, main: dist/main.js, post: post.js}
"""


@NEEDS_NODE
def test_a_javascript_action_has_pre_main_and_post(forge: Forge, server: Server) -> None:
    files = {"action.yml": ACTION, "pre.js": SHOW, "dist/main.js": MAIN, "post.js": POST}
    server.repository("acme/js", files)
    ran = forge.run(
        {"run": "echo first"},
        {"id": "js", "name": "speak", "uses": "acme/js@main", "with": {"two words": "${{ github.job }} x"}},
        {"run": "echo '${{ toJSON(steps.js.outputs.made) }}' $FROM_ACTION $PATH $STATE_pre"},
    )
    assert ran.conclusion == "success", ran.everything
    names = [event["name"] for event in ran.of("step.started")]
    assert names == [
        "Set up job",
        "Pre speak",
        "Run echo first",
        "speak",
        names[4],
        "Post speak",
        "Complete job",
    ]
    assert "PRE dash test x\n" in ran.log(1)
    assert "MAIN ran before test x acme/js main\ntrue true\n" in ran.log(3)
    assert "it is ***\n" in ran.log(3)
    assert ran.printed(4).startswith('"one\\ntwo" yes /opt/from-action:')
    assert "POST ran before way test x\n" in ran.log(5)


@NEEDS_NODE
def test_posts_run_in_reverse_and_on_their_conditions(forge: Forge, server: Server) -> None:
    def action(condition: str) -> str:
        return f"runs: {{using: node16, main: m.js, post: p.js, post-if: '{condition}'}}"

    script = "console.log(process.env.INPUT_WHO); if (process.env.INPUT_WHO === 'bad') process.exitCode = 7"
    for name, condition in (("always", "always()"), ("good", "success()"), ("bad", "failure()")):
        server.repository(
            f"acme/{name}",
            {
                "action.yml": action(condition),
                "m.js": script,
                "p.js": "console.log('post', process.env.INPUT_WHO)",
            },
        )
    nested = """
runs:
  using: composite
  steps: [{uses: acme/always@main, with: {who: n1}}, {uses: acme/always@main, with: {who: n2}}]
"""
    server.repository("acme/nest", {"action.yml": nested})
    ran = forge.run(
        {"uses": "acme/always@main", "with": {"who": "first"}},
        {"uses": "acme/nest@main"},
        {"uses": "acme/good@main", "with": {"who": "good"}},
        {"uses": "acme/bad@main", "with": {"who": "bad"}},
    )
    assert ran.conclusion == "failure"
    assert "acme/bad@main ended with exit code 7" in ran.wait()["reason"]
    posts = [event["step"] for event in ran.of("step.started") if event["name"].startswith("Post ")]
    said = ["".join(ran.log(step).splitlines()[-1:]) for step in posts]  # before it, which node is used
    assert said == ["post bad", "", "post n2", "post n1", "post first"]
    assert [ran.step(step)["conclusion"] for step in posts][1] == "skipped"


@NEEDS_NODE
@pytest.mark.skipif(shutil.which("npm") is None, reason="no npm here to fetch it with")
def test_an_action_for_a_newer_node_gets_one(host_forge: Forge, server: Server) -> None:
    """From npm's registry, where the machine's is older."""
    script = "console.log(Number(process.versions.node.split('.')[0]) >= 24)"
    server.repository("acme/new", {"action.yml": "runs: {using: node24, main: m.js}", "m.js": script})
    ran = host_forge.run({"uses": "acme/new@main"})
    assert ran.conclusion == "success"
    assert "true\n" in ran.log(1)


@NEEDS_NODE
def test_a_javascript_action_sees_no_more_than_a_step(sandboxed: Forge, server: Server) -> None:
    probe = "console.log(require('fs').existsSync(process.env.INPUT_PATH), process.env.GITHUB_TOKEN)"
    server.repository(
        "acme/probe", {"action.yml": "inputs: {path: {}}\nruns: {using: node16, main: m.js}", "m.js": probe}
    )
    ran = sandboxed.run({"uses": "acme/probe@main", "with": {"path": str(sandboxed.data / "caches")}})
    assert "false undefined\n" in ran.log(1)


@NEEDS_NODE
def test_a_javascript_action_is_cancelled_like_a_step(forge: Forge, server: Server) -> None:
    script = "console.log('begun'); setTimeout(() => {}, 60000)"
    server.repository("acme/slow", {"action.yml": "runs: {using: node16, main: m.js}", "m.js": script})
    ran = forge.run({"uses": "acme/slow@main", "timeout-minutes": "0.01"})
    assert ran.step(1)["conclusion"] == "failure"
    assert ran.step(1)["seconds"] < 10


def test_actions_are_gone_with_the_job(host_forge: Forge, server: Server) -> None:
    server.repository("acme/actions", {"action.yml": "runs: {using: composite, steps: []}"})
    ran = host_forge.run({"uses": "acme/actions@main"})
    assert ran.conclusion == "success", json.dumps(ran.events)
    until_gone(ran)


def until_gone(ran: Ran) -> None:
    import time

    until = time.monotonic() + 5
    while (ran.directory / "actions").exists():
        assert time.monotonic() < until
        time.sleep(0.01)


SERVICES = """
const env = process.env, claims = JSON.parse(Buffer.from(env.ACTIONS_RUNTIME_TOKEN.split('.')[1], 'base64url'));
console.log('SCP', claims.scp, 'V2', env.ACTIONS_CACHE_SERVICE_V2, new URL(env.GITHUB_SERVER_URL).hostname);
console.log(env.ACTIONS_RESULTS_URL === new URL(env.GITHUB_API_URL).origin + '/');
console.log('ID', env.ACTIONS_ID_TOKEN_REQUEST_URL || 'none');
const run = require('child_process').execSync;
console.log(run(`git ls-remote ${env.GITHUB_SERVER_URL}/acme/js HEAD 2>&1 || true`).toString());
console.log('TOKEN', env.ACTIONS_RUNTIME_TOKEN);
"""


@NEEDS_NODE
@pytest.mark.parametrize("permission", ["none", "write"])
def test_the_toolkit_finds_its_services_and_an_identity_where_it_may_have_one(
    host_forge: Forge, server: Server, permission: str
) -> None:
    files = {"action.yml": "runs: {using: node16, main: main.js}", "main.js": SERVICES}
    server.repository("acme/js", files)
    step = {"run": "echo ${ACTIONS_RUNTIME_TOKEN:-none} ${ACTIONS_ID_TOKEN_REQUEST_URL:-nowhere}"}
    ran = host_forge.run({"uses": "acme/js@main"}, step, permissions={"id-token": permission})
    assert ran.conclusion == "success", ran.everything
    said = ran.printed(1)
    assert f"SCP Actions.Results:7:{ran.directory.name} V2 true windlass.localhost\ntrue\n" in said
    address = f"{host_forge.server_url}/_jobs/oidc/token?api-version=2.0"
    assert f"ID {address if permission == 'write' else 'none'}\n" in said
    assert ran.printed(2) == f"none {address if permission == 'write' else 'nowhere'}\n"
    assert f"'{host_forge.server_url}'" in said  # where git went under the other name
    assert not any(token in ran.everything for token in server.tokens)


@NEEDS_NODE
def test_a_node_that_is_nowhere_is_said_with_what_is_there(host_forge: Forge) -> None:
    ran = host_forge.run({"uses": "actions/setup-node@v4", "with": {"node-version": "4242"}})
    assert "node 4242 is wanted, this machine has" in ran.wait()["reason"]


def test_an_action_that_is_not_hosted_here_comes_from_the_mirror(
    forge: Forge, server: Server, another_server: Callable[[], Server]
) -> None:
    mirror = another_server()
    mirror.tokens.add("")
    body = "runs: {using: composite, steps: [{shell: sh, run: echo of the mirror}]}"
    commit = mirror.repository("acme/far", {"action.yml": body})
    mirror.repository("acme/near", {"action.yml": body.replace("mirror", "wrong place")})
    server.repository("acme/near", {"action.yml": body.replace("mirror", "server")})
    steps = [{"uses": "acme/far@main"}, {"uses": "acme/near@main"}]
    ran = forge.run(*steps, actions_mirror=f"{mirror.url}/")
    assert ran.conclusion == "success", ran.everything
    assert f"Download action repository 'acme/far@main' (SHA:{commit}) from {mirror.url}" in ran.log(0)
    assert "of the mirror" in ran.printed(1)
    assert "of the server" in ran.printed(2)
    assert mirror.refused == []  # the job's token is for its own server only
    absent = forge.run({"uses": "acme/none@main"}, actions_mirror=mirror.url)
    assert f"`actions_mirror`; now {mirror.url})" in absent.wait()["reason"]
