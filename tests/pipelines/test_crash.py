"""Kill -9 at every transition: the server stops before or after its Nth transaction, another takes over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import pytest

from windlass.identity import Identity
from windlass.pipelines import Pipelines
from windlass.pipelines.launch import Starter

if TYPE_CHECKING:
    from pathlib import Path

    from pipelines.conftest import House
    from windlass.pipelines import FakeJob, RunDetail
    from windlass.store import Store

FILE = ".github/workflows/ci.yaml"
TEXT = """
on: push
jobs:
  test:
    runs-on: ubuntu-latest
    strategy: {matrix: {n: [1, 2]}}
    steps: [{run: 'true'}]
  build:
    needs: test
    runs-on: ubuntu-latest
    steps: [{run: 'true'}]
  never:
    needs: build
    if: failure()
    runs-on: ubuntu-latest
    steps: [{run: 'true'}]
"""
POINTS = 30


class Frozen:
    """A store whose server is killed at its Nth transaction, just before or just after the commit."""

    def __init__(self, store: Store, at: int, *, committed: bool) -> None:
        self._store = store
        self._left = at
        self._committed = committed
        self.dead = anyio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def transact(self, work: Any) -> Any:
        self._left -= 1
        if self._left > 0:
            return await self._store.transact(work)
        if self._left == 0 and self._committed:
            await self._store.transact(work)
        self.dead.set()
        return await anyio.sleep_forever()


def check(house: House, detail: RunDetail) -> None:
    """Hold what must hold wherever the server died."""
    executed = house.launcher.executed
    assert len(executed) == len(set(executed)), f"ran twice: {executed}"
    assert detail.run.conclusion == "success"
    assert [job.conclusion for job in detail.jobs] == ["success", "success", "success", "skipped"]
    assert set(executed) == {job.id for job in detail.jobs[:3]}
    assert all(step.status == "completed" for step in detail.steps)
    assert len(detail.steps) == 6


async def killed(house: House, at: int, *, committed: bool) -> None:
    """Run a server until its Nth transaction."""
    frozen: Any = Frozen(house.store, at, committed=committed)
    first = Pipelines(
        frozen,
        house.repositories,
        house.git,
        Identity(frozen),
        house.secrets,
        house.launcher,
        house.settings,
        processes=house.launcher,
    )
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(first.run)
        with anyio.move_on_after(2):
            await frozen.dead.wait()
        tasks.cancel_scope.cancel()


# Just after one commit is nearly just before the next: both kinds alternate.
@pytest.mark.parametrize(("at", "committed"), [(at, at % 2 == 0) for at in range(1, POINTS + 1)])
async def test_killed_at_any_transaction_the_run_ends_and_nothing_ran_twice(
    house: House, at: int, committed: bool
) -> None:
    house.settle(resync=0.2)
    await house.repository()
    await house.push({FILE: TEXT})
    await killed(house, at, committed=committed)
    async with house.running() as pipelines:
        check(house, await house.over(pipelines))

        async def clean() -> bool:
            return not await house.store.read("jobs.uncleaned")

        await house.until(clean)
        assert await house.identity.tokens() == []


async def test_the_points_reach_the_runs_end(house: House) -> None:
    """The matrix above is only worth something if its last points lie behind the end of the run."""
    await house.repository()
    await house.push({FILE: TEXT})
    await killed(house, POINTS, committed=True)
    assert (await house.store.one("pipelines.run", run=1) or {})["status"] == "completed"


async def test_killed_between_fork_and_record_the_process_never_runs(house: House) -> None:
    forked = anyio.Event()

    async def die() -> None:
        forked.set()
        await anyio.sleep_forever()

    house.launcher.after_fork = die
    await house.repository()
    await house.push({FILE: TEXT})
    pipelines = house.pipelines()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(pipelines.run)
        await forked.wait()
        tasks.cancel_scope.cancel()
    house.launcher.after_fork = None
    await anyio.sleep(0.05)
    assert house.launcher.executed == []
    async with house.running() as second:
        check(house, await house.over(second))


async def test_killed_before_the_record_a_slow_process_does_not_run_beside_its_successor(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It wakes up only when the job was launched again: it must have got nothing to run with."""
    forked, go = anyio.Event(), anyio.Event()

    async def die(*_: object) -> None:
        forked.set()
        await anyio.sleep_forever()

    async def stall() -> None:
        await go.wait()

    house.launcher.before_work = stall
    await house.repository()
    await house.push({FILE: TEXT})
    with monkeypatch.context() as patched:
        patched.setattr(Starter, "_record", die)
        pipelines = house.pipelines()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(pipelines.run)
            await forked.wait()
            await anyio.sleep(0.1)
            tasks.cancel_scope.cancel()
    house.launcher.before_work = None
    async with house.running() as second:
        detail = await house.over(second)
        go.set()
        await anyio.sleep(0.1)
    check(house, detail)


