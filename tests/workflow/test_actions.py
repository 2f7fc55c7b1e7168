from __future__ import annotations

import pytest

from windlass.workflow import parse_action

COMPOSITE = """\
name: Greet
description: Says hello
author: somebody
branding: {icon: heart, color: red}
inputs:
  who: {description: Whom, required: true, default: World}
  old: {deprecationMessage: use who}
outputs:
  said: {description: What, value: "${{ steps.say.outputs.text }}"}
runs:
  using: composite
  steps:
    - id: say
      run: echo "text=${{ inputs.who }}" >> $GITHUB_OUTPUT
      shell: bash
    - uses: actions/cache@v4
      if: ${{ inputs.who == 'x' }}
"""


def test_a_composite_action() -> None:
    action = parse_action(COMPOSITE, "action.yml").action
    assert action is not None
    assert (action.name, action.using) == ("Greet", "composite")
    assert action.inputs["who"].default == "World"
    assert action.inputs["who"].required
    assert action.inputs["old"].default is None
    assert action.inputs["old"].deprecation == "use who"
    assert action.outputs == {"said": "${{ steps.say.outputs.text }}"}
    assert [(step["id"], step["if"]) for step in action.runs["steps"]] == [
        ("say", "success()"),
        ("__actions_cache", "success() && (inputs.who == 'x')"),
    ]


def test_other_kinds_of_actions() -> None:
    node = parse_action("runs: {using: node20, main: i.js, post: p.js, post-if: success()}", "a").action
    assert node is not None
    assert node.runs == {"using": "node20", "main": "i.js", "post": "p.js", "post-if": "success()"}
    docker = parse_action(
        "runs: {using: docker, image: Dockerfile, args: ['${{ inputs.a }}'], env: {A: 1}}", "a"
    ).action
    assert docker is not None
    assert (docker.runs["args"], docker.env) == (["${{ inputs.a }}"], {"A": "1"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "The file is empty"),
        ("name: x", "Required property is missing: runs"),
        ("runs: {using: ruby, main: x}", "'ruby' is not a kind of action"),
        ("runs: {using: node20}", "There's not enough info"),
        ("runs: {using: composite, steps: [{run: x}]}", "Required property is missing: shell"),
        (
            "runs: {using: composite, steps: [{run: '${{ secrets.X }}', shell: sh}]}",
            "Unrecognized named-value: 'secrets'",
        ),
    ],
)
def test_errors(text: str, message: str) -> None:
    parsed = parse_action(text, "action.yml")
    assert parsed.action is None
    assert any(message in item.message for item in parsed.diagnostics), parsed.diagnostics


def test_what_is_nested_too_deeply_is_said_and_not_raised() -> None:
    deep = "{a: " * 60 + "1" + "}" * 60
    found = parse_action(f"name: x\nbranding: {deep}\nruns:\n  using: node20\n  main: a.js\n", "action.yml")
    assert found.action is None
    assert "depth" in found.diagnostics[0].message
