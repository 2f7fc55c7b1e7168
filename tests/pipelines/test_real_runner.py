"""The same contract with the real job processes instead of scripted ones."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import anyio
import pytest

from windlass.pipelines import Pipelines, SystemProcesses
from windlass.runner.client import ZygoteClient

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pipelines.conftest import House

pytestmark = pytest.mark.integration
FILE = ".github/workflows/ci.yaml"
TEXT = """
on: push
env: {GREETING: hello}
jobs:
  test:
    runs-on: ubuntu-latest
    outputs: {word: "${{ steps.w.outputs.word }}"}
    steps:
      - run: echo "$GREETING ${{ github.repository }}"
      - id: w
        run: echo "word=windlass" >> "$GITHUB_OUTPUT"
  after:
    needs: test
    runs-on: ubuntu-latest
    steps:
      - run: echo "got ${{ needs.test.outputs.word }} and ${{ secrets.KEY }}"
      - run: echo "::error file=app.py,line=3::it is broken"; exit 3
"""
SLEEP = """
on: push
jobs:
  test:
    runs-on: ubuntu-latest
    steps:
      - run: echo before; exec sleep 60
      - if: always()
        run: echo always
"""


@pytest.fixture
async def zygote(house: House) -> AsyncIterator[ZygoteClient]:
    client = ZygoteClient(house.data / "run")
    await client.warm()
    yield client
    await client.close()


def pipelines_of(house: House, zygote: ZygoteClient) -> Pipelines:
    return Pipelines(
        house.store,
        house.repositories,
        house.git,
        house.identity,
        house.secrets,
        zygote,
        house.settings,
        processes=SystemProcesses(),
    )


async def text_of(pipelines: Pipelines, job: str, *, follow: bool = False) -> str:
    return b"".join([block async for block in pipelines.logs(1, job, follow=follow)]).decode()


async def test_a_real_run_from_push_to_its_first_error(house: House, zygote: ZygoteClient) -> None:
    await house.repository()
    await house.secrets.set("acme/app", "KEY", "s3cret-value")
    pipelines = pipelines_of(house, zygote)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(pipelines.run)
        await house.push({FILE: TEXT})
        detail = await house.over(pipelines, seconds=30)
        error = await pipelines.first_error(1)
        first, second = await text_of(pipelines, "test"), await text_of(pipelines, "after")

        async def clean() -> bool:
            return not await house.store.read("jobs.uncleaned")

        await house.until(clean)
        tasks.cancel_scope.cancel()
    assert [job.conclusion for job in detail.jobs] == ["success", "failure"]
    assert "hello acme/app" in first
    assert "got windlass and ***" in second
    assert "s3cret-value" not in second
    assert detail.jobs[0].outputs == {"word": "windlass"}
    assert error is not None
    assert (error.file, error.line, error.message) == ("app.py", 3, "it is broken")
    left = {path.name for path in (house.settings.jobs / "1.test.1").iterdir()}
    assert left <= {"spec.json", "events.jsonl", "log", "runner.log"}


async def test_real_cancel_within_a_second_runs_always_steps(house: House, zygote: ZygoteClient) -> None:
    await house.repository()
    pipelines = pipelines_of(house, zygote)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(pipelines.run)
        await house.push({FILE: SLEEP})
        await _job(house)
        async for block in pipelines.logs(1, "test", follow=True):
            if b"before" in block:
                break
        await anyio.sleep(0.2)
        await pipelines.cancel(1, actor="anna")
        detail = await house.over(pipelines, seconds=5)
        text = await text_of(pipelines, "test")
        tasks.cancel_scope.cancel()
    assert detail.run.conclusion == "cancelled"
    assert "always" in text
    run = detail.run
    assert run.finished_at is not None
    assert run.cancel_requested is not None
    assert run.finished_at - run.cancel_requested < 2


async def _job(house: House) -> None:
    async def known() -> bool:
        row = await house.store.one("jobs.job", id="1.test.1")
        return row is not None and row["status"] == "in_progress"

    await house.until(known)


async def test_a_real_process_that_is_killed_fails_its_job(house: House, zygote: ZygoteClient) -> None:
    await house.repository()
    pipelines = pipelines_of(house, zygote)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(pipelines.run)
        await house.push({FILE: SLEEP})
        await _job(house)
        row = await house.store.one("jobs.job", id="1.test.1")
        assert row is not None
        await anyio.sleep(0.3)
        os.kill(row["pid"], signal.SIGKILL)
        detail = await house.over(pipelines, seconds=3)
        tasks.cancel_scope.cancel()
    assert detail.jobs[0].reason is not None
    assert detail.jobs[0].reason.code == "lost"
    assert detail.run.conclusion == "failure"


async def test_a_real_job_outlives_the_server(house: House, zygote: ZygoteClient) -> None:
    await house.repository()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(pipelines_of(house, zygote).run)
        await house.push({FILE: SLEEP.replace("exec sleep 60", "sleep 1; echo after")})
        await _job(house)
        tasks.cancel_scope.cancel()
    await anyio.sleep(1.5)
    second = pipelines_of(house, zygote)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(second.run)
        detail = await house.over(second, seconds=5)
        text = await text_of(second, "test")
        tasks.cancel_scope.cancel()
    assert detail.run.conclusion == "success"
    assert "after" in text
