"""Jobs that call workflows: their jobs run within the run, with what is passed to them and no more."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import anyio
import pytest

from windlass.pipelines import StateError

if TYPE_CHECKING:
    from pipelines.conftest import House
    from windlass.pipelines import FakeJob, Job, RunDetail

CI = ".github/workflows/ci.yaml"
DEPLOY = ".github/workflows/deploy.yaml"
CALLER = """
on: push
permissions: {contents: read, packages: write}
env: {OUTER: not passed on}
jobs:
  test:
    runs-on: ubuntu-latest
    outputs: {version: '${{ steps.v.outputs.version }}'}
    steps: [{id: v, run: make test}]
  deploy:
    needs: test
    strategy: {matrix: {to: [eu, us]}}
    uses: ./.github/workflows/deploy.yaml
    permissions: {contents: read}
    with: {to: '${{ matrix.to }}', version: '${{ needs.test.outputs.version }}'}
    secrets: {KEY: '${{ secrets.DEPLOY_KEY }}'}
  tell:
    needs: deploy
    runs-on: ubuntu-latest
    env: {URL: '${{ needs.deploy.outputs.url }}'}
    steps: [{run: make noise}]
"""
CALLED = """
on:
  workflow_call:
    inputs:
      to: {type: string, required: true}
      version: {type: string}
      times: {type: number, default: 3}
    outputs:
      url: {value: '${{ jobs.push.outputs.url }}'}
    secrets:
      KEY: {required: true}
jobs:
  build:
    runs-on: ubuntu-latest
    steps: [{run: make image}]
  push:
    needs: build
    name: Push to ${{ inputs.to }}
    runs-on: ubuntu-latest
    outputs: {url: '${{ steps.p.outputs.url }}'}
    steps: [{id: p, run: make push}]
