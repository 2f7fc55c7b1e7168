from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING

import anyio
import pytest

from windlass.pipelines import NotFoundError
from windlass.pipelines.logfiles import last_lines, read_block, tail_offset

if TYPE_CHECKING:
    from pathlib import Path

    from pipelines.conftest import House
    from windlass.pipelines import FakeJob

FILE = ".github/workflows/ci.yaml"
TEXT = "on: push\njobs:\n  test:\n    runs-on: ubuntu-latest\n    steps: [{run: 'true'}]\n"


async def test_followers_read_while_the_step_writes_and_end_with_the_job(house: House) -> None:
    said = anyio.Event()
    heard = anyio.Event()

    async def test(job: FakeJob) -> None:
        job.begin("Set up job")
        job.log("set up")
        job.end()
        job.begin("Run slow")
        job.log("first")
        said.set()
        await heard.wait()
        job.log("second")
        job.end()
        job.finish()

    house.launcher.scripts["test"] = test
    await house.repository()
    async with house.running() as pipelines:
        await house.push({FILE: TEXT})
        await said.wait()
        text = ""
        async for block in pipelines.logs(1, "test", follow=True):
            text += block.decode()
            if "first" in text and not heard.is_set():
                assert "second" not in text
                heard.set()
        assert [line.split(" ", 1)[1] for line in text.splitlines()] == ["set up", "first", "second"]
        index = await pipelines.log_index(1, "test")
        assert [item.step for item in index] == [0, 1]
        only = b"".join([block async for block in pipelines.logs(1, "1.test.1", 1, follow=True)])
        assert only.decode().splitlines() == text.splitlines()[1:]
        last = b"".join([block async for block in pipelines.logs(1, "test", tail=1)])
        assert last.decode().splitlines() == text.splitlines()[-1:]


async def test_a_nudge_wakes_a_follower_long_before_any_polling(house: House) -> None:
    times: list[float] = []

    async def test(job: FakeJob) -> None:
        job.begin("Run steady")
        for _ in range(10):
            await anyio.sleep(0.05)
            times.append(anyio.current_time())
            job.log("tick")
        job.finish()

    house.launcher.scripts["test"] = test
    await house.repository()
    delays = []
    async with house.running() as pipelines:
        await house.push({FILE: TEXT})

        async def begun() -> bool:
            return bool(times)

        await house.until(begun)
        async for block in pipelines.logs(1, "test", follow=True):
            if block.count(b"tick") == 1:
                delays.append(anyio.current_time() - times[-1])  # noqa: PERF401 the time is of each turn
    assert len(delays) >= 8
    assert sorted(delays)[len(delays) // 2] < 0.1


async def test_a_job_that_is_not_there_is_named(house: House) -> None:
    await house.repository()
    async with house.running() as pipelines:
        with pytest.raises(NotFoundError, match="no job 'nothing'"):
            [block async for block in pipelines.logs(1, "nothing")]


def test_the_end_of_a_log_is_found_from_the_end(tmp_path: Path) -> None:
    path = tmp_path / "000.log"
    assert tail_offset(path, 5) == 0
    lines = [f"2026-01-01T00:00:00.0000000Z line {number}\n" for number in range(50_000)]
    path.write_text("".join(lines))
    for count in (1, 2, 1000, 49_999):
        assert path.read_bytes()[tail_offset(path, count) :].decode() == "".join(lines[-count:])
    assert tail_offset(path, 50_000) == 0
    assert tail_offset(path, 60_000) == 0
    assert last_lines(path, 2) == ["line 49998", "line 49999"]


def test_blocks_are_whole_lines_and_memory_stays_flat(tmp_path: Path) -> None:
    path = tmp_path / "000.log"
    line = b"x" * 199 + b"\n"
    with path.open("wb") as file:
        for _ in range(200):
            file.write(line * 1000)
        file.write(b"no end yet")
    tracemalloc.start()
    offset = blocks = 0
    while block := read_block(path, offset):
        assert block.endswith(b"\n")
        offset += len(block)
        blocks += 1
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert offset == 200 * 1000 * len(line)
    assert peak < 1 << 20


def test_a_line_without_end_comes_in_pieces(tmp_path: Path) -> None:
    path = tmp_path / "000.log"
    path.write_bytes(b"y" * (3 << 20) + b"\n")
    offset = 0
    while block := read_block(path, offset):
        offset += len(block)
    assert offset == (3 << 20) + 1
