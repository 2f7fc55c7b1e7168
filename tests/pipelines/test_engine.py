from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import anyio
import pytest

from windlass.pipelines import NotFoundError, StateError

if TYPE_CHECKING:
    from pipelines.conftest import House
    from windlass.pipelines import FakeJob

FILE = ".github/workflows/ci.yaml"
LINE = """
name: CI
on: push
jobs:
  test:
    runs-on: ubuntu-latest
    outputs:
      version: ${{ steps.v.outputs.version }}
    steps:
      - run: make test
  build:
    needs: test
    runs-on: ubuntu-latest
    permissions:
      contents: read
      packages: write
    env:
      VERSION: ${{ needs.test.outputs.version }}
    steps:
      - run: make image
  deploy:
    needs: [build]
    runs-on: ubuntu-latest
    steps:
      - run: make deploy
"""


async def failing(job: FakeJob) -> None:
    job.begin("Set up job")
    job.end()
    job.begin("Run pytest", 9)
    job.log("collected 3 items", "E   assert 1 == 2", "FAILED tests/test_app.py::test_sum - assert 1 == 2")
    job.annotate("assert 1 == 2", file="tests/test_app.py", line=12)
    job.end("failure")
    job.finish("failure", reason="step 1 failed")


async def waiting(job: FakeJob) -> None:
    """Runs until it is told to stop, then runs its `always()` steps."""
    job.begin("Run sleep")
    await job.term.wait()
    job.end("cancelled")
    job.begin("Run always")
    job.end()
    job.finish("cancelled")


async def test_a_push_runs_its_jobs_in_the_order_of_their_needs(house: House) -> None:
    async def test(job: FakeJob) -> None:
        job.begin("Set up job")
        job.end()
        job.finish(version="1.2")

    house.launcher.scripts["test"] = test
    await house.repository()
    async with house.running() as pipelines:
        push = await house.push({FILE: LINE}, "Add the workflow\n\nWith a body.")
        detail = await house.over(pipelines)
    assert detail.run.conclusion == "success"
    assert (detail.run.number, detail.run.workflow, detail.run.event, detail.run.push) == (
        1,
        "CI",
        "push",
        push,
    )
    assert detail.run.title == "Add the workflow"
    assert [job.key for job in detail.jobs] == ["test", "build", "deploy"]
    assert house.launcher.executed == ["1.test.1", "1.build.1", "1.deploy.1"]
    assert {job.conclusion for job in detail.jobs} == {"success"}
    assert detail.jobs[0].outputs == {"version": "1.2"}
    needs = house.launcher.jobs["1.build.1"].spec.contexts["needs"]
    assert needs["test"] == {"result": "success", "outputs": {"version": "1.2"}}
    starts = [job.started_at or 0 for job in detail.jobs]
    assert starts == sorted(starts)


async def test_the_job_is_told_what_github_tells(house: House) -> None:
    await house.repository()
    await house.secrets.set("acme/app", "KEY", "s3cret")
    async with house.running() as pipelines:
        await house.push({FILE: LINE}, "First")
        await house.over(pipelines)
        sha = house.run_git("rev-parse", "HEAD")
    job = house.launcher.jobs["1.build.1"]
    github = job.spec.contexts["github"]
    expected = {
        "sha": sha,
        "ref": "refs/heads/main",
        "ref_name": "main",
        "ref_type": "branch",
        "repository": "acme/app",
        "repository_owner": "acme",
        "run_id": "1",
        "run_number": "1",
        "run_attempt": "1",
        "event_name": "push",
        "workflow": "CI",
        "job": "build",
        "server_url": house.settings.server_url,
    }
    assert {key: github[key] for key in expected} == expected
    assert github["event"]["head_commit"]["id"] == sha
    assert github["event"]["head_commit"]["message"] == "First"
    assert github["event"]["repository"]["default_branch"] == "main"
    assert github["event"]["created"] is True
    assert job.spec.sha == sha
    assert job.spec.workflow_file == FILE
    assert job.secrets.secrets == {"KEY": "s3cret"}
    assert "s3cret" not in (house.settings.jobs / job.spec.id / "spec.json").read_text()
    assert job.secrets.token not in (house.settings.jobs / job.spec.id / "spec.json").read_text()