"""


def ends(detail: RunDetail) -> dict[str, str | None]:
    return {job.key: job.conclusion for job in detail.jobs}


def of(detail: RunDetail, key: str) -> Job:
    return next(job for job in detail.jobs if job.key == key)


async def outcome(job: FakeJob, conclusion: str = "success", **outputs: str) -> None:
    job.begin("Set up job")
    job.end()
    job.finish(conclusion, **outputs)


async def test_the_jobs_of_a_called_workflow_run_between_those_of_its_caller(house: House) -> None:
    async def script(job: FakeJob) -> None:
        to = job.spec.contexts["inputs"].get("to", "")
        own = {"test": {"version": "1.2"}}.get(job.spec.key, {"url": f"https://{to}"} if to else {})
        await outcome(job, **own)

    house.launcher.default = script
    await house.repository()
    await house.secrets.set("acme/app", "DEPLOY_KEY", "k3y")
    await house.secrets.set("acme/app", "OTHER", "hidden")
    async with house.running() as pipelines:
        await house.push({CI: CALLER, DEPLOY: CALLED})
        detail = await house.over(pipelines)
    assert detail.run.conclusion == "success", detail
    assert [job.key for job in detail.jobs] == [
        "test",
        "deploy~1",
        "deploy~2",
        "deploy~1.build",
        "deploy~1.push",
        "deploy~2.build",
        "deploy~2.push",
        "tell",
    ]
    assert of(detail, "deploy~2.push").name == "deploy (us) / Push to us"
    assert of(detail, "deploy~1").outputs == {"url": "https://eu"}
    executed = house.launcher.executed
    assert (executed[0], executed[-1], len(executed)) == ("1.test.1", "1.tell.1", 6)
    assert executed.index("1.deploy~1.build.1") < executed.index("1.deploy~1.push.1")
    job = house.launcher.jobs["1.deploy~1.push.1"]
    assert job.spec.contexts["inputs"] == {"to": "eu", "version": "1.2", "times": 3}
    assert job.spec.contexts["github"]["job"] == "push"
    assert job.spec.contexts["needs"] == {"build": {"result": "success", "outputs": {"url": "https://eu"}}}
    assert job.spec.env == []
    assert job.spec.workflow_file == f"./{DEPLOY}"
    assert job.secrets.secrets == {"KEY": "k3y"}
    assert house.launcher.jobs["1.tell.1"].spec.contexts["needs"]["deploy"]["outputs"] == {
        "url": "https://us"
    }
    assert house.launcher.jobs["1.tell.1"].secrets.secrets == {"DEPLOY_KEY": "k3y", "OTHER": "hidden"}


async def test_a_called_job_may_no_more_than_its_caller(house: House) -> None:
    seen = {}

    async def script(job: FakeJob) -> None:
        seen[job.spec.key] = await house.identity.authenticate(job.secrets.token)
        job.finish()

    house.launcher.default = script
    await house.repository()
    await house.secrets.set("acme/app", "DEPLOY_KEY", "k")
    async with house.running() as pipelines:
        await house.push({CI: CALLER, DEPLOY: CALLED})
        await house.over(pipelines)
        assert seen["test"] is not None
        assert seen["test"].may("registry:write", "acme/app")
        for key in ("deploy~1.build", "deploy~2.push"):
            who = seen[key]
            assert who is not None
            assert who.name == f"run/1/{key}/1"
            assert who.may("repo:read", "acme/app")
            assert not who.may("registry:read", "acme/app")
        more = CALLED.replace("jobs:\n", "permissions: {contents: write}\njobs:\n")
        await house.push({DEPLOY: more})
        refused = await house.over(pipelines, 2)
    assert refused.run.conclusion == "failure"
    assert refused.run.reason is not None
    assert refused.run.reason.code == "invalid-workflow"
    assert "'contents: write', but is only allowed 'contents: read'" in refused.run.reason.evidence


@pytest.mark.parametrize("secrets", ["", "    secrets: inherit\n"])
async def test_secrets_are_passed_only_where_it_says_so(house: House, secrets: str) -> None:
    caller = f"on: push\njobs:\n  call:\n    uses: ./{DEPLOY}\n{secrets}"
    called = "on: workflow_call\njobs:\n  a:\n    runs-on: x64\n    steps: [{run: 'true'}]\n"
    await house.repository()
    await house.secrets.set("acme/app", "KEY", "k3y")
    async with house.running() as pipelines:
        await house.push({CI: caller, DEPLOY: called})
        await house.over(pipelines)
    given = house.launcher.jobs["1.call.a.1"].secrets
    assert given.secrets == ({"KEY": "k3y"} if secrets else {})
    assert given.token


async def test_a_failure_below_fails_the_caller_and_what_needs_it(house: House) -> None:
    async def script(job: FakeJob) -> None:
        await outcome(job, "failure" if job.spec.key == "deploy~1.build" else "success")

    house.launcher.default = script
    await house.repository()
    await house.secrets.set("acme/app", "DEPLOY_KEY", "k")
    async with house.running() as pipelines:
        lazy = CALLER.replace("{matrix: {to: [eu, us]}}", "{fail-fast: false, matrix: {to: [eu, us]}}")
        await house.push({CI: lazy, DEPLOY: CALLED})
        detail = await house.over(pipelines)
        assert ends(detail) == {
            "test": "success",
            "deploy~1": "failure",
            "deploy~2": "success",
            "deploy~1.build": "failure",
            "deploy~1.push": "skipped",
            "deploy~2.build": "success",
            "deploy~2.push": "success",
            "tell": "skipped",
        }
        assert detail.run.conclusion == "failure"
        error = await pipelines.first_error(1)
        assert error is not None
        assert error.job == "1.deploy~1.build.1"

        house.launcher.default = outcome
        await pipelines.rerun(1, actor="anna", failed=True)
        detail = await house.over(pipelines)
    assert detail.run.conclusion == "success"
    assert [job.id for job in detail.jobs] == [
        "1.test.1",
        "1.deploy~1.2",
        "1.deploy~2.1",
        "1.deploy~1.build.2",
        "1.deploy~1.push.2",
        "1.deploy~2.build.1",
        "1.deploy~2.push.1",
        "1.tell.2",
    ]
    assert house.launcher.executed[4:] == ["1.deploy~1.build.2", "1.deploy~1.push.2", "1.tell.2"]


async def test_one_job_runs_again_with_what_needs_it(house: House) -> None:
    await house.repository()
    await house.secrets.set("acme/app", "DEPLOY_KEY", "k")
    async with house.running() as pipelines:
        await house.push({CI: CALLER, DEPLOY: CALLED})
        await house.over(pipelines)
        before = len(house.launcher.executed)
        await pipelines.rerun(1, actor="bob", job="deploy (us) / Push to us", debug=True)
        detail = await house.over(pipelines)
        assert house.launcher.executed[before:] == ["1.deploy~2.push.2", "1.tell.2"]
        spec = house.launcher.jobs["1.deploy~2.push.2"].spec
        assert spec.contexts["github"]["triggering_actor"] == "bob"
        assert spec.contexts["github"]["actor"] != "bob"
        assert spec.contexts["github"]["run_attempt"] == "2"
        assert spec.contexts["vars"] == {"ACTIONS_STEP_DEBUG": "true"}
        await pipelines.rerun(1, actor="anna", job="deploy~1")
        await house.over(pipelines)
        again = house.launcher.executed[before + 2 :]
        assert again == ["1.deploy~1.build.3", "1.deploy~1.push.3", "1.tell.3"]
        assert house.launcher.jobs["1.tell.3"].spec.contexts["vars"] == {}
        await pipelines.rerun(1, actor="anna", job="test")
        detail = await house.over(pipelines)
        assert {job.attempt for job in detail.jobs} == {4}
        assert len(await pipelines.jobs(1, attempt=1)) == 8
        with pytest.raises(StateError, match="no job of run 1 failed"):
            await pipelines.rerun(1, actor="anna", failed=True)


async def test_fail_fast_and_cancelling_reach_the_called_jobs(house: House) -> None:
    async def waits(job: FakeJob) -> None:
        if job.spec.key == "deploy~1.build":
            await house.until(lambda: running("1.deploy~2.build.1"))
            job.finish("failure")
        elif job.spec.key == "test":
            job.finish()
        else:
            await job.term.wait()
            job.finish("cancelled")

    async def running(job: str) -> bool:
        return job in house.launcher.jobs

    house.launcher.default = waits
    await house.repository()
    await house.secrets.set("acme/app", "DEPLOY_KEY", "k")
    cleaning = CALLED + "  clean: {needs: push, if: always(), runs-on: x64, steps: [{run: 'true'}]}\n"
    async with house.running() as pipelines:
        house.launcher.scripts = {f"deploy~{leg}.clean": outcome for leg in (1, 2)}
        await house.push({CI: CALLER, DEPLOY: cleaning})
        detail = await house.over(pipelines)
        found = ends(detail)
        assert (found["deploy~1"], found["deploy~2"], found["deploy~2.build"]) == (
            "failure",
            "cancelled",
            "cancelled",
        )
        assert (found["deploy~2.clean"], found["tell"]) == ("success", "skipped")
        why = of(detail, "deploy~2.build").reason
        assert why is not None
        assert why.code == "fail-fast"

        house.launcher.default = outcome

        async def stuck(job: FakeJob) -> None:
            await job.term.wait()
            job.finish("cancelled")

        house.launcher.scripts["deploy~1.build"] = house.launcher.scripts["deploy~2.build"] = stuck
        await pipelines.rerun(1, actor="anna")
        await house.until(lambda: running("1.deploy~2.build.2"))
        await house.until(lambda: running("1.deploy~1.build.2"))
        await pipelines.cancel(1, actor="anna")
        detail = await house.over(pipelines)
    assert detail.run.conclusion == "cancelled"
    found = ends(detail)
    assert {found["deploy~1"], found["deploy~2"], found["deploy~1.build"]} == {"cancelled"}
    assert (found["deploy~1.clean"], found["deploy~1.push"]) == ("success", "skipped")


async def test_concurrency_holds_for_called_workflows(house: House) -> None:
    async def slow(job: FakeJob) -> None:
        assert not inside, inside
        inside.append(job.spec.id)
        await house.until(lambda: waiting(pipelines))
        inside.clear()
        job.finish()

    async def waiting(pipelines: object) -> bool:
        jobs = await house.store.read("jobs.active")
        return any(job["status"] == "pending" and job["reason"] for job in jobs) or "done" in met

    inside: list[str] = []
    met: set[str] = set()
    caller = f"""
