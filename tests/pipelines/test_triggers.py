"""What starts runs beside pushes: each occurrence once, with the reason where it starts nothing."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from windlass.identity import Principal
from windlass.pipelines.context import withheld
from windlass.pipelines.occurrences import MAX_CHAIN, Occurrence, record
from windlass.registry import Registry
from windlass.repos.events import NewEvent, write_event
from windlass.repos.pulls import Pulls

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pipelines.conftest import House
    from windlass.pipelines import FakeJob, Run
    from windlass.pipelines.intake import Intake

FOLDER = ".github/workflows"
JOB = """
jobs:
  it:
    runs-on: ubuntu-latest
    steps:
      - run: "true"
"""


def workflow(on: str, name: str = "It") -> str:
    return f"name: {name}\non: {on}\n{JOB}"


async def happen(house: House, event: NewEvent, repo: str = "acme/app") -> int:
    made = await house.store.transact(lambda tx: write_event(tx, repo, event))
    assert made is not None
    return made


# -- repository_dispatch


async def test_a_repository_dispatch_runs_what_listens_to_its_type(house: House) -> None:
    await house.repository()
    on = "{repository_dispatch: {types: [deploy]}}"
    async with house.running() as pipelines:
        sha = await house.commit({f"{FOLDER}/deploy.yaml": workflow(on, "Deploy")})
        await house.commit(branch="other")
        first = await pipelines.dispatch_event("acme/app", "deploy", {"version": {"of": "api"}}, actor="zoe")
        second = await pipelines.dispatch_event("acme/app", "undo", {}, actor="zoe")
        items = await house.planned("repository_dispatch", 2)
        (run,) = await house.runs_of(pipelines, "repository_dispatch")
        github = (await house.spec(run.id)).contexts["github"]
        listed = [item.id for item in await pipelines.occurrences("acme/app")]
        shown, shown_runs = await pipelines.occurrence(first)
    assert (run.sha, run.ref, run.actor, run.title) == (sha, "refs/heads/main", "zoe", "deploy")
    assert run.occurrence == first
    event = github["event"]
    assert event["action"] == "deploy"
    assert event["branch"] == "main"
    assert event["client_payload"] == {"version": {"of": "api"}}
    assert event["repository"]["default_branch"] == "main"
    assert event["sender"] == {"login": "zoe", "id": "zoe", "type": "User"}
    assert (github["event_name"], github["ref_name"], github["ref_type"]) == (
        "repository_dispatch",
        "main",
        "branch",
    )
    assert (github["head_ref"], github["base_ref"], github["actor"]) == ("", "", "zoe")
    assert [(item.id, item.runs) for item in items] == [(first, 1), (second, 0)]
    assert "the activity 'undo' is not among its types (deploy)" in items[1].reason
    assert (shown.id, [item.id for item in shown_runs]) == (first, [run.id])
    assert {first, second} <= set(listed)


async def test_a_generic_webhook_is_a_repository_dispatch(house: House) -> None:
    """As `repos` records it."""
    await house.repository()
    async with house.running() as pipelines:
        sha = await house.commit({f"{FOLDER}/x.yaml": workflow("{repository_dispatch: {types: [alert]}}")})
        told = {"action": "alert", "branch": "main", "client_payload": {"level": 3}}
        event = NewEvent("repository_dispatch", "alert", "refs/heads/main", sha, "webhook", "forge", told)
        await happen(house, event)
        await house.planned("repository_dispatch")
        (run,) = await house.runs_of(pipelines, "repository_dispatch")
        github = (await house.spec(run.id)).contexts["github"]
    assert (run.title, run.actor, github["event"]["client_payload"]) == ("alert", "webhook", {"level": 3})


async def test_a_file_with_errors_fails_a_run_for_a_push_and_is_passed_over_by_other_events(
    house: House,
) -> None:
    await house.repository()
    async with house.running() as pipelines:
        await house.commit(
            {f"{FOLDER}/x.yaml": workflow("repository_dispatch"), f"{FOLDER}/bad.yaml": "on: [push"}
        )
        await pipelines.dispatch_event("acme/app", "go", {}, actor="anna")
        (item,) = await house.planned("repository_dispatch")
        with anyio.fail_after(30):
            while len(runs := await pipelines.runs()) < 2:
                await anyio.sleep(0.01)
    assert item.runs == 1
    found = {(run.event, run.path.rpartition("/")[2]) for run in runs}
    assert found == {("push", "bad.yaml"), ("repository_dispatch", "x.yaml")}
    assert len(runs) == 2


# -- workflow_run


async def test_a_run_that_ends_starts_who_listens_to_it(house: House) -> None:
    async def failing(job: FakeJob) -> None:
        job.begin("Run false")
        job.end("failure")
        job.finish("failure")

    house.launcher.scripts["it"] = failing
    await house.repository()
    after = "{workflow_run: {workflows: [CI], types: [completed], branches: [main]}}"
    files = {
        f"{FOLDER}/ci.yaml": workflow("push", "CI"),
        f"{FOLDER}/other.yaml": workflow("push", "Other"),
        f"{FOLDER}/after.yaml": workflow(after, "After"),
    }
    async with house.running() as pipelines:
        sha = await house.commit(files)
        await house.commit(branch="feature")
        items = await house.planned("workflow_run", 12)
        (run,) = await house.runs_of(pipelines, "workflow_run")
        event = (await house.spec(run.id)).contexts["github"]["event"]
    assert (run.workflow, run.sha, run.ref, run.actor, run.depth) == (
        "After",
        sha,
        "refs/heads/main",
        "anna",
        1,
    )
    told = event["workflow_run"]
    assert event["action"] == "completed"
    assert (told["name"], told["conclusion"], told["status"]) == ("CI", "failure", "completed")
    assert (told["head_branch"], told["head_sha"], told["event"]) == ("main", sha, "push")
    assert told["head_commit"]["id"] == sha
    assert event["repository"]["full_name"] == "acme/app"
    reasons = "\n".join(item.reason for item in items)
    assert "the workflow 'Other' is not among its workflows" in reasons
    assert "the branch 'feature' does not match main" in reasons
    assert "the activity 'requested' is not among its types (completed)" in reasons


async def test_requested_and_in_progress_are_told_once_each(house: House) -> None:
    await house.repository()
    two = "name: CI\non: push\njobs:\n  it: {runs-on: x64, steps: [run: a]}\n  b: {runs-on: x64, steps: [run: b]}\n"
    after = "{workflow_run: {workflows: [CI], types: [requested, in_progress, completed]}}"
    async with house.running() as pipelines:
        await house.commit({f"{FOLDER}/ci.yaml": two, f"{FOLDER}/after.yaml": workflow(after, "After")})

        async def all_three() -> list[Run]:
            found = await house.runs_of(pipelines, "workflow_run")
            done = all(run.status == "completed" for run in found)
            return found if len(found) >= 3 and done else []

        runs = await house.until(all_three)
        actions = [(await house.spec(run.id)).contexts["github"]["event"]["action"] for run in runs]
    assert actions == ["requested", "in_progress", "completed"]


async def test_runs_that_nobody_listens_to_leave_no_occurrence(house: House) -> None:
    await house.repository()
    async with house.running() as pipelines:
        await house.commit({f"{FOLDER}/ci.yaml": workflow("push")})
        await house.over(pipelines)
        await pipelines.dispatch_event("acme/app", "x", {}, actor="anna")
        await house.planned("repository_dispatch")
        events = {item.event for item in await pipelines.occurrences()}
    assert events == {"create", "repository_dispatch"}


async def test_chains_of_workflow_runs_end_after_three(house: House) -> None:
    await house.repository()
    files = {f"{FOLDER}/w0.yaml": workflow("push", "W0")}
    for number in range(1, 7):
        on = f"{{workflow_run: {{workflows: [W{number - 1}], types: [completed]}}}}"
        files[f"{FOLDER}/w{number}.yaml"] = workflow(on, f"W{number}")
    async with house.running() as pipelines:
        await house.commit(files)
        items = await house.planned("workflow_run", 3 * (MAX_CHAIN + 1))
        runs = await pipelines.runs()
    assert [run.workflow for run in reversed(runs)] == ["W0", "W1", "W2", "W3"]
    last = [item for item in items if item.action == "completed"][-1]
    assert last.runs == 0
    assert "3 levels deep at most" in last.reason


# -- registry_package


async def push_image(registry: Registry, tag: str, who: Principal, content: bytes = b"{}") -> str:
    """Push an image without layers, as `docker push` does; returns its digest."""

    async def once() -> AsyncIterator[bytes]:
        yield content

    upload = await registry.blobs.begin("acme/app")
    await registry.blobs.extend(upload, once())
    config = f"sha256:{hashlib.sha256(content).hexdigest()}"
    await registry.finish(upload, config)
    kind = "application/vnd.oci.image.manifest.v1+json"
    described = {
        "mediaType": "application/vnd.oci.image.config.v1+json",
        "digest": config,
        "size": len(content),
    }
    body = json.dumps({"schemaVersion": 2, "mediaType": kind, "config": described, "layers": []}).encode()
    digest, _ = await registry.push_manifest("acme/app", tag, body, kind, who)
    return digest


async def test_an_image_that_is_pushed_starts_runs(house: House) -> None:
    await house.repository()
    registry = Registry(house.store, house.data / "registry")
    robot = Principal("robot", "builder")
    on = "{registry_package: {types: [published]}}"
    async with house.running() as pipelines:
        sha = await house.commit({f"{FOLDER}/image.yaml": workflow(on, "Image")})
        digest = await push_image(registry, "v1", robot)
        await push_image(registry, "latest", robot)
        await push_image(registry, "v2", robot, b'{"a": 1}')
        await push_image(registry, "v3", Principal("job", "run/1/it/1"), b'{"a": 2}')
        items = await house.planned("registry_package", 4)
        runs = await house.runs_of(pipelines, "registry_package")
        event = (await house.spec(runs[0].id)).contexts["github"]["event"]
    assert [(item.action, item.runs) for item in items] == [
        ("published", 1),
        ("updated", 0),
        ("published", 1),
        ("published", 0),
    ]
    assert "job's token" in items[3].reason
    assert [(run.actor, run.sha, run.ref) for run in runs] == [("builder", sha, "refs/heads/main")] * 2
    package = event["registry_package"]
    assert (package["name"], package["namespace"], package["package_type"]) == ("app", "acme", "CONTAINER")
    version = package["package_version"]
    assert version["container_metadata"]["tag"] == {"name": "v1", "digest": digest}
    assert version["package_url"].endswith("/acme/app:v1")
    assert event["sender"]["type"] == "Bot"


async def test_an_image_pushed_by_digest_alone_is_no_event(house: House) -> None:
    await house.repository()
    registry = Registry(house.store, house.data / "registry")
    async with house.running():
        digest = await push_image(registry, "v1", Principal("user", "anna"))
        body = (await registry.manifest("acme/app", digest)).body  # type: ignore[union-attr]
        kind = "application/vnd.oci.image.manifest.v1+json"
        await registry.push_manifest("acme/app", digest, body, kind, Principal("user", "anna"))
        await push_image(registry, "v2", Principal("user", "anna"))
        items = await house.planned("registry_package", 2)
    assert [item.action for item in items] == ["published", "updated"]


# -- refs that come and go


async def test_branches_and_tags_that_come_and_go(house: House) -> None:
    await house.repository()
    async with house.running() as pipelines:
        files = {f"{FOLDER}/c.yaml": workflow("create", "C"), f"{FOLDER}/d.yaml": workflow("delete", "D")}
        first = await house.commit(files)
        await house.planned("create")
        await house.move("refs/tags/v1", "HEAD")
        second = await house.commit(message="Second")
        await house.move("refs/tags/v1", "")
        await house.planned("delete")
        created, deleted = await house.runs_of(pipelines, "create"), await house.runs_of(pipelines, "delete")
        one = (await house.spec(created[1].id)).contexts["github"]
        two = (await house.spec(deleted[0].id)).contexts["github"]
    assert [(run.ref, run.sha) for run in created] == [("refs/heads/main", first), ("refs/tags/v1", first)]
    assert (one["event"]["ref"], one["event"]["ref_type"], one["ref_type"]) == ("v1", "tag", "tag")
    assert [(run.ref, run.sha) for run in deleted] == [("refs/heads/main", second)]
    assert (two["event"]["ref"], two["event"]["ref_type"], two["ref_name"]) == ("v1", "tag", "main")


# -- pull requests


def pulls_of(house: House) -> Pulls:
    class NoChecks:
        async def of_commit(self, repository: str, sha: str) -> list[Any]:
            return []

    return Pulls(house.store, house.repositories, url=house.settings.server_url, checks=NoChecks())


async def test_a_pull_request_runs_on_its_merge_and_the_target_on_the_default_branch(house: House) -> None:
    await house.repository()
    pulls = pulls_of(house)
    anna = Principal("user", "anna", ("repo:write:*",))
    on = "{pull_request: {branches: [main], paths: ['src/**']}}"
    files = {
        f"{FOLDER}/pr.yaml": workflow(on, "PR"),
        f"{FOLDER}/docs.yaml": workflow("{pull_request: {paths: ['docs/**']}}", "Docs"),
        f"{FOLDER}/other.yaml": workflow("{pull_request: {branches: [release]}}", "Other"),
        f"{FOLDER}/closed.yaml": workflow("{pull_request: {types: [closed]}}", "Closed"),
        f"{FOLDER}/target.yaml": workflow("pull_request_target", "Target"),
    }
    async with house.running() as pipelines:
        base = await house.commit(files)
        # The branch's own target.yaml is not what runs.
        evil = {"src/a.py": "1", f"{FOLDER}/target.yaml": workflow("pull_request_target", "Evil")}
        head = await house.commit(evil, branch="feature")
        made = await pulls.create(
            "acme/app", head="feature", base="main", title="Add; $(touch a)", principal=anna
        )
        await house.planned("pull_request")
        await house.planned("pull_request_target")
        (run,) = await house.runs_of(pipelines, "pull_request")
        (target,) = await house.runs_of(pipelines, "pull_request_target")
        one = (await house.spec(run.id)).contexts["github"]
        two = (await house.spec(target.id)).contexts["github"]
        merge = await house.git.commit_info("acme/app", run.sha)
    number = made.number
    assert (run.workflow, run.title, run.actor) == ("PR", "Add; $(touch a)", "anna")
    assert set(merge.parents) == {base, head}
    assert (one["ref"], one["ref_name"], one["ref_type"]) == (
        f"refs/pull/{number}/merge",
        f"{number}/merge",
        "branch",
    )
    assert (one["head_ref"], one["base_ref"], one["event"]["action"]) == ("feature", "main", "opened")
    assert (target.workflow, target.sha, target.ref) == ("Target", base, "refs/heads/main")
    assert (two["head_ref"], two["base_ref"], two["ref_name"]) == ("feature", "main", "main")


async def test_a_pull_request_that_conflicts_says_so(house: House) -> None:
    await house.repository()
    event = NewEvent("pull_request", "opened", "refs/pull/1/merge", "", "anna", "user", pull_of("acme/app"))
    async with house.running() as pipelines:
        await house.commit({f"{FOLDER}/pr.yaml": workflow("pull_request")})
        await happen(house, event)
        (item,) = await house.planned("pull_request")
        assert await house.runs_of(pipelines, "pull_request") == []
    assert "conflicts" in item.reason


async def test_a_pull_request_whose_head_asks_to_be_skipped_is(house: House) -> None:
    await house.repository()
    async with house.running() as pipelines:
        await house.commit({f"{FOLDER}/pr.yaml": workflow("pull_request")})
        head = await house.commit(branch="feature", message="Words only [skip ci]")
        payload = pull_of("acme/app", sha=head)
        await happen(
            house, NewEvent("pull_request", "opened", "refs/pull/1/merge", head, "anna", "user", payload)
        )
        (item,) = await house.planned("pull_request")
        assert await house.runs_of(pipelines, "pull_request") == []
    assert "skip" in item.reason


def pull_of(
    head: str | None, base: str = "acme/app", *, sha: str = "", title: str = "Title"
) -> dict[str, Any]:
    return {
        "number": 1,
        "pull_request": {
            "number": 1,
            "title": title,
            "head": {"ref": "feature", "sha": sha, "repo": {"full_name": head} if head else None},
            "base": {"ref": "main", "sha": sha, "repo": {"full_name": base}},
        },
    }


@pytest.mark.parametrize(
    ("event", "head", "expected"),
    [
        ("pull_request", "acme/app", False),
        ("pull_request", "mallory/app", True),
        ("pull_request", None, True),
        ("pull_request_review", "mallory/app", True),
        ("pull_request_target", "mallory/app", False),
        ("push", "mallory/app", False),
        ("workflow_run", "mallory/app", False),
    ],
)
def test_secrets_are_withheld_from_the_code_of_forks(event: str, head: str | None, expected: bool) -> None:
    assert withheld(event, pull_of(head)) is expected


@pytest.mark.parametrize("head", ["acme/app", "mallory/app"])
async def test_the_code_of_a_fork_gets_no_secrets_and_no_right_to_write(house: House, head: str) -> None:
    seen = {}

    async def look(job: FakeJob) -> None:
        seen[job.spec.contexts["github"]["event_name"]] = (
            job.secrets.secrets.get("KEY"),
            (await house.identity.authenticate(job.secrets.token)).may("repo:write", "acme/app"),  # type: ignore[union-attr]
            (await house.identity.authenticate(job.secrets.token)).may("repo:read", "acme/app"),  # type: ignore[union-attr]
        )
        job.finish()

    house.launcher.scripts["it"] = look
    await house.repository()
    await house.secrets.set("acme/app", "KEY", "s3cret")
    on = "[pull_request, pull_request_target]\npermissions: {contents: write}"
    async with house.running() as pipelines:
        sha = await house.commit({f"{FOLDER}/x.yaml": workflow(on)})
        event = NewEvent(
            "pull_request", "opened", "refs/pull/1/merge", sha, "m", "forge", pull_of(head, sha=sha)
        )
        await happen(house, event)
        await house.over(pipelines, 1)
        await house.over(pipelines, 2)
    fork = head != "acme/app"
    assert seen["pull_request"] == ((None, False, True) if fork else ("s3cret", True, True))
    assert seen["pull_request_target"] == ("s3cret", True, True)


# -- other events of repositories


async def test_a_release_runs_on_its_tag(house: House) -> None:
    await house.repository()
    async with house.running() as pipelines:
        sha = await house.commit({f"{FOLDER}/r.yaml": workflow("{release: {types: [published]}}", "R")})
        await house.move("refs/tags/v1", "HEAD")
        await house.commit(message="Later")
        payload = {"action": "published", "release": {"tag_name": "v1", "name": "One"}}
        for action in ("created", "published"):
            told = {**payload, "action": action}
            await happen(house, NewEvent("release", action, "refs/tags/v1", sha, "anna", "user", told))
        await house.planned("release", 2)
        (run,) = await house.runs_of(pipelines, "release")
        github = (await house.spec(run.id)).contexts["github"]
    assert (run.ref, run.sha, run.title) == ("refs/tags/v1", sha, "One")
    assert (github["ref_name"], github["ref_type"], github["event"]["action"]) == ("v1", "tag", "published")


async def test_refs_are_told_by_pushes_alone(house: House) -> None:
    """A forge sends `create` as well; the fetched ref says it already."""
    await house.repository()
    async with house.running() as pipelines:
        await house.commit({f"{FOLDER}/c.yaml": workflow("create")})
        await house.planned("create")
        await happen(house, NewEvent("create", "", "refs/heads/main", "", "anna", "forge", {"ref": "main"}))
        await happen(house, NewEvent("label", "created", "", "", "anna", "forge", {}))
        await house.planned("label")
        assert len(await house.planned("create")) == 1
        assert len(await house.runs_of(pipelines, "create")) == 1


# -- job tokens


@pytest.mark.parametrize("event", ["pull_request", "release", "label", "issues"])
async def test_what_a_jobs_token_causes_starts_no_runs(house: House, event: str) -> None:
    await house.repository()
    async with house.running() as pipelines:
        sha = await house.commit({f"{FOLDER}/x.yaml": workflow(event)})
        for kind, name in (("job", "run/1/it/1"), ("user", "anna")):
            payload = pull_of("acme/app", sha=sha)
            await happen(house, NewEvent(event, "opened", "refs/heads/main", sha, name, kind, payload))
        mine, theirs = await house.planned(event, 2)
        runs = await house.runs_of(pipelines, event)
    assert (mine.runs, theirs.runs, len(runs)) == (0, 1, 1)
    assert "job's token" in mine.reason


async def test_a_jobs_token_may_dispatch(house: House) -> None:
    await house.repository()
    async with house.running() as pipelines:
        on = "{repository_dispatch: {}, workflow_dispatch: {}}"
        await house.commit({f"{FOLDER}/x.yaml": workflow(on)})
        await pipelines.dispatch_event("acme/app", "go", {}, actor="run/1/it/1", kind="job")
        await pipelines.dispatch("acme/app", "x.yaml", actor="run/1/it/1", kind="job")
        (item,) = await house.planned("repository_dispatch")
        assert len(await house.runs_of(pipelines, "workflow_dispatch")) == 1
    assert item.runs == 1


async def test_a_branch_that_a_job_creates_starts_nothing(house: House) -> None:
    await house.repository()
    async with house.running() as pipelines:
        await house.commit({f"{FOLDER}/c.yaml": workflow("[create, push]")})
        await house.commit(branch="made-by-job", pusher=("job", "run/1/it/1"))
        items = await house.planned("create", 2)
        runs = await pipelines.runs()
    assert [item.runs for item in items] == [1, 0]
    assert {run.ref for run in runs} == {"refs/heads/main"}


# -- once


async def test_an_occurrence_is_planned_once_however_often_it_is_tried(house: House) -> None:
    await house.repository()
    await house.commit({f"{FOLDER}/x.yaml": workflow("repository_dispatch")})
    pipelines = house.pipelines()
    number = await pipelines.dispatch_event("acme/app", "go", {}, actor="anna")
    item, _ = await pipelines.occurrence(number)
    first = await pipelines._planner.plan(item)
    again = await pipelines._planner.plan(item)
    assert (len(first), again) == (1, [])
    assert len(await pipelines.runs()) == 1
    kinds = [row["kind"] for row in await house.store.read("ledger.of_subject", subject="repo/acme/app")]
    assert kinds.count("occurrence") == 1
    assert kinds.count("occurrence.planned") == 1


async def test_what_could_not_be_written_is_planned_again(house: House) -> None:
    """A crash between recording and planning, and one in the middle of planning: nothing, then all of it."""
    await house.repository()
    await house.commit({f"{FOLDER}/x.yaml": workflow("repository_dispatch")})
    pipelines = house.pipelines()
    number = await pipelines.dispatch_event("acme/app", "go", {}, actor="anna")
    item, _ = await pipelines.occurrence(number)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("windlass.pipelines.inserting._supersede", _crash)
        with pytest.raises(RuntimeError):
            await pipelines._planner.plan(item)
    assert await pipelines.runs() == []
    async with house.running() as second:
        await house.over(second)
        shown, runs = await second.occurrence(number)
    assert (shown.runs, len(runs)) == (1, 1)


def _crash(*_: object) -> None:
    raise RuntimeError("killed")


async def test_entries_that_are_read_again_are_the_same_occurrences(house: House) -> None:
    await house.repository()
    registry = Registry(house.store, house.data / "registry")
    on = "{registry_package: {}, workflow_run: {workflows: [Nobody]}}"
    async with house.running() as pipelines:
        await house.commit({f"{FOLDER}/x.yaml": workflow(on), f"{FOLDER}/ci.yaml": workflow("push", "CI")})
        await push_image(registry, "v1", Principal("user", "anna"))
        sha = house.run_git("rev-parse", "HEAD")
        await happen(house, NewEvent("label", "created", "refs/heads/main", sha, "anna", "user", {}))
        await house.planned("label")
        await house.planned("registry_package")
        await house.planned("workflow_run", 3)
    intake: Intake = pipelines._intake
    await intake.take()  # what came after the server was gone
    before = [item.key for item in await pipelines.occurrences(limit=500)]
    with sqlite3.connect(house.data / "windlass.db") as connection:
        connection.execute("UPDATE intake SET position = 0")
    connection.close()
    await intake.take()
    assert [item.key for item in await pipelines.occurrences(limit=500)] == before


# -- hostile names


EVIL = "x;touch${IFS}pwned&&`id`$(id)|'\"<b>"


async def test_names_and_titles_travel_as_data(house: House) -> None:
    await house.repository()
    async with house.running() as pipelines:
        await house.commit({f"{FOLDER}/x.yaml": workflow("[push, create, pull_request]")})
        branch = "a;touch${IFS}b&&`id`|c'd\"e$(id)"
        sha = await house.commit(branch=branch, message=EVIL)
        payload = pull_of("acme/app", sha=sha, title=EVIL)
        await happen(
            house, NewEvent("pull_request", "opened", "refs/pull/1/merge", sha, EVIL, "user", payload)
        )
        await house.planned("pull_request")
        await house.planned("create", 2)
        pushed = [run for run in await house.runs_of(pipelines, "push") if run.sha == sha]
        (pull,) = await house.runs_of(pipelines, "pull_request")
        spec = await house.spec(pushed[0].id)
    assert (pushed[0].ref, pushed[0].title) == (f"refs/heads/{branch}", EVIL)
    assert spec.contexts["github"]["ref_name"] == branch
    assert (pull.title, pull.actor) == (EVIL, EVIL)


async def test_the_actor_is_who_authenticated_never_what_a_commit_says(house: House) -> None:
    await house.repository()
    house.run_git("config", "user.name", "Root")
    async with house.running() as pipelines:
        await house.commit(
            {f"{FOLDER}/x.yaml": workflow("[push, create, schedule]")}, pusher=("user", "mallory")
        )
        await house.planned("create")
        runs = await pipelines.runs()
        commit = await house.git.commit_info("acme/app", runs[0].sha)
        github = (await house.spec(runs[0].id)).contexts["github"]
    assert commit.author.name == "Anna"  # what git's own metadata claims
    assert {run.actor for run in runs} == {"mallory"}
    assert (github["actor"], github["triggering_actor"], github["event"]["sender"]["login"]) == (
        "mallory",
    ) * 3


async def test_whatever_waits_says_why(house: House) -> None:
    """Needs, slots, legs, groups: no job that waits is without a reason, or in a run without one."""

    async def stay(job: FakeJob) -> None:
        job.begin("Run sleep")
        await job.term.wait()
        job.finish("cancelled")

    house.launcher.default = stay
    house.settle(capacity=2)
    text = """