async def test_a_jobs_token_is_its_permissions_and_dies_with_it(house: House) -> None:
    seen = {}

    async def build(job: FakeJob) -> None:
        seen["build"] = await house.identity.authenticate(job.secrets.token)
        job.finish()

    house.launcher.scripts["build"] = build
    await house.repository()
    async with house.running() as pipelines:
        await house.push({FILE: LINE})
        await house.over(pipelines)
        who = seen["build"]
        assert who is not None
        assert (who.kind, who.name) == ("job", "run/1/build/1")
        assert who.may("repo:read", "acme/app")
        assert not who.may("repo:write", "acme/app")
        assert not who.may("repo:read", "acme/other")
        assert who.may("registry:write", "acme/app")
        assert not who.may("registry:read", "other/app")

        async def dead() -> bool:
            tokens = [house.launcher.jobs[job].secrets.token for job in house.launcher.executed]
            return not any([await house.identity.authenticate(token) for token in tokens])

        await house.until(dead)


async def test_actions_that_the_server_shares_are_readable_for_every_job(house: House) -> None:
    seen = {}

    async def build(job: FakeJob) -> None:
        seen["build"] = await house.identity.authenticate(job.secrets.token)
        job.finish()

    house.launcher.scripts["build"] = build
    house.settings = replace(house.settings, shared_actions=("acme/action-*",))
    await house.repository()
    async with house.running() as pipelines:
        await house.push({FILE: LINE})
        await house.over(pipelines)
    who = seen["build"]
    assert who is not None
    assert who.may("repo:read", "acme/action-greet")
    assert not who.may("repo:write", "acme/action-greet")
    assert not who.may("repo:read", "acme/gitops-repo")


async def test_a_failure_skips_what_needs_it_and_shows_its_first_error(house: House) -> None:
    house.launcher.scripts["test"] = failing
    await house.repository()
    async with house.running() as pipelines:
        await house.push({FILE: LINE})
        detail = await house.over(pipelines)
        error = await pipelines.first_error(1)
    assert detail.run.conclusion == "failure"
    assert [job.conclusion for job in detail.jobs] == ["failure", "skipped", "skipped"]
    assert all(job.reason for job in detail.jobs)
    assert house.launcher.executed == ["1.test.1"]
    assert error is not None
    assert (error.file, error.line, error.message) == ("tests/test_app.py", 12, "assert 1 == 2")
    assert (error.job_name, error.step_name) == ("test", "Run pytest")
    assert error.log[-1].startswith("FAILED tests/test_app.py")
    assert [(step.step, step.conclusion) for step in detail.steps] == [(0, "success"), (1, "failure")]


async def test_without_an_annotation_the_telling_line_of_the_log_is_the_first_error(house: House) -> None:
    async def test(job: FakeJob) -> None:
        job.begin("Run pytest")
        job.log("one", "E       assert 3 == 4", "two", "##[error]Process completed with exit code 1.")
        job.annotate("Process completed with exit code 1.")
        job.end("failure")
        job.finish("failure")

    house.launcher.scripts["test"] = test
    await house.repository()
    async with house.running() as pipelines:
        await house.push({FILE: LINE})
        await house.over(pipelines)
        error = await pipelines.first_error(1)
    assert error is not None
    assert error.message == "assert 3 == 4"


