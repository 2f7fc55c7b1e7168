from __future__ import annotations

import json
import re
import sys
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from runner.conftest import Forge


def test_success_is_recorded_with_outputs_and_logs(forge: Forge) -> None:
    ran = forge.run(
        {"id": "make", "run": 'echo hello; echo "answer=42" >> "$GITHUB_OUTPUT"'},
        {"run": "echo got ${{ steps.make.outputs.answer }} ${{ steps.make.outcome }}"},
        definition={"outputs": {"answer": "${{ steps.make.outputs.answer }}"}},
    )
    assert ran.conclusion == "success"
    assert ran.outputs == {"answer": "42"}
    assert ran.printed(1) == "hello\n"
    assert ran.printed(2) == "got 42 success\n"
    assert ran.step(1)["outputs"] == {"answer": "42"}


def test_events_follow_the_contract_in_order(forge: Forge) -> None:
    ran = forge.run({"run": "true"}, {"run": "exit 4"}, {"run": "true"})
    kinds = [event["kind"] for event in ran.events]
    assert kinds[0] == "job.started"
    assert kinds[-1] == "job.finished"
    steps = [(event["step"], event["outcome"]) for event in ran.of("step.finished")]
    assert steps == [(0, "success"), (1, "success"), (2, "failure"), (3, "skipped"), (4, "success")]
    assert [event["at"] for event in ran.events] == sorted(event["at"] for event in ran.events)
    assert ran.of("step.started", step=2)[0]["line"] == 11
    assert ran.wait()["reason"] == "Process completed with exit code 4."


def test_log_lines_bear_the_time(forge: Forge) -> None:
    ran = forge.script("echo one; printf 'two'")
    text = (ran.directory / "log" / "001.log").read_text()
    pattern = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}Z .*\n")
    assert all(pattern.fullmatch(line) for line in text.splitlines(keepends=True))
    assert ran.printed().splitlines() == ["one", "two"]


def test_every_job_says_how_it_is_isolated(forge: Forge) -> None:
    ran = forge.script("true")
    expected = "bubblewrap" if forge.isolation == "bubblewrap" else "isolation: host"
    assert expected in ran.log(0)


def test_environment_is_layered_and_expressions_are_evaluated(forge: Forge) -> None:
    ran = forge.run(
        {
            "run": 'echo "$A $B $C $D"; echo "A=later" >> "$GITHUB_ENV"',
            "env": {"C": "step", "D": "${{ env.B }}"},
        },
        {"run": 'echo "$A $B $C ${{ env.A }}"'},
        env=[{"A": "workflow", "B": "workflow"}, {"B": "${{ github.actor }}", "C": "job"}],
    )
    assert ran.printed(1) == "workflow anna step anna\n"
    assert ran.printed(2) == "later anna job later\n"


def test_default_variables_are_there(forge: Forge) -> None:
    names = "CI GITHUB_ACTIONS GITHUB_REPOSITORY GITHUB_REF_NAME GITHUB_SHA GITHUB_JOB RUNNER_OS GITHUB_ACTOR"
    ran = forge.script(
        f"for name in {names}; do echo $name=${{!name}}; done; test -w $RUNNER_TEMP -a $PWD = $GITHUB_WORKSPACE"
    )
    printed = dict(line.split("=", 1) for line in ran.printed().splitlines())
    assert ran.conclusion == "success"
    assert printed["GITHUB_REPOSITORY"] == "acme/service"
    assert printed["GITHUB_REF_NAME"] == "main"
    assert printed["CI"] == printed["GITHUB_ACTIONS"] == "true"
    assert all(printed.values())


def test_the_event_is_a_file(forge: Forge) -> None:
    ran = forge.script('cat "$GITHUB_EVENT_PATH"', github={"event": {"action": "opened", "n": 3}})
    assert json.loads(ran.printed()) == {"action": "opened", "n": 3}


@pytest.mark.parametrize(
    ("shell", "script", "conclusion"),
    [
        ("", "false | true", "success"),
        ("bash", "false | true", "failure"),
        ("bash", "false; true", "failure"),
        ("sh", "false; true", "failure"),
        ("python", "import sys; assert sys.version_info > (3, 8); print('snake')", "success"),
        ("python", "import sys; sys.exit(7)", "failure"),
        ("bash -x {0}", "false; true", "success"),
        ("fish", "true", "failure"),
    ],
)
def test_shells(host_forge: Forge, shell: str, script: str, conclusion: str) -> None:
    ran = host_forge.run({"run": script, "shell": shell})
    assert ran.conclusion == conclusion, ran.log()


