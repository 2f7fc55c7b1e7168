"""What a job says by printing: obeyed as on GitHub, and never where that would let a stranger speak for the job."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from runner.conftest import Forge, Server


@pytest.mark.parametrize("command", ["set-env name=LD_PRELOAD", "add-path"])
@pytest.mark.parametrize(
    "written", ["::{}::/tmp/evil", "  ::{}::/tmp/evil", "##[{}]/tmp/evil", "x ##[{}]/tmp/evil"]
)
def test_variables_and_path_are_never_set_by_a_log_line(
    host_forge: Forge, command: str, written: str
) -> None:
    """CVE-2020-15228, CVE-2026-34041; not even where the job asks for it, as GitHub's runner once allowed."""
    line = written.format(command)
    ran = host_forge.run(
        {
            "run": f"echo '{line}'",
            "continue-on-error": True,
            "env": {"ACTIONS_ALLOW_UNSECURE_COMMANDS": "true"},
        },
        {"run": 'echo "preload=$LD_PRELOAD"; case ":$PATH:" in *evil*) exit 1;; esac'},
    )
    assert ran.conclusion == "success"
    assert ran.step(1)["outcome"] == "failure"
    assert ran.printed(2) == "preload=\n"


def test_no_command_begins_within_a_long_line(host_forge: Forge) -> None:
    """A line that is let go in pieces is still one line: what stands after them is nobody's command."""
    script = "import sys, time\nsys.stdout.write('x' * 260_000 + ' ' * 9_000); sys.stdout.flush(); time.sleep(0.3)\n"
    script += "sys.stdout.write('::error::bad\\n'); sys.stdout.flush()\nprint('::notice::heard')"
    ran = host_forge.run({"run": script, "shell": "python"})
    assert [event["message"] for event in ran.of("annotation")] == ["heard"]


def test_what_stands_between_stop_and_token_is_text(forge: Forge) -> None:
    ran = forge.run(
        {
            "id": "one",
            "run": "echo '::stop-commands::k7f2'\n"
            "echo '::set-output name=a::evil'\necho '::add-mask::text'\necho '##[error]bad'\n"
            "echo '::k7f::'\necho '::stop-commands::mine'\necho '::mine::'\necho '::set-output name=b::evil'\n"
            "echo '::k7f2::'\necho '::set-output name=c::fine text'",
        },
        {"run": "echo '${{ toJSON(steps.one.outputs) }}'"},
    )
    assert json.loads(ran.printed(2)) == {"c": "fine text"}
    assert "::add-mask::text" in ran.printed()
    assert not ran.of("annotation", level="error")


@pytest.mark.parametrize("token", ["", "  ", "error", "set-output", "stop-commands"])
def test_a_token_that_everybody_knows_stops_nothing(host_forge: Forge, token: str) -> None:
    ran = host_forge.script(f"echo '::stop-commands::{token}'; echo '::error::heard'")
    assert [one["message"] for one in ran.of("annotation", level="error")] == ["heard"]


def test_each_step_begins_with_commands_heard(host_forge: Forge) -> None:
    ran = host_forge.run({"run": "echo '::stop-commands::k7f2'"}, {"run": "echo '::error::heard'"})
    assert [one["step"] for one in ran.of("annotation")] == [2]


def test_tools_of_built_in_actions_are_not_heard(forge: Forge, server: Server) -> None:
    """What git prints of branches and commits is a stranger's: it must not speak for the job."""
    sha = server.repository("acme/service", {"README.md": "x"})
    shout = "printf 'a\\n::error::evil\\n::set-output name=evil::y\\n'"
    git = f'#!/bin/sh\ncase "$*" in *fetch*|*checkout*) {shout} ;; esac\nexec /usr/bin/git "$@"\n'
    ran = forge.run(
        {
            "run": f"mkdir ~/own; cat > ~/own/git <<'X'\n{git}X\nchmod +x ~/own/git; echo ~/own >> $GITHUB_PATH"
        },
        {"id": "out", "uses": "actions/checkout@v4"},
        {"run": "echo '${{ toJSON(steps.out.outputs) }}'; echo '::error::heard'"},
        sha=sha,
    )
    assert ran.conclusion == "success", ran.everything
    assert "::error::evil" in ran.log(2)
    assert "evil" not in ran.printed(3)
    assert [one["message"] for one in ran.of("annotation", level="error")] == ["heard"]