async def test_an_invalid_workflow_is_a_failed_run_that_shows_where(house: House) -> None:
    await house.repository()
    async with house.running() as pipelines:
        await house.push({FILE: "on: push\njobs:\n  test:\n    runs-on: ubuntu-latest\n    stepz: []\n"})
        detail = await house.over(pipelines)
        error = await pipelines.first_error(1)
    assert (detail.run.conclusion, detail.jobs) == ("failure", ())
    assert detail.run.reason is not None
    assert detail.run.reason.code == "invalid-workflow"
    assert "stepz" in detail.run.reason.evidence
    assert "^" in detail.run.reason.evidence
    assert f"{FILE}:5" in detail.run.reason.evidence
    assert [(item.file, item.line) for item in detail.annotations if item.line == 5]
    assert error is not None
    with pytest.raises(StateError):
        await pipelines.rerun(1, actor="anna")


async def test_a_workflow_file_that_is_too_large_is_a_failed_run_that_says_so(house: House) -> None:
    await house.repository()
    async with house.running() as pipelines:
        await house.push({FILE: LINE + "# much\n" * (200 << 10)})
        detail = await house.over(pipelines)
    assert detail.run.conclusion == "failure"
    assert detail.run.reason is not None
    assert "maximum file size" in detail.run.reason.evidence


@pytest.mark.parametrize(
    ("text", "message", "reason"),
    [
        (LINE, "A change [skip ci]", "asks to skip"),
        (
            "on: pull_request\njobs:\n  a:\n    runs-on: x\n    steps: [{run: 'true'}]\n",
            "A change",
            "no workflow",
        ),
    ],
)
async def test_a_push_that_starts_nothing_says_why(
    house: House, text: str, message: str, reason: str
) -> None:
    await house.repository()
    async with house.running() as pipelines:
        push = await house.push({FILE: text}, message)
        plan = await house.until(lambda: house.store.one("pipelines.plan", push=push))
        assert await pipelines.runs() == []
    assert reason in plan["reason"]


async def test_path_filters_look_at_what_the_push_changed(house: House) -> None:
    filtered = LINE.replace("on: push", "on: {push: {paths: ['src/**']}}")
    await house.repository()
    async with house.running() as pipelines:
        await house.push({FILE: filtered, "src/a.py": "1"})
        await house.over(pipelines, 1)
        skipped = await house.push({"README.md": "hello"})
        plan = await house.until(lambda: house.store.one("pipelines.plan", push=skipped))
        assert plan["runs"] == 0
        assert plan["reason"].endswith("none of the 1 changed files matches src/**")
        await house.push({"src/a.py": "2"})
        await house.over(pipelines, 2)
        runs = await pipelines.runs()
    assert [run.number for run in runs] == [2, 1]


MATRIX = """
on: push
jobs:
  test:
    runs-on: ubuntu-latest
    strategy:
      fail-fast: {fail_fast}
      max-parallel: 2
      matrix:
        python: ['3.11', '3.12', '3.13', '3.14']
    steps: [{{run: 'true'}}]
"""


async def test_a_matrix_runs_no_more_legs_at_once_than_it_allows(house: House) -> None:
    running = most = 0

    async def leg(job: FakeJob) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await anyio.sleep(0.05)
        running -= 1
        job.finish()

    house.launcher.default = leg
    await house.repository()
    async with house.running() as pipelines:
        await house.push({FILE: MATRIX.format(fail_fast="true")})
        detail = await house.over(pipelines)
    assert most == 2
    assert [job.matrix for job in detail.jobs] == [{"python": f"3.{minor}"} for minor in (11, 12, 13, 14)]
    assert len({job.id for job in detail.jobs}) == 4
    assert detail.run.conclusion == "success"


