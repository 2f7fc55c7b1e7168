"""Jobs in containers and with services, with podman."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from ports import free_block
from windlass.engine import Port
from windlass.runner.errors import StepError
from windlass.runner.inside_container import exports
from windlass.runner.wanted import Health, Wanted, wanted

if TYPE_CHECKING:
    from pathlib import Path

    from runner.conftest import Forge, Ran, Server

podman = pytest.mark.integration

HTTP = (
    "python3 -u -c 'import http.server as h; h.test(h.SimpleHTTPRequestHandler, port=8000, bind=\"0.0.0.0\")'"
)
ASK = "python3 -c 'import sys, urllib.request as r; print(r.urlopen(sys.argv[1]).status)'"


def left(ran: Ran) -> str:
    chosen = f"label=windlass.dev/job={ran.directory.name}"
    containers = subprocess.check_output(["podman", "ps", "-aq", "--filter", chosen], text=True)
    return containers + subprocess.check_output(
        ["podman", "network", "ls", "-q", "--filter", chosen], text=True
    )


def until_gone(path: Path) -> bool:
    until = time.monotonic() + 10
    while path.exists() and time.monotonic() < until:
        time.sleep(0.05)
    return not path.exists()


def service(image: str, **more: Any) -> dict[str, Any]:
    health = f'--health-cmd "{ASK} http://127.0.0.1:8000" --health-interval 1s --health-retries 20'
    return {"image": image, "command": HTTP, "ports": ["8000"], "options": health, **more}


def test_what_is_asked_for_is_read() -> None:
    found = wanted(
        "x",
        {
            "image": "docker://ghcr.io/a/b:1",
            "env": {"A": 1, "B": True},
            "ports": ["5432:5433", 80, "53/udp"],
            "volumes": ["/x", "cache:/y:ro"],
            "options": "--cpus 1.5 -m 512m --health-cmd 'pg_isready -q' --health-interval=500ms --user 1000 -e C=d=e",
            "credentials": {"username": "u", "password": "p"},
            "command": "serve --now 'a b'",
        },
    )
    assert found == Wanted(
        "ghcr.io/a/b:1",
        {"A": "1", "B": "true", "C": "d=e"},
        (Port(5433, 5432), Port(80), Port(53, 0, "udp")),
        (("", "/x", False), ("cache", "/y", True)),
        "u",
        "p",
        Health("pg_isready -q", 0.5),
        cpus=1.5,
        memory=512 << 20,
        user="1000",
        command=("serve", "--now", "a b"),
    )
    assert wanted("x", "alpine") == Wanted("alpine")
    assert wanted("x", {"image": ""}) is wanted("x", "") is None


@pytest.mark.parametrize(
    "given",
    [
        *({"options": text} for text in (
            "--privileged", "-v /:/host", "--volume=/:/host", "--network host", "--net=host", "--pid host",
            "--device /dev/kvm",
            "--cap-add ALL", "--security-opt seccomp=unconfined", "--priv", "--mount type=bind", "alpine",
            "--cpus many",
            "--memory lots", "--health-cmd x --health-interval soon", "'unclosed",
        )),
        {"ports": ["http"]},
        {"ports": ["1:2:3"]},
        {"ports": ["70000"]},
        {"volumes": ["a:b"]},
        {"volumes": ["/a:/b:shared"]},
    ],
)  # fmt: skip
def test_what_reaches_beyond_the_job_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(StepError, match="service db"):
        wanted("service db", {"image": "alpine", **given})


@podman
def test_steps_run_in_the_jobs_container(forge: Forge, server: Server, shell_image: str) -> None:
    forge.engine = "podman"
    action = "runs: {using: composite, steps: [{shell: bash, run: 'echo composite; command -v git || echo no git'}]}"
    server.repository("acme/service", {"a.txt": "content\n", "act/action.yml": action})
    container = {"image": shell_image, "env": {"IN": "container", "WHO": "${{ github.actor }}"}}
    ran = forge.run(
        {"uses": "actions/checkout@v4"},
        {"run": "command -v git || echo no git; cat a.txt; echo $IN $WHO $0; echo V=1 >> $GITHUB_ENV"
         "; echo out=yes >> $GITHUB_OUTPUT; echo /added >> $GITHUB_PATH", "id": "one"},
        {"run": "echo $V ${{ steps.one.outputs.out }} ${PATH%%:*} ${{ job.container.id != '' }}; pwd; echo x > made"},
        {"uses": "./act"},
        {"run": "import os; print(os.getcwd() == os.environ['GITHUB_WORKSPACE'])", "shell": "python3 {0}"},
        {"run": "exit 5"},
        definition={"container": container},
        github={"sha": ""},
    )  # fmt: skip
    names = {event["name"]: event["step"] for event in ran.of("step.started")}
    assert "Initialize containers" in names, ran.everything
    first = names["Run actions/checkout@v4"]
    printed = ran.printed(first + 1).splitlines()
    assert printed[:3] == ["no git", "content", "container anna " + printed[2].rpartition(" ")[2]], (
        ran.everything
    )
    assert ran.printed(first + 2).splitlines()[0] == "1 yes /added true"
    assert "composite\nno git\n" in ran.log(first + 3)
    assert ran.printed(first + 4) == "True\n"
    assert "exit code 5" in ran.wait()["reason"]
    assert left(ran) == ""


@podman
def test_a_step_in_a_container_is_cancelled_with_what_it_started(host_forge: Forge, shell_image: str) -> None:
    host_forge.engine = "podman"
    ran = host_forge.start(
        [
            {"run": "trap 'echo interrupted; exit 1' INT; echo begun; sleep 60 & wait"},
            {"run": "echo still in $IN", "if": "always()"},
        ],
        definition={"container": {"image": shell_image, "env": {"IN": "container"}}},
    )
    until = time.monotonic() + 40
    while "begun" not in ran.printed(2):
        assert time.monotonic() < until, ran.everything
        time.sleep(0.02)
    os.kill(ran.pid, signal.SIGTERM)
    assert ran.wait()["conclusion"] == "cancelled"
    assert "interrupted" in ran.printed(2)
    assert ran.printed(3) == "still in container\n"
    assert left(ran) == ""


@podman
def test_a_service_is_healthy_before_the_first_step_and_has_a_port(forge: Forge, shell_image: str) -> None:
    forge.engine = "podman"
    ran = forge.run(
        {"run": f"{ASK} http://127.0.0.1:${{{{ job.services.web.ports['8000'] }}}}"},
        definition={"services": {"web": service(shell_image), "none": {"image": "${{ '' }}"}}},
    )
    assert ran.conclusion == "success", ran.everything
    assert "Service web is healthy" in ran.log(1)
    assert ran.printed(2) == "200\n"
    assert left(ran) == ""


@podman
def test_a_container_reaches_services_by_name_and_shares_volumes(host_forge: Forge, shell_image: str) -> None:
    host_forge.engine = "podman"
    web = service(shell_image, volumes=["shared:/shared"])
    ran = host_forge.run(
        {
            "run": f"{ASK} http://web:8000; echo told > /shared/x; echo ${{{{ job.services.web.ports['8000'] }}}}"
        },
        {"run": f"{ASK} http://web:8000/shared/x"},
        definition={
            "services": {"web": web},
            "container": {"image": shell_image, "volumes": ["shared:/shared"]},
        },
    )
    assert ran.conclusion == "success", ran.everything
    assert ran.printed(2) == "200\n8000\n"
    assert ran.printed(3) == "200\n"
    assert left(ran) == ""
    assert until_gone(ran.directory / "volumes")


@podman
def test_a_service_that_never_is_healthy_shows_its_last_lines(host_forge: Forge, shell_image: str) -> None:
    host_forge.engine = "podman"
    bad = {
        "image": shell_image,
        "command": "sh -c 'echo cannot find my disk; exit 9'",
        "options": "--health-cmd true",
    }
    ran = host_forge.run({"run": "echo never"}, definition={"services": {"db": bad}})
    assert ran.conclusion == "failure"
    assert "service db ended with exit code 9" in ran.wait()["reason"]
    assert "cannot find my disk" in ran.log(1)
    assert "never" not in ran.log(2)
    assert left(ran) == ""


def test_directories_of_the_machine_are_not_shown(host_forge: Forge, shell_image: str) -> None:
    host_forge.engine = "podman"
    for source in ("/etc", "/var/run/docker.sock", "../.."):
        container = {"image": shell_image, "volumes": [f"{source}:/x"]}
        ran = host_forge.run({"run": "ls /x"}, definition={"container": container})
        assert "not one of the job's directories" in ran.wait()["reason"]
        assert left(ran) == ""


def test_without_an_engine_a_container_job_says_so(host_forge: Forge) -> None:
    ran = host_forge.run({"run": "true"}, definition={"container": "alpine:3"})
    assert "need podman or docker" in ran.wait()["reason"]


@podman
def test_what_a_killed_runner_leaves_is_removed(host_forge: Forge, shell_image: str) -> None:
    host_forge.engine = "podman"
    ran = host_forge.start([{"run": "sleep 60"}], definition={"services": {"web": service(shell_image)}})
    ran.wait("step.started", name="Run sleep 60")
    assert left(ran)
    os.kill(ran.pid, signal.SIGKILL)
    until = time.monotonic() + 20
    while left(ran):
        assert time.monotonic() < until
        time.sleep(0.2)


@podman
def test_what_a_killed_run_without_a_server_left_is_removed_before_the_next_begins(
    tmp_path: Path, shell_image: str
) -> None:
    port = free_block(1)[0]
    text = {"web": service(shell_image, ports=[f"{port}:8000"])}
    workflows = tmp_path / "app" / ".github" / "workflows"
    workflows.mkdir(parents=True)
    for name, run in (("slow", "echo begun; sleep 60"), ("quick", "true")):
        job = {"runs-on": "ubuntu-latest", "services": text, "steps": [{"run": run}]}
        (workflows / f"{name}.yml").write_text(json.dumps({"on": "workflow_dispatch", "jobs": {name: job}}))
    command = [sys.executable, "-m", "windlass", "run", "-C", str(tmp_path / "app"), "--plain"]
    env = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    with subprocess.Popen([*command, "slow"], env=env, stdout=subprocess.PIPE, text=True) as killed:
        assert killed.stdout
        assert any("| begun" in line for line in killed.stdout)
        killed.kill()
    (made,) = (tmp_path / "cache/windlass/run/runs").iterdir()
    assert made_for(made)
    # which could not have the port otherwise
    ended = subprocess.run([*command, "quick"], env=env, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout
    assert made_for(made) == ""


def made_for(run: Path) -> str:
    chosen = f"label=windlass.dev/server={socket.gethostname()}:{run.resolve()}"
    listed = (["ps", "-aq"], ["network", "ls", "-q"])
    return "".join(
        subprocess.check_output(["podman", *words, "--filter", chosen], text=True) for words in listed
    )


def test_variables_are_told_to_the_shell_of_the_container_word_for_word() -> None:
    values = {"A": 'it\'s $HOME `x`\nand "more"', "B": "", "LD_AUDIT": "/x.so", "not-a-name": "x", "C;D": "x"}
    text = exports(values) + 'printf "%s|%s" "$A" "$B"'
    assert subprocess.check_output(["sh", "-c", text], text=True) == f"{values['A']}|"
    assert "not-a-name" not in text
    assert "C;D" not in text
