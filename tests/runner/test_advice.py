"""What a step is told that wanted something of the machine which the sandbox does not have."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from windlass.runner.advice import ENGINE, ROOT, advice

if TYPE_CHECKING:
    from runner.conftest import Forge


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("/home/runner/work/_temp/ce95.sh: line 1: sudo: command not found", ROOT),
        ("/home/runner/work/_temp/ce95.sh: 1: sudo: not found", ROOT),
        ("make: sudo: No such file or directory", ROOT),
        ("env: 'sudo': No such file or directory", ROOT),
        ("FileNotFoundError: [Errno 2] No such file or directory: 'sudo'", ROOT),
        ("E: List directory /var/lib/apt/lists/partial is missing. - Acquire (2: No such file or directory)", ROOT),
        ("E: Could not open lock file /var/lib/dpkg/lock-frontend - open (13: Permission denied)", ROOT),
        ("x.sh: line 3: docker: command not found", ENGINE),
        ("x.sh: line 3: docker-compose: command not found", ENGINE),
        ("Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?", ENGINE),
        ("FileNotFoundError: [Errno 2] No such file or directory: 'docker'", ENGINE),
        ("x.sh: line 3: jq: command not found", ""),
        ("pseudo: command not found", ""),
        ("E: Unable to locate package jq", ""),
        ("tests/docker: No such file", ""),
    ],
)  # fmt: skip
def test_what_helps_is_known_by_the_words_of_shells_and_tools(line: str, said: str) -> None:
    assert advice(["Reading package lists...", line, "make: *** [Makefile:2: all] Error 127"]) == said


def test_a_step_that_fails_for_root_says_what_helps(forge: Forge) -> None:
    ran = forge.run({"run": "f() { echo 'x.sh: line 1: sudo: command not found'; exit 127; }; f"})
    reason = ran.wait()["reason"]
    assert reason.startswith("Process completed with exit code 127.")
    assert (ROOT in reason) == (ROOT in ran.log(1)) == (forge.isolation == "bubblewrap")


def test_the_script_itself_is_no_lack(forge: Forge) -> None:
    ran = forge.run({"run": "# sudo: command not found\nexit 3"})
    assert ran.wait()["reason"] == "Process completed with exit code 3."
