"""Environments as gates: who may let a job pass, and what cannot be pretended."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from windlass.identity import Principal
from windlass.pipelines import Environment, StateError
from windlass.pipelines.errors import ForbiddenError, PipelinesError
from windlass.repos import ZERO
from windlass.repos.recording import Update

if TYPE_CHECKING:
    from pipelines.conftest import House
    from windlass.pipelines import FakeJob, Job, Pipelines

FILE = ".github/workflows/deploy.yaml"
TEXT = """
on: push
jobs:
  deploy:
    runs-on: ubuntu-latest
    environment: {name: Production, url: 'https://${{ steps.d.outputs.host }}'}
    concurrency: production
    steps: [{id: d, run: make deploy}]
  after:
    needs: deploy
    runs-on: ubuntu-latest
    steps: [{run: make noise}]
"""
PRODUCTION = Environment("acme/app", "production", approvers=("anna", "olga"))
OLGA = Principal("user", "olga", ("api:write:*",))


async def waits(house: House, pipelines: Pipelines, code: str, run: int = 1) -> Job:
    async def check() -> Job | None:
        jobs = await pipelines.jobs(run)
        job = next((job for job in jobs if job.job == "deploy"), None)
        return job if job and job.reason and job.reason.code == code else None

    found: Job = await house.until(check)
    return found


async def test_a_job_waits_for_its_approvers_and_says_who_they_are(house: House) -> None:
    async def deploy(job: FakeJob) -> None:
        job.begin("Set up job")
        job.end()
        job.emit("environment", url="https://eu.example.test")
        job.finish()

    house.launcher.scripts["deploy"] = deploy
    await house.repository()
    async with house.running() as pipelines:
        await pipelines.environments.put(replace(PRODUCTION, variables={"REGION": "eu"}), actor="admin")
        await house.secrets.set("acme/app", "KEY", "of the repository")
        await house.secrets.set("acme/app:production", "KEY", "of production")
        await house.secrets.set("acme/app:other", "OTHER", "of another")
        await house.push({FILE: TEXT})
        job = await waits(house, pipelines, "approval")
        assert job.status == "waiting"
        assert job.reason is not None
        assert job.reason.text == "waits for anna, olga to approve it for production"
        assert job.reason.remedy == "windlass approve 1 deploy"
        assert house.launcher.executed == []
        keys = await pipelines.environments.decide(1, "deploy", OLGA, approved=True, comment="go")
        assert keys == ["deploy"]
        detail = await house.over(pipelines)
        (approval,) = await pipelines.environments.approvals(1)
        with pytest.raises(StateError, match="no job that waits"):
            await pipelines.environments.decide(1, "", OLGA, approved=True)
    assert detail.run.conclusion == "success"
    assert (approval.by, approval.approved, approval.comment) == ("olga", True, "go")
    (deployment,) = detail.deployments
    assert (deployment["environment"], deployment["url"], deployment["state"]) == (
        "Production",
        "https://eu.example.test",
        "success",
    )
    job_ = house.launcher.jobs["1.deploy.1"]
    assert job_.secrets.secrets == {"KEY": "of production"}
    assert job_.spec.contexts["vars"] == {"REGION": "eu"}
    after = house.launcher.jobs["1.after.1"]
    assert after.secrets.secrets == {"KEY": "of the repository"}
    assert after.spec.contexts["vars"] == {}
    ledger = [row["kind"] for row in await house.store.read("ledger.since", id=0, limit=1000)]
    assert {"job.approved", "job.passed", "deployment"} <= set(ledger)


@pytest.mark.parametrize(
    "who",
    [
        Principal("job", "anna", ("admin",)),
        Principal("robot", "olga", ("admin",)),
        Principal("user", "mallory", ("admin",)),
        Principal("user", "Olga", ("admin",)),
    ],
)
async def test_nobody_else_may_approve_whatever_their_scopes(house: House, who: Principal) -> None:
    await house.repository()
    async with house.running() as pipelines:
        await pipelines.environments.put(PRODUCTION, actor="admin")
        await house.push({FILE: TEXT})
        await waits(house, pipelines, "approval")
        for approved in (True, False):
            with pytest.raises(ForbiddenError):
                await pipelines.environments.decide(1, "deploy", who, approved=approved)
        assert await pipelines.environments.approvals(1) == []
        job = await waits(house, pipelines, "approval")
    assert job.status == "waiting"


async def test_what_a_commit_says_of_its_author_lets_nobody_pass(house: House) -> None:
    """CVE-2026-58370: the pusher is who showed a token; names in commits are anybody's to choose."""
    await house.repository()
    async with house.running() as pipelines:
        await pipelines.environments.put(replace(PRODUCTION, self_approval=False), actor="admin")
        (house.work / ".github/workflows").mkdir(parents=True)
        (house.work / FILE).write_text(TEXT)
        house.run_git("add", "-A")
        identity = ["-c", "user.name=olga", "-c", "user.email=olga@acme.test"]
        house.run_git(*identity, "commit", "-q", "--author", "olga <olga@acme.test>", "-m", "Mine, says olga")
        house.run_git("push", "-q", "origin", "HEAD:refs/heads/main")
        before = house.run_git("rev-parse", "HEAD")
        update = Update("refs/heads/main", ZERO, before, "anna", "user")
        await house.repositories.record("acme/app", [update])
        job = await waits(house, pipelines, "approval")
        run = await pipelines.run_record(1)
        assert run is not None
        assert run.actor == "anna"
        assert job.reason is not None
        assert job.reason.evidence == "olga"  # anna pushed: only the other one may
        with pytest.raises(ForbiddenError, match="anna started run 1"):
            await pipelines.environments.decide(1, "", Principal("user", "anna", ("admin",)), approved=True)
        await pipelines.environments.decide(1, "", OLGA, approved=True)
        await house.over(pipelines)
        await pipelines.rerun(1, actor="olga")  # who runs it again has a hand in it as well
        job = await waits(house, pipelines, "approval")
        assert job.id == "1.deploy.2"
        assert job.reason is not None
        assert "nobody may give" in job.reason.text
        with pytest.raises(ForbiddenError):
            await pipelines.environments.decide(1, "", OLGA, approved=True)