async def test_what_was_read_is_not_read_again_by_the_next_server(house: House) -> None:
    go = anyio.Event()

    async def test(job: FakeJob) -> None:
        job.begin("Run it")
        job.annotate("once")
        await go.wait()
        job.finish()

    house.launcher.default = test
    await house.repository()
    async with house.running():
        await house.push({FILE: TEXT.replace("[1, 2]", "[1]")})

        async def told() -> bool:
            return bool(await house.store.read("pipelines.annotations", run=1))

        await house.until(told)
    async with house.running() as second:
        go.set()
        detail = await house.over(second)
    assert [item.message for item in detail.annotations if item.job == "1.test~1.1"] == ["once"]


async def test_killed_after_the_record_and_before_the_first_event(house: House) -> None:
    """The process has its input and is recorded, but nobody has heard of it yet: it is waited for."""
    begun, go = anyio.Event(), anyio.Event()

    async def stall() -> None:
        begun.set()
        await go.wait()

    house.launcher.before_work = stall
    await house.repository()
    await house.push({FILE: TEXT})
    pipelines = house.pipelines()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(pipelines.run)
        await begun.wait()
        tasks.cancel_scope.cancel()
    async with house.running() as second:
        await anyio.sleep(0.1)
        go.set()
        check(house, await house.over(second))


async def test_a_job_goes_on_while_the_server_is_away(house: House) -> None:
    go = anyio.Event()

    async def test(job: FakeJob) -> None:
        job.begin("Run long")
        await go.wait()
        job.log("done while nobody looked")
        job.end()
        job.finish(found="yes")

    house.launcher.default = test
    await house.repository()
    async with house.running() as pipelines:
        await house.push({FILE: TEXT})

        async def started() -> bool:
            return len(house.launcher.executed) == 2

        await house.until(started)
    go.set()
    await anyio.sleep(0.05)
    async with house.running() as pipelines:
        detail = await house.over(pipelines, seconds=2)
    assert detail.run.conclusion == "success"
    assert detail.jobs[0].outputs == {"found": "yes"}
    assert len(house.launcher.executed) == len(set(house.launcher.executed)) == 3


async def test_a_job_that_died_while_the_server_was_away_fails_within_seconds(house: House) -> None:
    die = anyio.Event()

    async def test(job: FakeJob) -> None:
        job.begin("Run long")
        job.log("last words")
        await die.wait()

    house.launcher.default = test
    await house.repository()
    async with house.running():
        await house.push({FILE: TEXT})

        async def started() -> bool:
            return len(house.launcher.executed) == 2

        await house.until(started)
    die.set()
    await anyio.sleep(0.05)
    house.launcher.default = _fine
    async with house.running() as pipelines:
        detail = await house.over(pipelines, seconds=2)
    reasons = [job.reason for job in detail.jobs[:2]]
    assert detail.run.conclusion == "failure"
    assert [(reason.code, reason.evidence) for reason in reasons if reason] == [("lost", "last words")] * 2


async def _fine(job: FakeJob) -> None:
    job.finish()


async def test_a_cancellation_survives_the_server(house: House) -> None:
    async def test(job: FakeJob) -> None:
        await job.term.wait()
        job.finish("cancelled")

    house.launcher.default = test
    await house.repository()
    async with house.running():
        await house.push({FILE: TEXT})

        async def started() -> bool:
            return len(house.launcher.executed) == 2

        await house.until(started)
    await house.pipelines().cancel(1, actor="anna")
    async with house.running() as pipelines:
        detail = await house.over(pipelines, seconds=2)
    assert detail.run.conclusion == "cancelled"


async def test_half_a_line_is_left_until_it_is_whole(house: House, tmp_path: Path) -> None:
    gate = anyio.Event()

    async def test(job: FakeJob) -> None:
        job.append(b'{"at": 1.0, "kind": "annotation", "level": "error", "mess')
        await gate.wait()
        rest = b'age": "ha\xc3\xa4", "file": null, "line": null, "column": null, "title": null, "step": 0}\n'
        job.append(rest)
        job.append(b"this is no event\n")
        job.finish()

    house.launcher.default = test
    await house.repository()
    async with house.running() as pipelines:
        await house.push({FILE: TEXT.replace("[1, 2]", "[1]")})

        async def started() -> bool:
            row = await house.store.one("jobs.job", id="1.test~1.1")
            return row is not None and row["status"] == "in_progress"

        await house.until(started)
        gate.set()
        detail = await house.over(pipelines)
    assert [item.message for item in detail.annotations if item.job == "1.test~1.1"] == ["haä"]
    assert detail.run.conclusion == "success"