def test_defaults_for_shell_and_directory(forge: Forge) -> None:
    ran = forge.run(
        {"run": "mkdir -p inner/deep", "shell": "sh", "working-directory": "."},
        {"run": "import os; print(os.path.basename(os.getcwd()))"},
        {"run": "import os; print(os.path.basename(os.getcwd()))", "working-directory": "inner/deep"},
        definition={"defaults": {"run": {"shell": "python", "working-directory": "inner"}}},
    )
    assert ran.conclusion == "success", ran.everything
    assert ran.printed(2) == "inner\n"
    assert ran.printed(3) == "deep\n"


def test_a_missing_directory_is_named(forge: Forge) -> None:
    ran = forge.run({"run": "true", "working-directory": "nowhere"})
    assert ran.conclusion == "failure"
    assert "nowhere" in ran.wait()["reason"]


def test_conditions(forge: Forge) -> None:
    ran = forge.run(
        {"id": "bad", "run": "exit 1", "continue-on-error": True},
        {"run": "echo ${{ steps.bad.outcome }} ${{ steps.bad.conclusion }}"},
        {"run": "exit 2"},
        {"run": "true"},
        {"run": "true", "if": "failure()"},
        {"run": "true", "if": "always()"},
        {"run": "true", "if": "cancelled()"},
        {"run": "true", "if": "failure() && github.actor == 'anna'"},
    )
    assert ran.conclusion == "failure"
    outcomes = [event["outcome"] for event in ran.of("step.finished")][1:-1]
    assert outcomes == [
        "failure",
        "success",
        "failure",
        "skipped",
        "success",
        "success",
        "skipped",
        "success",
    ]
    assert ran.printed(2) == "failure success\n"
    assert ran.step(1)["conclusion"] == "success"


def test_an_expression_that_fails_fails_its_step(forge: Forge) -> None:
    ran = forge.run({"run": "echo ${{ fromJSON('{') }}"}, {"run": "true"})
    assert ran.step(1)["outcome"] == "failure"
    assert ran.step(2)["outcome"] == "skipped"
    assert "fromJson" in ran.wait()["reason"]


def test_a_background_process_lives_on_to_the_end_of_the_job_and_no_longer(forge: Forge) -> None:
    ran = forge.run(
        {"run": "(trap '' PIPE; while true; do echo tick; sleep 0.02; done) & echo $! > pid"},
        {"run": "sleep 0.2; kill -0 $(cat pid) && echo lives"},
    )
    assert ran.conclusion == "success", ran.everything
    assert ran.printed(2) == "lives\n"
    assert ran.printed(1).count("tick") > 1


def test_group_and_notices_are_logged_as_github_does(forge: Forge) -> None:
    ran = forge.script(
        "echo '::group::Things'\necho inner\necho '::endgroup::'\n"
        "echo '::warning file=a.py,line=3,col=9,title=Hm::take%0Acare'\necho '::notice::look'\necho '::debug::hidden'"
    )
    assert ran.printed().splitlines() == [
        "##[group]Things", "inner", "##[endgroup]", "##[warning]take", "care", "##[notice]look"
    ]  # fmt: skip
    warning = ran.of("annotation", level="warning")[0]
    assert (warning["file"], warning["line"], warning["column"], warning["title"]) == ("a.py", 3, 9, "Hm")
    assert warning["message"] == "take\ncare"
    assert ran.of("annotation", level="notice")[0]["step"] == 1


def test_debug_lines_show_when_asked_for(forge: Forge) -> None:
    ran = forge.script("echo '::debug::seen'", secrets={"ACTIONS_STEP_DEBUG": "true"})
    assert "##[debug]seen" in ran.printed()


def test_stop_commands(forge: Forge) -> None:
    ran = forge.script(
        "echo '::stop-commands::pause-77'\necho '::error::not one'\necho '::pause-77::'\necho '::error::one'"
    )
    assert "::error::not one" in ran.printed()
    assert [event["message"] for event in ran.of("annotation")] == ["one"]


def test_the_environment_cannot_be_changed_by_what_is_printed(forge: Forge) -> None:
    """CVE-2020-15228 and CVE-2026-34041: a log line must not set variables or PATH of later steps."""
    ran = forge.run(
        {
            "run": "echo '::set-env name=LD_PRELOAD::/tmp/evil.so'; echo '::add-path::/tmp/evil'",
            "continue-on-error": True,
        },
        {"run": 'echo "preload=$LD_PRELOAD"; case ":$PATH:" in *evil*) exit 1;; esac'},
    )
    assert ran.step(1)["outcome"] == "failure"
    assert ran.conclusion == "success"
    assert ran.printed(2) == "preload=\n"
    assert "refused" in ran.of("annotation", step=1)[0]["message"]


