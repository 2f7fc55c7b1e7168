from __future__ import annotations

import re
from typing import TYPE_CHECKING

import anyio

from windlass.pipelines.news import duration

if TYPE_CHECKING:
    from pipelines.conftest import House
    from windlass.pipelines import FakeJob

FILE = ".github/workflows/ci.yaml"
TEXT = """
name: CI
on: push
jobs:
  test:
    runs-on: ubuntu-latest
    steps: [{run: 'true'}]
  deploy:
    needs: test
    runs-on: ubuntu-latest
    steps: [{run: 'true'}]
"""
ADDRESS = "▸ CI #1  http://127.0.0.1:8700/runs/1"


def plain(lines: list[str]) -> list[str]:
    return [re.sub(r"\d+\.\ds", "TIME", line) for line in lines]


async def test_the_pusher_reads_each_stage_as_it_happens(house: House) -> None:
    go = anyio.Event()

    async def test(job: FakeJob) -> None:
        await go.wait()
        job.finish()

    house.launcher.scripts["test"] = test
    await house.repository()
    async with house.running() as pipelines:
        push = await house.push({FILE: TEXT})
        lines = []
        async for line in pipelines.news(push):
            lines.append(line)
            if line == "  · test":
                go.set()
    assert plain(lines) == [
        ADDRESS,
        "  · test",
        "  ✓ test  TIME",
        "  · deploy",
        "  ✓ deploy  TIME",
        "✓ CI #1  TIME",
    ]


async def test_a_failure_is_told_with_its_first_error_and_where_to_read_on(house: House) -> None:
    async def test(job: FakeJob) -> None:
        job.begin("Run pytest")
        job.annotate("assert 1 == 2", file="tests/test_app.py", line=12)
        job.end("failure")
        job.finish("failure")

    house.launcher.scripts["test"] = test
    await house.repository()
    async with house.running() as pipelines:
        push = await house.push({FILE: TEXT})
        lines = plain([line async for line in pipelines.news(push)])
    assert lines[0] == ADDRESS
    assert lines[-3:] == [
        "✗ CI #1 failure  TIME",
        "    tests/test_app.py:12: assert 1 == 2",
        "    windlass logs 1 --job test",
    ]
    assert not any("deploy" in line for line in lines)


async def test_without_following_the_address_is_all(house: House) -> None:
    async def test(job: FakeJob) -> None:
        await job.term.wait()

    house.launcher.scripts["test"] = test
    await house.repository()
    async with house.running() as pipelines:
        push = await house.push({FILE: TEXT})
        lines = [line async for line in pipelines.news(push, follow=False)]  # planned or not yet
    assert lines[0] == ADDRESS


async def test_an_invalid_file_is_drawn_with_its_caret(house: House) -> None:
    await house.repository()
    async with house.running() as pipelines:
        push = await house.push({FILE: "on: push\njobs:\n  a: {runs-on: x, stepz: []}\n"})
        lines = [line async for line in pipelines.news(push)]
    assert any(re.fullmatch(r" +\| +\^+", line) for line in lines), lines


async def test_a_push_without_workflows_says_nothing(house: House) -> None:
    await house.repository()
    async with house.running() as pipelines:
        push = await house.push({"a": "1"})
        assert [line async for line in pipelines.news(push)] == []


def test_durations() -> None:
    assert [duration(seconds) for seconds in (0.04, 9.94, 12.4, 65.2, 3725)] == [
        "0.0s",
        "9.9s",
        "12s",
        "1m 05s",
        "62m 05s",
    ]
