"""The API of what starts runs: who may, what is answered, and GitHub's own addresses for it."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from windlass.cli.dispatch import pairs, payload_of
from windlass.cli.main import cli

if TYPE_CHECKING:
    from pathlib import Path

    from web.conftest import Site

SITE = Any
FILES = {
    "hand.yaml": "on: {workflow_dispatch: {inputs: {who: {default: world}}}, repository_dispatch: {types: [go]}}",
    "nightly.yaml": "name: Nightly\non: {schedule: [{cron: '0 5 * * *', timezone: Europe/Berlin}]}",
}
JOB = "\njobs: {it: {runs-on: ubuntu-latest, steps: [{run: 'true'}]}}\n"


@pytest.fixture(scope="module")
async def acted(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A repository with workflows that start by hand, by event and by the clock."""
    await site.ports.hosting.create("acme/acted")
    work = tmp_path_factory.mktemp("work")
    for name, text in FILES.items():
        path = work / ".github" / "workflows" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + JOB)
    bare = site.data / "repos" / "acme" / "acted.git"
    names = {f"GIT_{who}_{what}": "x@x" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    for command in (
        ["init", "-q", "-b", "main"],
        ["add", "-A"],
        ["commit", "-q", "-m", "Begin"],
        ["push", "-q", str(bare), "main"],
    ):
        subprocess.run(["git", *command], cwd=work, check=True, env={**os.environ, **names})
    await site.ports.hosting.record_unseen()  # type: ignore[attr-defined]
    await site.ports.runs._timetable.refresh()
    return site


async def plan(site: Site) -> None:
    """What a server that moves does by itself."""
    await site.ports.runs._planner.plan_occurrences()


async def test_an_event_is_taken_and_tells_what_it_started(acted: SITE) -> None:
    body = {"event_type": "go", "client_payload": {"a": [1]}}
    async with await acted.client("repo:write:acme/acted", "api:read:*") as client:
        told = await client.post("/api/v1/repositories/acme/acted/dispatches", json=body)
        assert told.status_code == 202
        number = told.json()["id"]
        waiting = (await client.get(f"/api/v1/occurrences/{number}")).json()
        await plan(acted)
        done = (await client.get(f"/api/v1/occurrences/{number}")).json()
        listed = (await client.get("/api/v1/occurrences?repository=acme/acted")).json()
    assert (waiting["planned_at"], waiting["started"]) == (None, [])
    assert (done["runs"], done["event"], done["action"], done["actor"]) == (
        1,
        "repository_dispatch",
        "go",
        "anna",
    )
    assert done["payload"]["client_payload"] == {"a": [1]}
    assert done["started"][0]["occurrence"] == number
    assert number in [row["id"] for row in listed]
    assert "payload" not in listed[0]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"event_type": ""}, "event_type"),
        ({"client_payload": {}}, "event_type"),
        ({"event_type": "go", "client_payload": []}, "client_payload"),
        ({"event_type": "go", "client_payload": {str(n): n for n in range(11)}}, "10 are allowed"),
        ({"event_type": "go", "client_payload": {"a": "x" * 70_000}}, "65535 are allowed"),
    ],
)
async def test_what_github_would_refuse_is_refused(acted: SITE, body: dict[str, Any], says: str) -> None:
    async with await acted.client("admin") as client:
        for path in ("/api/v1/repositories/acme/acted", "/api/v3/repos/acme/acted"):
            answer = await client.post(f"{path}/dispatches", json=body)
            assert (answer.status_code, says in answer.json()["detail"]) == (422, True), answer.text


START = "/api/v3/repos/acme/acted/actions/workflows/hand.yaml/dispatches"
TELL = "/api/v3/repos/acme/acted/dispatches"
OURS = "/api/v1/repositories/acme/acted/dispatches"


@pytest.mark.parametrize(
    ("path", "scope", "status"),
    [
        (START, "api:write:actions/acme/acted", 204),
        (START, "api:write:*", 204),
        (START, "repo:write:acme/acted", 403),
        (START, "api:write:actions/acme/other", 403),
        (START, "api:read:*", 403),
        (TELL, "repo:write:acme/acted", 204),
        (TELL, "repo:read:acme/acted", 403),
        (TELL, "repo:write:acme/other", 403),
        (TELL, "api:write:actions/acme/acted", 204),
        (OURS, "repo:write:acme/acted", 202),
        (OURS, "repo:read:acme/acted", 403),
    ],
)
async def test_githubs_addresses_with_githubs_rights(acted: SITE, path: str, scope: str, status: int) -> None:
    body = {"ref": "main"} if path == START else {"event_type": "go"}
    async with await acted.client(scope) as client:
        answer = await client.post(path, json=body)
    assert answer.status_code == status, answer.text
    if status == 403:
        assert "api:write:actions/acme/acted" in answer.json()["detail"]


async def test_githubs_addresses_take_json_whatever_it_is_called(acted: SITE) -> None:
    kind = {"Content-Type": "application/x-www-form-urlencoded"}  # what curl --data says
    async with await acted.client("admin", **kind) as client:
        told = await client.post(TELL, content='{"event_type": "go"}')
        broken = await client.post(TELL, content='{"event_type": ')
    assert (told.status_code, broken.status_code) == (204, 422)


async def test_a_start_may_answer_with_its_run(acted: SITE) -> None:
    async with await acted.client("admin") as client:
        body = {"ref": "main", "inputs": {"who": "you"}, "return_run_details": True}
        told = (await client.post(START, json=body)).json()
        run = (await client.get(f"/api/v1/runs/{told['workflow_run_id']}")).json()["run"]
        missing = await client.post(START.replace("hand", "gone"), json={"ref": "main"})
        nowhere = await client.post(TELL.replace("acted", "nowhere"), json={"event_type": "go"})
    assert (run["event"], run["ref"], run["actor"]) == ("workflow_dispatch", "refs/heads/main", "anna")
    assert (missing.status_code, nowhere.status_code) == (404, 404)


async def test_schedules_say_what_they_wait_for(acted: SITE) -> None:
    async with await acted.client("api:read:*") as client:
        rows = (await client.get("/api/v1/schedules?repository=acme/acted")).json()
        others = (await client.get("/api/v1/schedules?repository=acme/web")).json()
    (row,) = rows
    assert (row["workflow"], row["cron"], row["timezone"]) == ("Nightly", "0 5 * * *", "Europe/Berlin")
    assert row["reason"]["code"] == "schedule"
    assert row["reason"]["text"].endswith("05:00 Europe/Berlin")
    assert row["next_at"] > row["since"]
    assert others == []


def test_inputs_keep_what_follows_the_first_equals_sign() -> None:
    assert pairs(("a=1=2", "b=")) == {"a": "1=2", "b": ""}


def test_a_payload_may_lie_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text('{"a": 1}')
    assert payload_of(f"@{tmp_path / 'p.json'}") == {"a": 1}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "either a WORKFLOW or an --event"),
        (["ci.yaml", "--event", "go"], "either a WORKFLOW or an --event"),
        (["ci.yaml", "--input", "x"], "NAME=VALUE"),
        (["--event", "go", "--payload", "[1]"], "JSON object"),
        (["--event", "go", "--payload", "{"], "cannot be read as JSON"),
        (["--event", "go", "--payload", "@/nowhere"], "cannot be read as JSON"),
    ],
)
def test_what_the_command_cannot_use_is_said(arguments: list[str], says: str) -> None:
    result = CliRunner().invoke(cli, ["dispatch", *arguments, "-R", "acme/app"])
    assert result.exit_code == 2
    assert says in result.output