@pytest.mark.parametrize(
    ("fail_fast", "conclusions"),
    [("true", ["failure", "cancelled", "cancelled", "cancelled"]), ("false", ["failure", *["success"] * 3])],
)
async def test_fail_fast_ends_the_other_legs(house: House, fail_fast: str, conclusions: list[str]) -> None:
    async def leg(job: FakeJob) -> None:
        if job.spec.contexts["matrix"]["python"] == "3.11":
            job.finish("failure")
        elif fail_fast == "true":
            await waiting(job)
        else:
            job.finish()

    house.launcher.default = leg
    await house.repository()
    async with house.running() as pipelines:
        await house.push({FILE: MATRIX.format(fail_fast=fail_fast)})
        detail = await house.over(pipelines)
    assert [job.conclusion for job in detail.jobs] == conclusions
    assert detail.run.conclusion == "failure"
    if fail_fast == "true":
        assert {job.reason.code for job in detail.jobs[1:] if job.reason} == {"fail-fast"}


async def test_no_more_jobs_run_than_there_are_slots_and_the_rest_say_so(house: House) -> None:
    house.settle(capacity=1)
    go = anyio.Event()

    async def slow(job: FakeJob) -> None:
        await go.wait()
        job.finish()

    house.launcher.default = slow
    await house.repository()
    async with house.running() as pipelines:
        await house.push(
            {FILE: MATRIX.format(fail_fast="true").replace("max-parallel: 2", "max-parallel: 9")}
        )

        async def waits() -> bool:
            jobs = await pipelines.jobs(1)
            return [job.reason.code for job in jobs if job.reason] == ["capacity"] * 3

        await house.until(waits)
        await house.until(lambda: _started(house, "1.test~1.1"))
        await anyio.sleep(0.05)
        assert len(house.launcher.executed) == 1
        go.set()
        await house.over(pipelines)
    assert len(house.launcher.executed) == 4


async def test_a_label_that_nobody_has_is_named(house: House) -> None:
    await house.repository()
    async with house.running() as pipelines:
        await house.push({FILE: LINE.replace("ubuntu-latest", "windows-2022")})

        async def named() -> bool:
            jobs = await pipelines.jobs(1)
            reason = jobs[0].reason if jobs else None
            return reason is not None and reason.code == "no-runner" and "windows-2022" in reason.text

        await house.until(named)
        await pipelines.cancel(1, actor="anna")
        detail = await house.over(pipelines)
    assert detail.run.conclusion == "cancelled"


async def test_cancel_interrupts_runs_always_steps_and_keeps_the_reason(house: House) -> None:
    house.launcher.scripts["test"] = waiting
    await house.repository()
    async with house.running() as pipelines:
        await house.push({FILE: LINE})
        await house.until(lambda: _started(house, "1.test.1"))
        await pipelines.cancel(1, actor="anna")
        detail = await house.over(pipelines, seconds=1)
        with pytest.raises(StateError):
            await pipelines.cancel(1, actor="anna")
        with pytest.raises(NotFoundError):
            await pipelines.cancel(99, actor="anna")
    assert detail.run.conclusion == "cancelled"
    assert detail.jobs[0].conclusion == "cancelled"
    assert detail.jobs[0].reason is not None
    assert "anna" in detail.jobs[0].reason.text
    assert "Run always" in {step.name for step in detail.steps}
    assert house.launcher.executed == ["1.test.1"]


async def _started(house: House, job: str) -> bool:
    row = await house.store.one("jobs.job", id=job)
    return row is not None and row["status"] == "in_progress"


async def test_a_job_with_always_runs_in_a_cancelled_run(house: House) -> None:
    house.launcher.scripts["test"] = waiting
    await house.repository()
    async with house.running() as pipelines:
        await house.push({FILE: LINE.replace("needs: [build]", "needs: [build]\n    if: always()")})
        await house.until(lambda: _started(house, "1.test.1"))
        await pipelines.cancel(1, actor="anna")
        await house.over(pipelines)
    assert house.launcher.executed == ["1.test.1", "1.deploy.1"]


