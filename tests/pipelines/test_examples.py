"""The four shapes of `examples/pipelines`, each pushed to a real server and run to its end."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from ports import free_block
from windlass.cli.client import Client, connect
from windlass.server.datadir import DataDirectory

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.integration
EXAMPLES = Path(__file__).parents[2] / "examples" / "pipelines"
START_SECONDS = 60.0
RUN_SECONDS = 90.0
GIT = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    **{f"GIT_{who}_NAME": "Anna" for who in ("AUTHOR", "COMMITTER")},
    **{f"GIT_{who}_EMAIL": "anna@acme.test" for who in ("AUTHOR", "COMMITTER")},
}


@contextmanager
def windlass_up(data: Path) -> Iterator[Client]:
    """A whole server without containers; its jobs are real processes."""
    main, kube, edge, first = free_block(4)
    command = [sys.executable, "-m", "windlass", "up", "--data", str(data), "--engine", "fake", "--jobs", "4"]
    command += ["--port", str(main), "--kubernetes-port", str(kube), "--edge-port", str(edge)]
    command += ["--service-ports", str(first), str(first)]
    log = data.with_suffix(".log")
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + START_SECONDS
        while DataDirectory(data).read_contact().get("pid") != process.pid:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)
        client = connect(data)
        yield client
        client._http.close()
    finally:
        process.terminate()
        process.wait(30)
        subprocess.run(
            [sys.executable, "-m", "windlass", "down", "--data", str(data)], check=False, timeout=60
        )


class Team:
    """People with checkouts of what they push."""

    def __init__(self, root: Path, client: Client) -> None:
        self.root = root
        self.client = client
        scopes = ["repo:write:acme/*", "registry:write:acme/*", "api:read:*"]
        self.token = client.call("POST", "/tokens", json={"name": "anna", "scopes": scopes})["token"]

    def push(self, example: str, name: str, *, secret: str = "", target: str = "") -> str:
        """Create the repository and push the example's folder to it; returns the commit.

        `secret` gets a robot's token that may write to `target`.
        """
        self.client.call("POST", "/repositories", json={"name": f"acme/{name}"})
        if secret:
            self.secret(name, secret, target)
        shutil.copytree(EXAMPLES / example, self.root / name)
        self.git(name, "init", "-q", "-b", "main")
        return self.commit(name)

    def commit(self, name: str) -> str:
        """Commit everything and push it; returns the commit."""
        self.git(name, "add", "-A")
        self.git(name, "commit", "-q", "--allow-empty", "-m", "A change")
        url = f"{self.client.url.replace('://', f'://anna:{self.token}@')}/acme/{name}.git"
        self.git(name, "push", "-q", "-o", "follow=no", url, "HEAD:main")
        return self.git(name, "rev-parse", "HEAD")

    def git(self, name: str, *words: str) -> str:
        done = subprocess.run(
            ["git", *words],
            cwd=self.root / name,
            env={**os.environ, **GIT},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def secret(self, name: str, secret: str, target: str) -> None:
        """Give a repository a robot's token that may write to another one."""
        robot = {"name": f"{name}-robot", "kind": "robot", "scopes": [f"repo:write:acme/{target}"]}
        value = self.client.call("POST", "/tokens", json=robot)["token"]
        self.client.call("PUT", "/secrets", json={"scope": f"acme/{name}", "name": secret, "value": value})

    def runs(self, name: str, count: int) -> list[dict[str, Any]]:
        """Wait until so many runs of a repository are over; returns them whole, oldest first."""
        deadline = time.monotonic() + RUN_SECONDS
        while True:
            found = self.client.call("GET", "/runs", params={"repository": f"acme/{name}"})
            over = [run for run in found if run["status"] == "completed"]
            if len(over) == len(found) >= count or any(run["conclusion"] != "success" for run in over):
                break
            assert time.monotonic() < deadline, f"{name}: {found}"
            time.sleep(0.05)
        whole = [self.client.call("GET", f"/runs/{run['id']}") for run in reversed(found)]
        for run in whole:
            assert run["run"]["conclusion"] == "success", run["first_error"]
        assert len(whole) == count
        return whole

    def log(self, run: dict[str, Any], job: str) -> str:
        """Return the log of a job."""
        return str(self.client.call("GET", f"/runs/{run['run']['id']}/logs", params={"job": job}))

    def push_image(self, name: str) -> str:
        """Push an image without layers, as any client of the registry does; returns its digest."""
        kind = "application/vnd.oci.image.manifest.v1+json"
        content = b'{"architecture": "amd64", "os": "linux"}'
        config = f"sha256:{hashlib.sha256(content).hexdigest()}"
        described = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config}
        body = {
            "schemaVersion": 2,
            "mediaType": kind,
            "layers": [],
            "config": {**described, "size": len(content)},
        }
        with httpx2.Client(base_url=self.client.url, auth=("anna", self.token), trust_env=False) as http:
            begun = http.post(f"/v2/acme/{name}/blobs/uploads/")
            http.put(begun.headers["Location"], params={"digest": config}, content=content).raise_for_status()
            done = http.put(
                f"/v2/acme/{name}/manifests/v1", content=json.dumps(body), headers={"Content-Type": kind}
            )
            done.raise_for_status()
        return str(done.headers["Docker-Content-Digest"])


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    root = tmp_path_factory.mktemp("examples")
    with windlass_up(root / "data") as client:
        yield Team(root, client)