def test_old_outputs_work_with_a_warning(forge: Forge) -> None:
    ran = forge.run(
        {"id": "old", "run": "echo '::set-output name=x::7'"}, {"run": "echo ${{ steps.old.outputs.x }}"}
    )
    assert ran.printed(2) == "7\n"
    assert "deprecated" in ran.of("annotation", level="warning")[0]["message"]


def test_files_set_outputs_path_env_and_summary(forge: Forge) -> None:
    ran = forge.run(
        {
            "id": "many",
            "run": "mkdir tools; printf '#!/bin/sh\\necho mine\\n' > tools/mine; chmod +x tools/mine\n"
            'echo "$PWD/tools" >> "$GITHUB_PATH"\n'
            'printf "text<<END\\nline 1\\nline 2\\nEND\\n" >> "$GITHUB_OUTPUT"\n'
            'printf "E<<X\\na\\nb\\nX\\n" >> "$GITHUB_ENV"\n'
            'echo "# It works" >> "$GITHUB_STEP_SUMMARY"',
        },
        {"run": "mine; echo \"$E\"; echo '${{ toJSON(steps.many.outputs.text) }}'"},
    )
    assert ran.printed(2) == 'mine\na\nb\n"line 1\\nline 2"\n'
    assert ran.of("summary")[0]["markdown"] == "# It works\n"


def test_a_malformed_file_fails_the_step(forge: Forge) -> None:
    ran = forge.script('echo "no sign here" >> "$GITHUB_OUTPUT"')
    assert ran.step(1)["outcome"] == "failure"
    assert "GITHUB_OUTPUT" in ran.wait()["reason"]


def test_files_for_the_runner_are_not_followed_elsewhere(forge: Forge) -> None:
    ran = forge.run(
        {
            "id": "link",
            "run": 'ln -sf /etc/hostname "$GITHUB_OUTPUT"; rm "$GITHUB_STATE"; mkfifo "$GITHUB_STATE"',
        },
        {"run": "echo ok"},
    )
    assert ran.conclusion == "success"
    assert ran.step(1)["outputs"] == {}


def test_the_runners_own_variables_cannot_be_replaced(forge: Forge) -> None:
    ran = forge.run(
        {
            "run": 'echo "GITHUB_REPOSITORY=evil/evil" >> "$GITHUB_ENV"; echo "NODE_OPTIONS=--require x" >> "$GITHUB_ENV"'  # noqa: E501
        },
        {"run": 'echo "$GITHUB_REPOSITORY $NODE_OPTIONS"'},
    )
    assert ran.printed(2) == "acme/service \n"
    assert len(ran.of("annotation", level="warning")) == 2


def test_problem_matchers(forge: Forge) -> None:
    matcher = {
        "problemMatcher": [
            {
                "owner": "mine",
                "pattern": [
                    {"regexp": r"^(\S+):(\d+): (warn|bad): (.*)$", "file": 1, "line": 2, "message": 4}
                ],
            }
        ]
    }
    ran = forge.run(
        {"run": f"cat > m.json <<'X'\n{json.dumps(matcher)}\nX\necho ::add-matcher::m.json"},
        {"run": "echo 'src/x.c:7: bad: no semicolon'"},
        {"run": "echo ::remove-matcher owner=mine::"},
        {"run": "echo 'src/x.c:8: bad: not seen'"},
    )
    found = ran.of("annotation")
    assert [(one["file"], one["line"], one["message"], one["step"]) for one in found] == [
        ("src/x.c", 7, "no semicolon", 2)
    ]


def test_the_failing_assertion_comes_first(forge: Forge) -> None:
    ran = forge.script(
        "cat > test_it.py <<'X'\ndef test_sum():\n    total = 1 + 1\n    assert total == 3, 'sums are off'\nX\n"
        f"{sys.executable} -m pytest -q -p no:cacheprovider test_it.py"
    )
    first = ran.of("annotation")[0]
    assert ran.conclusion == "failure"
    assert (first["file"], first["line"]) == ("test_it.py", 3)
    assert "sums are off" in first["message"]
    assert ran.of("annotation")[-1]["message"] == "Process completed with exit code 1."