async def test_a_job_that_ignores_the_cancellation_is_killed_by_force(house: House) -> None:
    async def stubborn(job: FakeJob) -> None:
        job.begin("Run forever")
        await anyio.sleep_forever()

    house.launcher.scripts["test"] = stubborn
    await house.repository()
    async with house.running() as pipelines:
        await house.push({FILE: LINE})
        await house.until(lambda: _started(house, "1.test.1"))
        await pipelines.cancel(1, actor="anna")
        await house.until(lambda: _signalled(house))
        assert house.launcher.jobs["1.test.1"].signals == [15]
        await pipelines.cancel(1, actor="anna", force=True)
        detail = await house.over(pipelines)
    assert detail.jobs[0].conclusion == "cancelled"
    assert [step.conclusion for step in detail.steps] == ["cancelled"]


async def _signalled(house: House) -> bool:
    return bool(house.launcher.jobs["1.test.1"].signals)


async def test_a_process_that_dies_fails_its_job_with_the_end_of_its_log(house: House) -> None:
    async def dying(job: FakeJob) -> None:
        job.begin("Set up job")
        job.end()
        job.begin("Run boom")
        job.log("about to die")

    house.launcher.scripts["test"] = dying
    await house.repository()
    async with house.running() as pipelines:
        await house.push({FILE: LINE})
        detail = await house.over(pipelines, seconds=2)
    reason = detail.jobs[0].reason
    assert detail.run.conclusion == "failure"
    assert reason is not None
    assert (reason.code, reason.evidence) == ("lost", "about to die")
    assert house.launcher.executed == ["1.test.1"]


async def test_a_launch_that_fails_is_tried_again(house: House) -> None:
    house.launcher.refuse = 2
    await house.repository()
    async with house.running() as pipelines:
        await house.push({FILE: LINE})
        detail = await house.over(pipelines)
    assert detail.run.conclusion == "success"
    assert house.launcher.executed == ["1.test.1", "1.build.1", "1.deploy.1"]


async def test_a_launch_that_keeps_failing_fails_the_job_with_its_error(house: House) -> None:
    house.launcher.refuse = 99
    await house.repository()
    async with house.running() as pipelines:
        await house.push({FILE: LINE})
        detail = await house.over(pipelines)
    reason = detail.jobs[0].reason
    assert reason is not None
    assert (reason.code, reason.evidence) == ("launch-failed", "the fake launcher was told to refuse")
    assert house.launcher.executed == []


GROUPED = LINE.replace(
    "on: push", "on: push\nconcurrency:\n  group: deploy-${{ github.ref }}\n  cancel-in-progress: CANCEL"
)


async def test_a_concurrency_group_lets_one_run_and_keeps_only_the_newest_waiting(house: House) -> None:
    go = anyio.Event()

    async def test(job: FakeJob) -> None:
        await go.wait()
        job.finish()

    house.launcher.scripts["test"] = test
    await house.repository()
    async with house.running() as pipelines:
        await house.push({FILE: GROUPED.replace("CANCEL", "false")})
        await house.until(lambda: _started(house, "1.test.1"))
        await house.push({"a": "1"})

        async def pending() -> bool:
            run = await pipelines.run_record(2)
            return run is not None and run.status == "pending" and run.reason is not None

        await house.until(pending)
        run = await pipelines.run_record(2)
        assert run is not None
        assert run.reason is not None
        assert "run 1" in run.reason.text
        await house.push({"a": "2"})
        replaced = await house.over(pipelines, 2)
        assert replaced.run.conclusion == "cancelled"
        assert replaced.run.reason is not None
        assert replaced.run.reason.code == "replaced"
        assert "1.test.1" in house.launcher.executed
        assert "3.test.1" not in house.launcher.executed
        go.set()
        assert (await house.over(pipelines, 1)).run.conclusion == "success"
        assert (await house.over(pipelines, 3)).run.conclusion == "success"
    assert "2.test.1" not in house.launcher.executed