async def test_a_rejected_job_fails_and_says_by_whom(house: House) -> None:
    await house.repository()
    async with house.running() as pipelines:
        await pipelines.environments.put(PRODUCTION, actor="admin")
        await house.push({FILE: TEXT})
        await waits(house, pipelines, "approval")
        await pipelines.environments.decide(1, "", OLGA, approved=False, comment="not on a Friday")
        detail = await house.over(pipelines)
    assert [job.conclusion for job in detail.jobs] == ["failure", "skipped"]
    why = detail.jobs[0].reason
    assert why is not None
    assert (why.code, why.text, why.evidence) == (
        "rejected",
        "olga rejected it for production",
        "not on a Friday",
    )
    assert house.launcher.executed == []


async def test_branches_timers_and_what_has_no_rules(house: House) -> None:
    await house.repository()
    async with house.running() as pipelines:
        await house.push({FILE: TEXT})
        assert (await house.over(pipelines, 1)).run.conclusion == "success"
        await pipelines.environments.put(
            Environment("acme/app", "production", branches=("release/**",)), actor="admin"
        )
        await house.push({"a": "1"})
        detail = await house.over(pipelines, 2)
        assert detail.run.conclusion == "failure"
        why = detail.jobs[0].reason
        assert why is not None
        assert (why.code, why.evidence) == ("branch-policy", "it admits release/**")
        await house.push({"a": "2"}, branch="release/1/x")
        assert (await house.over(pipelines, 3)).run.conclusion == "success"
        await pipelines.environments.put(Environment("acme/app", "production", wait=3600), actor="admin")
        await house.push({"a": "3"})
        job = await waits(house, pipelines, "wait-timer", 4)
        await house.store.transact(
            lambda tx: tx.run("jobs.set_reason", id=job.id, reason=None)
        )  # looked at again, it stays
        await waits(house, pipelines, "wait-timer", 4)
        await pipelines.cancel(4, actor="anna")
        assert (await house.over(pipelines, 4)).jobs[0].conclusion == "cancelled"
        await pipelines.environments.put(Environment("acme/app", "production", wait=0.2), actor="admin")
        await house.push({"a": "4"})
        detail = await house.over(pipelines, 5)
        spent = (detail.jobs[0].ready_at or 0) - detail.jobs[0].created_at
        assert spent >= 0.2
        await pipelines.environments.put(PRODUCTION, actor="admin")
        await house.push({"a": "5"})
        await waits(house, pipelines, "approval", 6)
        await pipelines.environments.delete("acme/app", "PRODUCTION", actor="admin")
        assert (await house.over(pipelines, 6)).run.conclusion == "success"


async def test_a_job_that_is_no_deployment_leaves_none_and_waits_all_the_same(house: House) -> None:
    text = TEXT.replace("{name: Production,", "{name: Production, deployment: false,")
    await house.repository()
    async with house.running() as pipelines:
        await pipelines.environments.put(PRODUCTION, actor="admin")
        await house.push({FILE: text})
        await waits(house, pipelines, "approval")
        await pipelines.environments.decide(1, "", OLGA, approved=True)
        detail = await house.over(pipelines)
    assert detail.run.conclusion == "success"
    assert detail.deployments == ()


async def test_an_approval_outlives_the_server(house: House) -> None:
    await house.repository()
    async with house.running() as pipelines:
        await pipelines.environments.put(PRODUCTION, actor="admin")
        await house.push({FILE: TEXT})
        await waits(house, pipelines, "approval")
    await house.pipelines().environments.decide(1, "", OLGA, approved=True)
    async with house.running() as pipelines:
        assert (await house.over(pipelines)).run.conclusion == "success"


@pytest.mark.parametrize("name", ["", "../x", "a\nb", "x" * 101])
async def test_what_cannot_name_an_environment_is_refused(house: House, name: str) -> None:
    await house.repository()
    with pytest.raises(PipelinesError, match="cannot name an environment"):
        await house.pipelines().environments.put(Environment("acme/app", name), actor="admin")


async def test_who_pushed_hears_who_has_to_approve_and_does_not_wait_for_that(house: House) -> None:
    await house.repository()
    async with house.running() as pipelines:
        await pipelines.environments.put(PRODUCTION, actor="admin")
        push = await house.push({FILE: TEXT})
        lines = [line async for line in pipelines.news(push)]
        again = [line async for line in pipelines.news(push)]
    waits_for = "waits for anna, olga to approve it for production (windlass approve 1 deploy)"
    assert lines[-1] == again[-1] == f"  … deploy {waits_for}"


def test_a_branch_that_is_called_like_a_tag_is_none() -> None:
    rules = Environment("acme/app", "production", branches=("refs/tags/v*", "main"))
    assert rules.admits("refs/tags/v1")
    assert rules.admits("refs/heads/main")
    assert not rules.admits("refs/heads/refs/tags/v1")
    assert not rules.admits("refs/heads/refs/heads/main")
