"""Same commit, same result: what a run used is written down, and a replay is made of that."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from windlass.pipelines import NotFoundError, StateError

if TYPE_CHECKING:
    from pipelines.conftest import House
    from windlass.pipelines import FakeJob

FILE = ".github/workflows/ci.yaml"
TEXT = """
on:
  workflow_dispatch:
    inputs: {level: {type: string}}
jobs:
  test:
    runs-on: ubuntu-latest
    steps: [{uses: acme/act@v1}, {uses: actions/checkout@v4}]
  deploy:
    needs: test
    uses: acme/flows/.github/workflows/d.yaml@v1
"""
CALLED = "on: workflow_call\njobs:\n  a:\n    runs-on: x64\n    steps: [{uses: $/x}]\n"
SHA, DIGEST = "a" * 40, "sha256:" + "d" * 64


async def uses(job: FakeJob) -> None:
    job.begin("Set up job")
    job.emit("action", uses="acme/act@v1", sha=SHA)
    job.emit("image.used", image="redis:7", digest=DIGEST)
    job.end()
    job.finish()


async def begun(house: House) -> str:
    """Host both repositories; returns the commit of the called workflow."""
    await house.repository("acme/flows")
    await house.push({".github/workflows/d.yaml": CALLED})
    house.run_git("push", "-q", "origin", "HEAD:refs/tags/v1")
    sha = house.run_git("rev-parse", "HEAD")
    house.work = house.data / "second"
    await house.repository()
    house.settings = replace(house.settings, shared_actions=("acme/*",))
    house.launcher.scripts["test"] = uses
    return sha


async def test_a_replay_is_made_of_what_the_run_used(house: House) -> None:
    called = await begun(house)
    async with house.running() as pipelines:
        await house.push({FILE: TEXT})
        await pipelines.dispatch("acme/app", "ci.yaml", "main", {"level": "high"}, actor="anna")
        detail = await house.over(pipelines)
        assert detail.pins == {
            "actions": {"acme/act@v1": SHA},
            "images": {"redis:7": DIGEST},
            "workflows": {"acme/flows/.github/workflows/d.yaml@v1": called},
        }
        first = house.launcher.jobs["1.test.1"].spec
        assert first.pins == {}
        await house.push({FILE: TEXT.replace("acme/act", "acme/other")})
        house.run_git("push", "-q", "-f", str(house.repositories.path("acme/flows")), "HEAD:refs/tags/v1")
        again = await pipelines.replay(1, actor="bob")
        detail = await house.over(pipelines, again)
        spec = house.launcher.jobs[f"{again}.test.1"].spec
        assert (await pipelines.runs())[0].id == again == 2
    assert detail.run.conclusion == "success", detail
    assert (detail.run.replay_of, detail.run.number, detail.run.sha) == (1, 2, first.sha)
    assert spec.pins == {"actions": {"acme/act@v1": SHA}, "images": {"redis:7": DIGEST}}
    assert spec.definition["steps"] == first.definition["steps"]
    assert spec.contexts["inputs"] == {"level": "high"}
    assert spec.contexts["github"]["actor"] == "anna"
    assert spec.contexts["github"]["triggering_actor"] == "bob"
    inner = house.launcher.jobs[f"{again}.deploy.a.1"].spec
    assert (inner.workflow_repository, inner.workflow_sha) == ("acme/flows", called)
    assert detail.pins["workflows"] == {"acme/flows/.github/workflows/d.yaml@v1": called}


async def test_what_cannot_be_repeated_is_refused(house: House) -> None:
    await begun(house)

    async def waits(job: FakeJob) -> None:
        await job.term.wait()
        job.finish("cancelled")

    house.launcher.scripts["test"] = waits
    async with house.running() as pipelines:
        await house.push({FILE: TEXT})
        await pipelines.dispatch("acme/app", "ci.yaml", "main", actor="anna")
        with pytest.raises(StateError, match="run 1 is not over"):
            await pipelines.replay(1, actor="anna")
        with pytest.raises(NotFoundError):
            await pipelines.replay(9, actor="anna")


async def test_a_lock_file_goes_with_the_run_and_holds_called_workflows(house: House) -> None:
    called = await begun(house)
    lock = ".windlass/actions.lock"
    async with house.running() as pipelines:
        await house.push({FILE: TEXT, lock: f"acme/act@v1 {SHA}\nacme/flows@v1 {called}\n"})
        await pipelines.dispatch("acme/app", "ci.yaml", "main", actor="anna")
        assert (await house.over(pipelines)).run.conclusion == "success"
        pins = house.launcher.jobs["1.test.1"].spec.pins
        assert pins == {"lock": {"acme/act@v1": SHA, "acme/flows@v1": called}}
        await house.push({lock: f"acme/flows@v1 {SHA}\n"})
        await pipelines.dispatch("acme/app", "ci.yaml", "main", actor="anna")
        detail = await house.over(pipelines, 2)
        assert detail.run.conclusion == "failure"
        assert detail.run.reason is not None
        assert f"acme/flows@v1 has moved: {lock} says {SHA}, it is {called} now" in detail.run.reason.evidence
        await house.push({lock: "what is this\n"})
        await pipelines.dispatch("acme/app", "ci.yaml", "main", actor="anna")
        detail = await house.over(pipelines, 3)
    assert detail.run.reason is not None
    assert f"{lock}:1: not OWNER/NAME@REF" in detail.run.reason.evidence
