"""Sandboxes that are made before their job comes."""

from __future__ import annotations

import os
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from windlass.runner.client import ZygoteClient
from windlass.runner.paths import Shape
from windlass.runner.place import AHEAD, Ahead, Place, make_ahead, open_place
from windlass.workflow.jobs import JobSecrets, read_events

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from runner.conftest import Forge
    from windlass.workflow.jobs import JobSpec

SECRETS = JobSecrets("wl_token_5512", {}).to_json()


@pytest.fixture
def spec(sandboxed: Forge) -> JobSpec:
    made = sandboxed.spec()
    Path(made.directory).mkdir(parents=True)
    return made


@pytest.fixture
def ahead(sandboxed: Forge, spec: JobSpec) -> Iterator[Ahead]:
    made = Ahead(sandboxed.data, Shape.of(spec))
    yield made
    made.discard()


def run(place: Place, script: str) -> int:
    null = os.open(os.devnull, os.O_RDWR)
    process = place.sandbox.start(
        ["bash", "-ec", script], env={}, cwd=place.paths.workspace.inside, output=null, source=null
    )
    os.close(null)
    while (code := process.poll()) is None:
        time.sleep(0.005)
    process.close()
    return code


def test_it_becomes_the_jobs_own(sandboxed: Forge, spec: JobSpec, ahead: Ahead) -> None:
    place = ahead.take(spec)
    assert place is not None
    root = Path(spec.directory)
    assert place.paths.workspace.host == root / "work"
    assert run(place, "echo here > made; echo there > /tmp/other; test -w ~ && test ! -w /etc") == 0
    assert (root / "work" / "made").read_text() == "here\n"
    assert (root / "tmp" / "other").read_text() == "there\n"
    assert not list((sandboxed.data / AHEAD).iterdir())
    assert run(place, "exit 3") == 3


@pytest.mark.parametrize(
    "other", [{"repository": "acme/another"}, {"ref": "refs/heads/feature"}, {"isolation": "host"}]
)
def test_a_job_of_another_shape_gets_its_own(
    sandboxed: Forge, spec: JobSpec, ahead: Ahead, other: dict[str, Any]
) -> None:
    """Another repository's caches, or those of the default branch, must not be in reach."""
    wanted = replace(spec, **other)
    place = open_place(wanted, ahead)
    assert isinstance(place, Place)
    assert place.sandbox.name == wanted.isolation
    assert place.paths.tools.host == Path(Shape.of(wanted).tools)
    assert not list((sandboxed.data / AHEAD).iterdir())
    assert run(place, "true") == 0
    place.close()


def test_one_that_was_killed_is_made_again(spec: JobSpec, ahead: Ahead) -> None:
    assert ahead._sandbox is not None
    waiting = ahead._sandbox._waiting
    assert waiting is not None
    assert not ahead._sandbox._left()
    waiting.child.kill()
    waiting.child.wait()
    place = open_place(spec, ahead)
    assert isinstance(place, Place)
    assert run(place, "true") == 0
    place.close()


def test_one_whose_directory_somebody_removed_is_made_again(
    sandboxed: Forge, spec: JobSpec, ahead: Ahead
) -> None:
    assert ahead._sandbox is not None
    assert ahead._sandbox._helper is not None
    os.kill(ahead._sandbox._helper._pid, signal.SIGKILL)
    shutil.rmtree(sandboxed.data / AHEAD)
    place = open_place(spec, ahead)
    assert isinstance(place, Place)
    assert run(place, "true") == 0
    place.close()


def test_without_isolation_the_directories_are_there(sandboxed: Forge, spec: JobSpec) -> None:
    wanted = replace(spec, isolation="host")
    made = make_ahead(sandboxed.data, Shape.of(wanted))
    assert made is not None
    place = open_place(wanted, made)
    assert isinstance(place, Place)
    assert run(place, f"cd {wanted.directory}/work; echo here > made") == 0
    assert (Path(spec.directory) / "work" / "made").exists()
    assert not list((sandboxed.data / AHEAD).iterdir())


def test_one_that_cannot_be_made_is_done_without(sandboxed: Forge, spec: JobSpec) -> None:
    (sandboxed.data / AHEAD).write_text("in the way")
    assert make_ahead(sandboxed.data, Shape.of(spec)) is None


@pytest.fixture
async def client(sandboxed: Forge) -> AsyncIterator[ZygoteClient]:
    made = ZygoteClient(sandboxed.data / "run")
    yield made
    await made.close()


def until(what: str, holds: object) -> None:
    deadline = time.monotonic() + 20
    assert callable(holds)
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


async def test_the_next_job_finds_one(client: ZygoteClient, sandboxed: Forge) -> None:
    made = sandboxed.data / AHEAD
    for _ in range(3):
        spec = sandboxed.spec([{"run": "echo out > out; touch /tmp/it; ls ~ >&2"}])
        directory = Path(spec.directory)
        directory.mkdir(parents=True)
        (directory / "spec.json").write_text(spec.to_json())
        waiting = set(made.iterdir()) if made.exists() else set()
        pid = await client.start(directory, SECRETS)
        assert not waiting or waiting == {made / str(pid)}
        events = directory / "events.jsonl"
        until(
            "the job ends", lambda events=events: events.exists() and b"job.finished" in events.read_bytes()
        )
        assert read_events(events.read_bytes())[0][-1]["conclusion"] == "success"
        until("the next one is made", lambda: made.exists() and list(made.iterdir()))
    (spare,) = made.iterdir()
    os.kill(int(spare.name), signal.SIGKILL)
    until("one that was killed is made again", lambda: not spare.exists() and list(made.iterdir()))
    await client.close()
    until("nothing is left", lambda: not list(made.iterdir()))


def test_one_that_fails_half_way_leaves_nothing(sandboxed: Forge, spec: JobSpec) -> None:
    (sandboxed.data / "file").parent.mkdir(parents=True, exist_ok=True)
    (sandboxed.data / "file").write_text("no directory")
    assert (
        make_ahead(sandboxed.data, replace(Shape.of(spec), tools=str(sandboxed.data / "file" / "tools")))
        is None
    )
    assert not list((sandboxed.data / AHEAD).iterdir())