def test_errors_of_a_step_that_passes_are_no_annotations(forge: Forge) -> None:
    ran = forge.script(
        "echo 'Traceback (most recent call last):'; echo 'ValueError: expected'; echo 'error: handled'"
    )
    assert ran.of("annotation") == []


def test_coverage_is_read_from_the_report(forge: Forge) -> None:
    ran = forge.script("echo 'Name      Stmts   Miss  Cover'; echo 'TOTAL       120      9    93%'")
    assert ran.of("coverage")[0]["percent"] == 93


def test_hash_files(forge: Forge) -> None:
    ran = forge.run(
        {"run": "mkdir -p a; echo 1 > a/x.lock; echo 2 > b.lock"},
        {"run": "echo '${{ hashFiles('**/*.lock') }}' '${{ hashFiles('none') }}'"},
        {"run": "echo 3 > b.lock"},
        {"run": "echo '${{ hashFiles('**/*.lock') }}'"},
    )
    first, second = ran.printed(2).split()[0], ran.printed(4).strip()
    assert re.fullmatch(r"[0-9a-f]{64}", first)
    assert first != second


def test_names_are_evaluated(forge: Forge) -> None:
    ran = forge.run({"run": "true", "name": "For ${{ github.actor }}"})
    assert ran.of("step.started", step=1)[0]["name"] == "For anna"


@pytest.mark.parametrize("uses", ["someone/unknown@v1", "actions/unheard-of@main"])
def test_unknown_actions_fail_before_any_step(host_forge: Forge, uses: str) -> None:
    ran = host_forge.run({"run": "echo ran"}, {"uses": uses})
    assert ran.conclusion == "failure"
    reason = ran.wait()["reason"]
    assert reason.startswith(f"{uses} is not built in, and could not be fetched: fatal: ")
    assert "`windlass run --actions-mirror`" in reason
    assert len(reason) < 600
    assert "Built in are actions/cache, " in ran.log(0)
    assert not ran.of("step.started", name="Run echo ran")


def test_what_is_not_supported_is_said(host_forge: Forge) -> None:
    ran = host_forge.run(
        {"run": "true"}, definition={"container": {"image": "alpine", "options": "--privileged"}}
    )
    assert ran.conclusion == "failure"
    assert "container: options: --privileged is not taken" in ran.wait()["reason"]


def test_the_workspace_is_deleted_and_the_record_stays(forge: Forge) -> None:
    ran = forge.script("echo x > file; mkdir -p sub; touch sub/y; chmod 000 sub")
    for _ in range(500):
        left = sorted(path.name for path in ran.directory.iterdir())
        if not {"work", "home", "temp", "files"} & set(left):
            break
        time.sleep(0.01)
    assert {"events.jsonl", "log", "spec.json"} <= set(left)
    assert not {"work", "home", "temp", "files"} & set(left)


@pytest.mark.parametrize(
    ("step", "shown"),
    [
        ({"run": "echo '${{ toJSON(github.event) }}'\ntrue"}, "Run echo '{"),
        ({"name": "Deploy\n  to ${{ github.ref_name }}\n", "run": "true"}, "Deploy"),
        ({"name": "\n  at ${{ github.ref_name }}\n", "run": "true"}, "at main"),
    ],
)
def test_a_step_s_name_is_one_line_whatever_its_expressions_come_to(
    host_forge: Forge, step: dict[str, str], shown: str
) -> None:
    ran = host_forge.run(step, contexts={"github": {"event": {"a": {"b": "c"}}}})
    assert ran.of("step.started", step=1)[0]["name"] == shown


def test_only_steps_with_an_id_of_their_own_are_in_the_context(host_forge: Forge) -> None:
    ran = host_forge.run(
        {"id": "__run", "run": "exit 1", "continue-on-error": "true"},
        {"id": "named", "run": "true"},
        {"run": "echo '${{ toJSON(steps.*.outcome) }}' ${{ contains(steps.*.outcome, 'failure') }}"},
    )
    assert ran.printed(3).split() == ["[", '"success"', "]", "false"]


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ({"working-directory": "sub"}, "the working directory {workspace}/sub is not there (is there an"),
        ({"shell": "fish {0}"}, "the shell fish is not there: install it on this machine"),
    ],
)
def test_what_keeps_a_step_from_starting_is_named(forge: Forge, step: dict[str, str], said: str) -> None:
    ran = forge.run({"run": "echo ${{ github.workspace }}"}, {"run": "ls", **step})
    assert said.format(workspace=ran.printed(1).strip()) in ran.wait()["reason"]
