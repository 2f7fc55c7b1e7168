"""Docker actions, with podman: built from a Dockerfile, or an image by name."""

from __future__ import annotations

import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from runner.conftest import isolated
from windlass.runner.actions.container import environment, translated

if TYPE_CHECKING:
    from runner.conftest import Forge, Ran, Server

podman = pytest.mark.integration

ACTION = """
name: speak
inputs:
  who: {default: "${{ github.actor }}"}
outputs: {said: {description: x}}
runs:
  using: docker
  image: Dockerfile
  pre-entrypoint: /pre.sh
  entrypoint: /main.sh
  post-entrypoint: /post.sh
  args: ["hello ${{ inputs.who }}", second]
  env: {EXTRA: "extra ${{ inputs.who }}"}
"""
PRE = "#!/bin/sh\necho pre=1 >> $GITHUB_STATE; echo PRE $INPUT_WHO\n"
MAIN = """#!/bin/sh
echo "args: $1|$2; $EXTRA; $INPUT_WHO; $STATE_pre; $HOME; $GITHUB_ACTION_REPOSITORY"
pwd; ls "$GITHUB_WORKSPACE"; cat "$GITHUB_EVENT_PATH"; echo
echo "said=loud" >> "$GITHUB_OUTPUT"
echo made > made.txt
echo "::notice::seen"
"""
POST = "#!/bin/sh\necho POST $STATE_pre\n"


def left(ran: Ran) -> str:
    return subprocess.check_output(
        ["podman", "ps", "--all", "--quiet", "--filter", f"label=windlass.dev/job={ran.directory.name}"],
        text=True,
    )


@podman
def test_a_docker_action_is_built_and_run_with_the_jobs_directories(
    forge: Forge, server: Server, shell_image: str
) -> None:
    forge.engine = "podman"
    dockerfile = f"FROM {shell_image}\nCOPY --chmod=755 pre.sh main.sh post.sh /\n"
    files = {"action.yml": ACTION, "Dockerfile": dockerfile, "pre.sh": PRE, "main.sh": MAIN, "post.sh": POST}
    server.repository("acme/speak", files)
    ran = forge.run(
        {"run": "echo x > there.txt"},
        {"id": "speak", "uses": "acme/speak@main", "with": {"who": "bob"}},
        {"run": "cat made.txt; echo ${{ steps.speak.outputs.said }}"},
    )
    ran.wait()
    image = "localhost/windlass-action/acme-speak:latest"
    subprocess.run(["podman", "rmi", "--force", image], check=False, capture_output=True)
    assert ran.conclusion == "success", ran.everything
    assert ran.log(1).endswith("PRE bob\n")
    said = ran.log(3)
    assert (
        "args: hello bob|second; extra bob; bob; 1; /github/home; acme/speak\n/github/workspace\nthere.txt\n{}"
        in said
    )
    assert ran.printed(4) == "made\nloud\n"
    assert ran.log(5).endswith("POST 1\n")
    assert ran.of("annotation", message="seen")
    assert left(ran) == ""


@podman
def test_an_image_by_name_with_entrypoint_and_arguments(host_forge: Forge, shell_image: str) -> None:
    host_forge.engine = "podman"
    ran = host_forge.run(
        {
            "uses": f"docker://{shell_image}",
            "with": {"entrypoint": "/bin/sh", "args": "-c 'echo \"a  b\"; exit 3'"},
        },
    )
    assert ran.conclusion == "failure"
    assert ran.log(1).count("a  b\n") == 1
    assert "ended with exit code 3" in ran.wait()["reason"]


@podman
def test_a_docker_action_sees_nothing_else_of_the_machine(host_forge: Forge, shell_image: str) -> None:
    host_forge.engine = "podman"
    script = f"-c 'ls -d /work /root {host_forge.data} /run/podman /var/run/docker.sock; env'"
    ran = host_forge.run(
        {"uses": f"docker://{shell_image}", "with": {"entrypoint": "/bin/sh", "args": script}},
        env=[{"MINE": "1"}],
        secrets={"KEY": "k3y-value-1"},
    )
    assert ran.log(1).count("No such file or directory") == 5
    assert "MINE=1" in ran.log(1)
    assert "GITHUB_TOKEN" not in ran.log(1)
    own = [line for line in ran.log(1).splitlines() if line.startswith(("GITHUB_", "RUNNER_", "HOME="))]
    assert own
    assert not [line for line in own if str(host_forge.data) in line]


@podman
def test_a_docker_action_is_cancelled_with_its_container(host_forge: Forge, shell_image: str) -> None:
    import os
    import signal

    host_forge.engine = "podman"
    ran = host_forge.start(
        [
            {
                "uses": f"docker://{shell_image}",
                "with": {"entrypoint": "/bin/sh", "args": "-c 'echo begun; sleep 60'"},
            }
        ]
    )
    until = time.monotonic() + 30
    while "begun" not in ran.log(1).partition("##[endgroup]")[2]:
        assert time.monotonic() < until, ran.everything
        time.sleep(0.02)
    os.kill(ran.pid, signal.SIGTERM)
    assert ran.wait()["conclusion"] == "cancelled"
    assert left(ran) == ""


def test_without_an_engine_the_action_says_so(host_forge: Forge) -> None:
    host_forge.engine = "fake:/nonexistent"
    ran = host_forge.run({"uses": "docker://alpine:3"})
    assert ran.conclusion == "failure"
    assert ran.wait()["reason"]


def test_paths_are_those_of_the_container(host_forge: Forge) -> None:
    paths = isolated(host_forge.spec())
    assert translated("/home/runner/work/_temp/_runner_file_commands/x", paths) == "/github/file_commands/x"
    assert (
        translated("/home/runner/work/_temp/_github_workflow/event.json", paths)
        == "/github/runner_temp/_github_workflow/event.json"
    )
    assert translated("/home/runner/work/_temporary", paths) == "/github/home/work/_temporary"
    made = environment(
        {"PATH": "/x", "GITHUB_WORKSPACE": "/home/runner/work/service/service", "A": "b"}, paths
    )
    assert made == {"GITHUB_WORKSPACE": "/github/workspace", "A": "b", "HOME": "/github/home"}


@podman
def test_no_variable_and_no_link_shows_files_of_the_machine(sandboxed: Forge, shell_image: str) -> None:
    sandboxed.engine = "podman"
    link = "cd $RUNNER_TEMP; mv _github_workflow away; ln -s /etc _github_workflow; ln -s /etc $GITHUB_WORKSPACE/etc"
    look = "-c 'for file in $SSL_CERT_FILE $GITHUB_EVENT_PATH /github/workflow/os-release"
    look += " /github/workspace/etc/os-release; do cat $file || echo not here; done;"
    look += " cat /github/runner_temp/_github_workflow/os-release || echo not here'"
    ran = sandboxed.run(
        {"run": link},
        {
            "uses": f"docker://{shell_image}",
            "with": {"entrypoint": "/bin/sh", "args": look},
            "env": {"SSL_CERT_FILE": "/etc/os-release", "LD_AUDIT": "/nowhere/evil.so"},
        },
    )
    assert ran.log(2).splitlines().count("not here") == 5, ran.log(2)