async def test_cancel_in_progress_ends_the_holder(house: House) -> None:
    async def test(job: FakeJob) -> None:
        if job.spec.run == 1:
            await waiting(job)
        else:
            job.finish()

    house.launcher.scripts["test"] = test
    await house.repository()
    async with house.running() as pipelines:
        await house.push({FILE: GROUPED.replace("CANCEL", "true")})
        await house.until(lambda: _started(house, "1.test.1"))
        await house.push({"a": "1"})
        assert (await house.over(pipelines, 1)).run.conclusion == "cancelled"
        assert (await house.over(pipelines, 2)).run.conclusion == "success"


async def test_a_newer_push_to_the_branch_supersedes_and_without_a_group_both_go_on(house: House) -> None:
    go = anyio.Event()

    async def test(job: FakeJob) -> None:
        await go.wait()
        job.finish()

    house.launcher.scripts["test"] = test
    await house.repository()
    async with house.running() as pipelines:
        await house.push({FILE: LINE})
        await house.until(lambda: _started(house, "1.test.1"))
        await house.push({"a": "1"})
        await house.until(lambda: _started(house, "2.test.1"))
        await house.push({"a": "2"}, branch="other")
        await house.until(lambda: _started(house, "3.test.1"))
        go.set()
        runs = [(await house.over(pipelines, number)).run for number in (1, 2, 3)]
    assert [run.superseded_by for run in runs] == [2, None, None]
    assert {run.conclusion for run in runs} == {"success"}


async def test_run_again_keeps_the_attempts(house: House) -> None:
    house.launcher.scripts["build"] = failing
    await house.repository()
    async with house.running() as pipelines:
        await house.push({FILE: LINE})
        await house.over(pipelines)
        del house.launcher.scripts["build"]
        await house.push({FILE: LINE.replace("make deploy", "make something-else")})
        await house.over(pipelines, 2)
        assert await pipelines.rerun(1, actor="anna", failed=True) == 2
        detail = await house.over(pipelines)
        assert [job.id for job in detail.jobs] == ["1.test.1", "1.build.2", "1.deploy.2"]
        assert detail.run.conclusion == "success"
        assert [job.conclusion for job in await pipelines.jobs(1, attempt=1)] == [
            "success",
            "failure",
            "skipped",
        ]
        steps = house.launcher.jobs["1.deploy.2"].spec.definition["steps"]
        assert steps[0]["run"] == "make deploy"
        with pytest.raises(StateError):
            await pipelines.rerun(1, actor="anna", failed=True)
        assert await pipelines.rerun(1, actor="anna") == 3
        detail = await house.over(pipelines)
    assert [job.id for job in detail.jobs] == ["1.test.3", "1.build.3", "1.deploy.3"]
    assert house.launcher.jobs["1.test.3"].spec.contexts["github"]["run_attempt"] == "3"


async def test_published_images_tie_runs_to_digests(house: House) -> None:
    digest = "sha256:" + "a" * 64

    async def build(job: FakeJob) -> None:
        job.emit("image.published", image="ghcr.io/acme/app", digest=digest, tags=["main", "sha-1"])
        job.emit("coverage", percent=91.5)
        job.emit("summary", step=0, markdown="# Hello")
        job.finish()

    house.launcher.scripts["build"] = build
    await house.repository()
    async with house.running() as pipelines:
        await house.push({FILE: LINE})
        detail = await house.over(pipelines)
        runs = await pipelines.runs_of_digest(digest)
        assert [run.id for run in runs] == [1]
        assert await pipelines.runs_of_commit("acme/app", detail.run.sha) == [detail.run]
    assert [(image.image, image.digest, image.tags) for image in detail.images] == [
        ("ghcr.io/acme/app", digest, ["main", "sha-1"])
    ]
    assert detail.coverage == 91.5