on: [push, repository_dispatch]
concurrency: one
jobs:
  a: {runs-on: x64, strategy: {max-parallel: 1, matrix: {x: [1, 2, 3]}}, steps: [{run: a}]}
  b: {runs-on: x64, needs: a, steps: [{run: b}]}
  c: {runs-on: x64, steps: [{run: c}]}
  d: {runs-on: x64, steps: [{run: d}]}
  e: {runs-on: moon, steps: [{run: e}]}
"""
    await house.repository()
    async with house.running() as pipelines:
        await house.commit({f"{FOLDER}/x.yaml": text})
        await house.until(lambda: house.store.one("jobs.job", id="1.a~1.1"))
        await pipelines.dispatch_event("acme/app", "go", {}, actor="anna")
        await house.planned("repository_dispatch")

        async def told() -> bool:
            found = []
            for run in await pipelines.runs():
                jobs = [job for job in await pipelines.jobs(run.id) if job.status in {"queued", "pending"}]
                found += [job.reason or run.reason for job in jobs if job.assigned_at is None]
            codes = {why.code if why else None for why in found}
            return codes == {"max-parallel", "needs", "capacity", "no-runner", "concurrency"}

        await house.until(told)


async def test_recording_the_same_key_twice_records_it_once(house: House) -> None:
    item = Occurrence(key="k", repository="acme/app", event="x", actor="a", actor_kind="user")
    assert await house.store.transact(lambda tx: record(tx, item)) is not None
    assert await house.store.transact(lambda tx: record(tx, item)) is None