def jobs_of(run: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {job["key"]: job for job in run["jobs"]}


def test_monolithic(team: Team) -> None:
    sha = team.push("monolithic", "monolith")
    (run,) = team.runs("monolith", 1)
    assert [job["key"] for job in run["jobs"]] == ["all"]
    log = team.log(run, "all")
    assert "test_it_names_whom_it_greets" in log
    assert f"deployed {sha} to production" in log
    assert [artifact["name"] for artifact in run["artifacts"]] == ["greeting"]


def test_multi_stage_runs_side_by_side_what_does_not_depend(team: Team) -> None:
    team.push("multi-stage", "stages")
    (run,) = team.runs("stages", 1)
    jobs = jobs_of(run)
    assert set(jobs) == {"lint", "test", "format", "package", "try~1", "try~2", "deploy"}
    for stage, before in (
        (["lint", "test", "format"], []),
        (["package"], ["lint", "test", "format"]),
        (["try~1", "try~2"], ["package"]),
        (["deploy"], ["try~1", "try~2"]),
    ):
        ends = [jobs[key]["finished_at"] for key in stage]
        for key in stage:
            assert jobs[key]["ready_at"] < min(ends), "it waited for one that it does not need"
            assert jobs[key]["started_at"] >= max((jobs[need]["finished_at"] for need in before), default=0)
    assert "to production" in team.log(run, "deploy")


def test_distributed_deploys_when_every_service_is_there(team: Team) -> None:
    team.push("distributed/integration", "integration")
    told = {"secret": "INTEGRATION_TOKEN", "target": "integration"}
    catalog = team.push("distributed/catalog", "catalog", **told)
    (first,) = team.runs("integration", 1)
    assert first["run"]["title"] == "catalog is ready"
    assert jobs_of(first)["deploy"]["conclusion"] == "skipped"
    notes = [note["message"] for note in first["annotations"] if note["level"] == "notice"]
    assert notes == ["waits for orders"]
    orders = team.push("distributed/orders", "orders", **told)
    second = team.runs("integration", 2)[1]
    log = team.log(second, "deploy")
    assert f"catalog {catalog}" in log
    assert f"orders {orders}" in log
    newer = team.commit("catalog")
    third = team.runs("integration", 3)[2]
    assert f"catalog {newer}" in team.log(third, "deploy")
    # What the jobs pushed into their own repository started nothing.
    assert {run["run"]["event"] for run in (first, second, third)} == {"repository_dispatch"}
    assert first["run"]["actor"] == "catalog-robot"


HOSTILE = """
name: Hostile
on:
  push: {branches: ['**']}
  workflow_dispatch:
  repository_dispatch: {types: [told]}
permissions: {contents: write, actions: write}
jobs:
  it:
    runs-on: ubuntu-latest
    steps:
      - run: |
          echo "ref $GITHUB_REF_NAME"
          echo "message $MESSAGE"
          ls -A | wc -l
        env:
          MESSAGE: ${{ github.event.head_commit.message }}
      - if: github.event_name == 'push' && github.ref_name == 'main'
        env:
          TOKEN: ${{ github.token }}
        run: |
          ask() {
            curl -fsS -H "Authorization: Bearer $TOKEN" -d "$2" "$GITHUB_API_URL/repos/$1"
          }
          ask "$GITHUB_REPOSITORY/dispatches" '{"event_type": "told", "client_payload": {}}'
          ask "$GITHUB_REPOSITORY/actions/workflows/hostile.yaml/dispatches" '{"ref": "main"}'
          ! ask acme/elsewhere/dispatches '{"event_type": "told"}'
"""


def test_names_are_data_in_a_real_shell_and_a_job_may_dispatch(team: Team) -> None:
    branch = "x;touch${IFS}a&&`touch${IFS}b`$(touch${IFS}c)|'d\"<e>"
    work = team.root / "hostile"
    (work / ".github" / "workflows").mkdir(parents=True)
    (work / ".github" / "workflows" / "hostile.yaml").write_text(HOSTILE)
    for name in ("hostile", "elsewhere"):
        team.client.call("POST", "/repositories", json={"name": f"acme/{name}"})
    team.git("hostile", "init", "-q", "-b", "main")
    team.commit("hostile")
    runs = team.runs("hostile", 3)
    assert sorted(run["run"]["event"] for run in runs) == ["push", "repository_dispatch", "workflow_dispatch"]
    assert [run["run"]["actor"] for run in runs] == ["anna", *[f"run/{runs[0]['run']['id']}/it/1"] * 2]
    team.git("hostile", "commit", "-q", "--allow-empty", "-m", "$(touch d); `touch e`")
    url = f"{team.client.url.replace('://', f'://anna:{team.token}@')}/acme/hostile.git"
    team.git("hostile", "push", "-q", "-o", "follow=no", url, f"HEAD:refs/heads/{branch}")
    log = team.log(team.runs("hostile", 4)[3], "it")
    lines = [line.partition(" ")[2] for line in log.splitlines()]
    assert f"ref {branch}" in lines
    assert "message $(touch d); `touch e`" in lines
    assert "0" in lines, "something was made in the workspace"


def test_the_command_starts_follows_and_tells_how_it_ended(team: Team) -> None:
    text = """
name: By hand
on: {workflow_dispatch: {inputs: {code: {default: '0'}}}, repository_dispatch: {types: [go]}}
jobs:
  it:
    runs-on: ubuntu-latest
    steps:
      - run: exit "${CODE:-0}"
        env: {CODE: "${{ inputs.code }}"}
"""
    work = team.root / "hand"
    (work / ".github" / "workflows").mkdir(parents=True)
    (work / ".github" / "workflows" / "hand.yaml").write_text(text)
    team.client.call("POST", "/repositories", json={"name": "acme/hand"})
    team.git("hand", "init", "-q", "-b", "main")
    team.commit("hand")
    team.git("hand", "remote", "add", "origin", f"{team.client.url}/acme/hand.git")

    def dispatch(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "windlass", "dispatch", *words, "--data", str(team.root / "data")]
        return subprocess.run(command, cwd=work, capture_output=True, text=True, check=False, timeout=100)

    good = dispatch("hand.yaml", "--follow", "--json")
    assert good.returncode == 0, good.stderr
    (run,) = json.loads(good.stdout)
    assert (run["run"]["conclusion"], run["run"]["event"]) == ("success", "workflow_dispatch")
    bad = dispatch("By hand", "--input", "code=3", "--follow")
    assert bad.returncode == 1
    assert "failure" in bad.stdout
    told = dispatch("--event", "go", "--follow")
    assert (told.returncode, "/runs/" in told.stdout) == (0, True), told.stderr
    nothing = dispatch("--event", "stop")
    assert nothing.returncode == 1
    assert "the activity 'stop' is not among its types (go)" in nothing.stderr


def test_event_driven_from_image_to_deployment(team: Team) -> None:
    team.push("event-driven/deployment", "deployment")
    team.push("event-driven/service", "service", secret="DEPLOYMENT_TOKEN", target="deployment")
    digest = team.push_image("service")
    inspected, promoted = team.runs("service", 2)
    (deployed,) = team.runs("deployment", 1)
    assert [run["run"]["event"] for run in (inspected, promoted, deployed)] == [
        "registry_package",
        "workflow_run",
        "repository_dispatch",
    ]
    assert digest in team.log(inspected, "inspect")
    assert deployed["run"]["title"] == "Deploy service"
    number = inspected["run"]["id"]
    assert f"deployed service, inspected by run {number}" in team.log(deployed, "deploy")
    assert (inspected["run"]["actor"], deployed["run"]["actor"]) == ("anna", "service-robot")


@pytest.mark.parametrize("path", sorted(EXAMPLES.rglob("*.yaml")), ids=lambda path: path.parts[-4])
def test_the_examples_have_nothing_to_be_said_about(path: Path) -> None:
    command = [sys.executable, "-m", "windlass", "lint", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