async def test_work_directories_go_and_logs_stay(house: House) -> None:
    async def test(job: FakeJob) -> None:
        job.begin("Run x")
        job.log("kept")
        (house.settings.jobs / job.spec.id / "work" / "deep").mkdir(parents=True)
        (house.settings.jobs / job.spec.id / "passwd").write_text("x")
        job.end()
        job.finish()

    house.launcher.scripts["test"] = test
    await house.repository()
    async with house.running() as pipelines:
        await house.push({FILE: LINE})
        await house.over(pipelines)

        async def clean() -> bool:
            left = {path.name for path in (house.settings.jobs / "1.test.1").iterdir()}
            return left == {"spec.json", "events.jsonl", "log"}

        await house.until(clean)
        await pipelines.delete_run(1)
        assert not (house.settings.jobs / "1.test.1").exists()
        assert await pipelines.runs() == []


async def test_every_change_is_in_the_ledger(house: House) -> None:
    await house.repository()
    async with house.running() as pipelines:
        await house.push({FILE: LINE})
        await house.over(pipelines)
    rows = await house.store.read("ledger.of_subject", subject="run/1")
    kinds = [row["kind"] for row in rows if json.loads(row["data"]).get("job") in {None, "1.test.1"}]
    first = ["run.planned", "job.ready", "job.assigned", "job.started", "step.started", "step.finished"]
    assert [kind for kind in kinds if kind in first][:6] == first
    assert kinds[-1] == "run.finished"
    told = [row["data"] for row in rows if row["kind"] in {"step.started", "job.started", "job.finished"}]
    assert len(told) == len(set(told)) == 3 * (2 + 1 + 1)


DISPATCH = """
name: Manual
run-name: Deploy ${{ inputs.where }} by ${{ github.actor }} (#${{ github.run_number }})
on:
  workflow_dispatch:
    inputs:
      where: {type: choice, options: [staging, production], required: true}
jobs:
  go:
    runs-on: ubuntu-latest
    steps: [{run: 'true'}]
"""


async def test_a_run_by_hand_takes_checked_inputs(house: House) -> None:
    await house.repository()
    async with house.running() as pipelines:
        push = await house.push({".github/workflows/manual.yml": DISPATCH})
        await house.until(lambda: house.store.one("pipelines.plan", push=push))
        with pytest.raises(StateError, match="where"):
            await pipelines.dispatch("acme/app", "manual.yml", "main", {"where": "moon"}, actor="anna")
        with pytest.raises(NotFoundError):
            await pipelines.dispatch("acme/app", "other.yml", "main", {}, actor="anna")
        with pytest.raises(NotFoundError):
            await pipelines.dispatch("acme/app", "manual.yml", "nowhere", {}, actor="anna")
        run = await pipelines.dispatch("acme/app", "manual.yml", "main", {"where": "staging"}, actor="anna")
        detail = await house.over(pipelines, run)
    assert detail.run.title == "Deploy staging by anna (#1)"
    assert detail.run.ref == "refs/heads/main"
    assert house.launcher.jobs[f"{run}.go.1"].spec.contexts["inputs"] == {"where": "staging"}


async def test_what_is_on_its_way_out_is_a_warning_of_the_run(house: House) -> None:
    old = LINE.replace("run: make test", "run: echo '::set-output name=a::b'").replace(
        "on: push", "on: {push: {mistaken: 1}}"
    )
    old += "      - uses: actions/checkout@v4\n      - uses: actions/setup-python@v4\n"
    await house.repository()
    async with house.running() as pipelines:
        await house.push({FILE: old})
        detail = await house.over(pipelines)
    assert detail.run.conclusion == "success"
    found = {(item.title, item.level, item.file, item.job) for item in detail.annotations}
    assert ("deprecated-command", "warning", FILE, None) in found
    aged = [item.message for item in detail.annotations if item.title == "deprecated-action"]
    assert [message.split()[0] for message in aged] == ["actions/setup-python@v4"], (
        "v4 of checkout runs as it is"
    )
    assert all(item.line for item in detail.annotations)