def test_echo_shows_commands_as_they_were_printed(forge: Forge) -> None:
    ran = forge.script(
        "echo '::set-output name=a::1'\necho '::echo::on'\necho '::set-output name=b::2'\n"
        "echo '::add-mask::hidden-word'\necho '::echo::OFF'\necho '::set-output name=c::3'\necho '::echo::loud'"
    )
    assert "::set-output name=b::2\n" in ran.printed()
    assert "name=a" not in ran.printed()
    assert "name=c" not in ran.printed()
    assert "hidden-word" not in ran.printed()
    assert "takes on or off" in ran.printed()
    assert ran.step(1)["outputs"] == {"a": "1", "b": "2", "c": "3"}


def test_save_state_is_deprecated(host_forge: Forge) -> None:
    ran = host_forge.script("echo '::save-state name=a::1'; echo '::save-state name=b::1'")
    warnings = [one["message"] for one in ran.of("annotation", level="warning")]
    assert len(warnings) == 1
    assert "GITHUB_STATE" in warnings[0]


def test_annotations_have_their_place_and_a_limit_for_each_level(host_forge: Forge) -> None:
    ran = host_forge.script(
        "echo '::error file=$PWD/src/a.py,line=3,col=7,title=Bad%2C very::first%0Asecond'\n"
        "for i in $(seq 30); do echo \"::warning::$i\"; done; echo '::notice::last'"
    )
    (error,) = ran.of("annotation", level="error")
    assert (error["line"], error["column"], error["title"], error["message"]) == (
        3,
        7,
        "Bad, very",
        "first\nsecond",
    )
    assert len(ran.of("annotation", level="warning")) == 10
    assert [one["message"] for one in ran.of("annotation", level="notice")] == ["last"]


def test_a_summary_has_a_limit(forge: Forge) -> None:
    ran = forge.run(
        {"run": "head -c 1048576 /dev/zero | tr '\\0' a >> $GITHUB_STEP_SUMMARY"},
        {"run": "head -c 1048577 /dev/zero | tr '\\0' a >> $GITHUB_STEP_SUMMARY"},
    )
    assert ran.conclusion == "success"
    assert [(one["step"], len(one["markdown"])) for one in ran.of("summary")] == [(1, 1 << 20)]
    assert "summary was left out" in ran.of("annotation", step=2)[0]["message"]


def test_a_matcher_of_several_lines_loops_and_is_taken_away(forge: Forge) -> None:
    patterns = [
        {"regexp": r"^(\S+\.js)$", "file": 1},
        {"regexp": r"^  (\d+):(\d+) (error|warning) (.*) \[(.*)\]$", "line": 1, "column": 2, "severity": 3,
         "message": 4, "code": 5, "loop": True},
    ]  # fmt: skip
    matcher = {"problemMatcher": [{"owner": "eslint", "pattern": patterns}]}
    lint = "printf 'a.js\\n  1:2 error one [r1]\\n  3:4 warning two [r2]\\n\\n  5:6 error no file [r3]\\n'"
    ran = forge.run(
        {"run": f"cat > m.json <<'X'\n{json.dumps(matcher)}\nX\necho ::add-matcher::m.json"},
        {"run": lint},
        {"run": "echo '::remove-matcher owner=eslint::'"},
        {"run": lint},
    )
    assert [
        (one["step"], one["level"], one["file"], one["line"], one["column"], one["message"], one["title"])
        for one in ran.of("annotation")
    ] == [(2, "error", "a.js", 1, 2, "one", "r1"), (2, "warning", "a.js", 3, 4, "two", "r2")]


def test_a_matcher_of_another_place_is_not_read(sandboxed: Forge) -> None:
    ran = sandboxed.script(
        "ln -s /etc/passwd m.json; echo ::add-matcher::m.json; echo ::add-matcher::/etc/passwd"
    )
    assert ran.conclusion == "success"
    assert ran.printed().count("cannot be used") == 2
    assert "root" not in ran.printed()