on: push
jobs:
  one: {{uses: ./{DEPLOY}}}
  two: {{uses: ./{DEPLOY}}}
"""
    called = """
on: workflow_call
concurrency: {group: 'the-only-one', queue: max}
jobs:
  a: {runs-on: x64, steps: [{run: 'true'}]}
"""
    await house.repository()
    house.launcher.scripts = {"one.a": slow}
    async with house.running() as pipelines:
        await house.push({CI: caller, DEPLOY: called})
        detail = await house.over(pipelines)
        assert ends(detail) == dict.fromkeys(("one", "one.a", "two", "two.a"), "success")
        assert house.launcher.executed == ["1.one.a.1", "1.two.a.1"]
        deadly = called.replace("{runs-on", "{concurrency: the-only-one, runs-on")
        house.launcher.scripts = {}
        await house.push({DEPLOY: deadly})
        detail = await house.over(pipelines, 2)
    why = of(detail, "one.a").reason
    assert why is not None
    assert (why.code, detail.run.conclusion) == ("deadlock", "failure")
    assert "job one of run 2" in why.text


NESTED = "on: workflow_call\njobs:\n  in: {uses: ./.github/workflows/inner.yml, secrets: inherit}\n"
INNER = "on: workflow_call\njobs:\n  a: {runs-on: x64, steps: [{uses: $/act}]}\n"
SHARED = "on: push\njobs:\n  out: {uses: acme/flows/.github/workflows/outer.yml@v1, secrets: inherit}\n"


async def test_workflows_of_other_repositories_are_pinned_and_shared_only_by_the_server(house: House) -> None:
    await house.repository("acme/flows")
    await house.push({".github/workflows/outer.yml": NESTED, ".github/workflows/inner.yml": INNER})
    house.run_git("push", "-q", "origin", "HEAD:refs/tags/v1")
    sha = house.run_git("rev-parse", "HEAD")
    house.work = house.data / "second"
    await house.repository("acme/app")
    async with house.running() as pipelines:
        await house.push({CI: SHARED})
        detail = await house.over(pipelines)
        assert detail.run.reason is not None
        assert detail.run.conclusion == "failure"
        assert "acme/app may not use the workflows of acme/flows" in detail.run.reason.evidence
        assert [job.conclusion for job in detail.jobs] == ["skipped"]
    house.settings = replace(house.settings, shared_actions=("acme/flows",))
    async with house.running() as pipelines:
        await house.push({"more": "1"})
        detail = await house.over(pipelines, 2)
        assert ends(detail) == dict.fromkeys(("out", "out.in", "out.in.a"), "success"), detail
        assert of(detail, "out.in.a").name == "out / in / a"
    rows = await house.store.read("called.of_run", run=2)
    assert [(row["uses"], row["sha"]) for row in rows] == [
        ("acme/flows/.github/workflows/inner.yml@v1", sha),
        ("acme/flows/.github/workflows/outer.yml@v1", sha),
    ]
    house.run_git("push", "-q", str(house.repositories.path("acme/flows")), ":refs/tags/v1")
    async with house.running() as pipelines:  # the tag is gone; what the run was made of is not
        await pipelines.rerun(2, actor="anna")
        detail = await house.over(pipelines, 2)
    assert (detail.run.conclusion, detail.run.attempt) == ("success", 2)


async def test_a_restart_goes_on_within_a_called_workflow(house: House) -> None:
    await house.repository()
    await house.secrets.set("acme/app", "DEPLOY_KEY", "k")

    async def waits(job: FakeJob) -> None:
        if job.spec.key == "deploy~1.build":
            await go.wait()
        await outcome(job)

    go = anyio.Event()
    house.launcher.default = waits
    async with house.running():
        await house.push({CI: CALLER, DEPLOY: CALLED})

        async def there() -> bool:
            return "1.deploy~1.build.1" in house.launcher.jobs

        await house.until(there)
    go.set()
    async with house.running() as pipelines:
        detail = await house.over(pipelines)
    assert detail.run.conclusion == "success"
    assert len(house.launcher.executed) == len(set(house.launcher.executed)) == 6


@pytest.mark.parametrize(
    ("uses", "message"),
    [
        ("./.github/workflows/none.yaml", "Unable to find reusable workflow"),
        ("./elsewhere/x.yaml", "those lie in .github/workflows"),
        ("acme/none/.github/workflows/x.yaml@v1", "may not use"),
    ],
)
async def test_what_cannot_be_called_fails_the_run_and_says_why(
    house: House, uses: str, message: str
) -> None:
    await house.repository()
    async with house.running() as pipelines:
        await house.push({CI: f"on: push\njobs:\n  a: {{uses: '{uses}'}}\n"})
        detail = await house.over(pipelines)
    assert detail.run.conclusion == "failure"
    assert detail.run.reason is not None
    assert message in detail.run.reason.evidence
    assert [item.level for item in detail.annotations] == ["error"]


async def test_the_groups_of_caller_and_called_workflow_are_both_held(house: House) -> None:
    seen: list[set[str]] = []
    inside: set[str] = set()

    async def script(job: FakeJob) -> None:
        inside.add(job.spec.key)
        seen.append(set(inside))
        await anyio.sleep(0.1)
        inside.discard(job.spec.key)
        job.finish()

    caller = f"""
on: push
jobs:
  one: {{uses: ./{DEPLOY}, concurrency: outer}}
  two: {{uses: ./{DEPLOY}, concurrency: {{group: other, queue: max}}}}
  three: {{concurrency: {{group: outer, queue: max}}, runs-on: x64, steps: [{{run: 'true'}}]}}
"""
    called = """
on: workflow_call
concurrency: {group: Inner, queue: max}
jobs:
  a: {runs-on: x64, steps: [{run: 'true'}]}
"""
    house.launcher.default = script
    await house.repository()
    async with house.running() as pipelines:
        await house.push({CI: caller, DEPLOY: called})
        detail = await house.over(pipelines)
        assert set(ends(detail).values()) == {"success"}
        await pipelines.rerun(1, actor="anna", job="one")
        detail = await house.over(pipelines)
    assert ends(detail)["one"] == "success"
    assert len(seen) == 4
    for together in seen:
        assert not {"one.a", "two.a"} <= together  # the called workflow's group
        assert not {"one.a", "three"} <= together  # the caller's own
