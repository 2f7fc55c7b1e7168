"""What every driver promises: one suite over the scripted fake, podman and docker."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Self

import pytest
from httpx2 import AsyncClient

from windlass.engine import (
    ContainerEvent,
    ContainerNotFoundError,
    EngineError,
    EngineTimeoutError,
    ImageNotFoundError,
    NameInUseError,
    Port,
    StartError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from pathlib import Path

    from engine.conftest import Bench

GREET = ("python3", "-c", "import sys; print('hello'); print('oh', file=sys.stderr); sys.exit(4)")


async def have(bench: Bench, *programs: str) -> None:
    """The fake pulls; the real engines' image was imported."""
    for program in programs:
        if not bench.real:
            await bench.engine.pull(bench.spec(program).image)


async def test_info_names_the_engine(bench: Bench) -> None:
    info = await bench.engine.info()
    assert info.name == bench.engine.name
    assert info.version
    assert info.cgroup_version in {1, 2}


async def test_a_container_goes_from_created_to_running_to_exited_and_is_gone(bench: Bench) -> None:
    await have(bench, "sleep")
    engine = bench.engine
    before = time.time()
    identity = await engine.create(bench.spec("sleep"))
    created = await engine.inspect(identity)
    assert created is not None
    assert (created.state, created.exit_code, created.started_at) == ("created", None, 0.0)
    assert created.id == identity
    assert created.name == bench.spec("sleep").name
    assert created.labels == bench.labels
    assert before - 1 < created.created_at < time.time() + 1
    await engine.start(identity)
    await engine.start(identity)
    running = await engine.inspect(created.name)
    assert running is not None
    assert (running.state, running.exit_code) == ("running", None)
    assert before - 1 < running.started_at < time.time() + 1
    await bench.until(identity, b"up\n")
    await engine.stop(identity, 5)
    ended = await engine.inspect(identity)
    assert ended is not None
    assert (ended.state, ended.exit_code) == ("exited", 0)
    assert ended.finished_at >= ended.started_at == running.started_at
    await engine.remove(identity)
    assert await engine.inspect(identity) is None


async def test_an_ended_container_starts_again(bench: Bench) -> None:
    await have(bench, "ends")
    identity = await bench.engine.run(bench.spec("ends"))
    assert await bench.engine.wait(identity) == 0
    await bench.engine.start(identity)
    assert await bench.engine.wait(identity) == 0
    assert [line async for line in bench.engine.logs(identity)] == [b"done\n", b"done\n"]


async def test_what_has_ended_or_is_gone_may_be_ended_and_removed_again(bench: Bench) -> None:
    await have(bench, "ends")
    engine = bench.engine
    identity = await engine.run(bench.spec("ends"))
    await engine.wait(identity)
    await engine.stop(identity)
    await engine.kill(identity)
    await engine.remove(identity)
    for name in (identity, "wl-never-was"):
        await engine.stop(name)
        await engine.kill(name)
        await engine.remove(name)
    await engine.network_remove("wl-never-was")
    await engine.image_remove("localhost/windlass-test/never-was:1")


async def test_a_created_container_may_be_stopped_killed_and_removed(bench: Bench) -> None:
    await have(bench, "sleep")
    identity = await bench.engine.create(bench.spec("sleep"))
    await bench.engine.stop(identity, 0)
    await bench.engine.remove(identity)
    assert await bench.engine.inspect(identity) is None


async def test_who_does_not_obey_is_killed_after_the_grace(bench: Bench) -> None:
    await have(bench, "stubborn")
    identity = await bench.engine.run(bench.spec("stubborn"))
    await bench.until(identity, b"up\n")
    began = time.monotonic()
    await bench.engine.stop(identity, 1)
    assert 0.9 < time.monotonic() - began < 8
    ended = await bench.engine.inspect(identity)
    assert ended is not None
    assert (ended.state, ended.exit_code) == ("exited", 137)


async def test_kill_returns_when_it_has_ended(bench: Bench) -> None:
    await have(bench, "stubborn")
    identity = await bench.engine.run(bench.spec("stubborn"))
    await bench.until(identity, b"up\n")
    await bench.engine.kill(identity, "TERM")
    found = await bench.engine.inspect(identity)
    assert found is not None
    assert found.state == "running"
    await bench.engine.kill(identity)
    ended = await bench.engine.inspect(identity)
    assert ended is not None
    assert (ended.state, ended.exit_code) == ("exited", 137)


async def test_a_running_container_is_removed_with_all_it_does(bench: Bench) -> None:
    await have(bench, "stubborn")
    identity = await bench.engine.run(bench.spec("stubborn"))
    await bench.engine.remove(identity)
    assert await bench.engine.list(bench.labels) == []


async def test_exit_code_and_both_streams(bench: Bench) -> None:
    await have(bench, "fails")
    engine = bench.engine
    identity = await engine.run(bench.spec("fails"))
    assert await engine.wait(identity) == 3
    assert await engine.wait(identity) == 3
    assert sorted([line async for line in engine.logs(identity)]) == [b"broken\n", b"first\n"]
    assert [line async for line in engine.logs(identity, streams=("stdout",))] == [b"first\n"]
    assert [line async for line in engine.logs(identity, streams=("stderr",))] == [b"broken\n"]
    assert len([line async for line in engine.logs(identity, tail=1)]) == 1
    [stamped] = [line async for line in engine.logs(identity, streams=("stdout",), timestamps=True)]
    moment, _, text = stamped.partition(b" ")
    assert text == b"first\n"
    assert moment.startswith(b"20")
    assert b"T" in moment


async def test_lines_that_were_written_in_pieces_are_whole_and_in_order(bench: Bench) -> None:
    await have(bench, "pieces")
    engine = bench.engine
    identity = await engine.run(bench.spec("pieces"))
    assert await engine.wait(identity) == 0
    assert [line async for line in engine.logs(identity, tail=2)] == [b"line 2\n", b"line 3\n"]
    followed = [line async for line in engine.logs(identity, tail=3, follow=True)]
    assert followed == [b"line 1\n", b"line 2\n", b"line 3\n"]
    stamped = [line async for line in engine.logs(identity, timestamps=True)]
    assert [line.partition(b" ")[2] for line in stamped] == [b"line %d\n" % i for i in range(4)]


async def test_a_taken_name_is_refused_by_its_own_error(bench: Bench) -> None:
    await have(bench, "sleep")
    await bench.engine.create(bench.spec("sleep"))
    with pytest.raises(NameInUseError, match=r"already"):
        await bench.engine.create(bench.spec("sleep"))
    with pytest.raises(NameInUseError):
        await bench.engine.run(bench.spec("sleep"))
    assert len(await bench.engine.list(bench.labels)) == 1


async def test_an_image_that_is_not_there_is_never_pulled_by_create(bench: Bench) -> None:
    with pytest.raises(ImageNotFoundError) as caught:
        await bench.engine.create(bench.spec("sleep", image="localhost/windlass-test/never-was:1"))
    assert "What helps" in str(caught.value)
    assert await bench.engine.image("localhost/windlass-test/never-was:1") is None


async def test_a_container_that_cannot_start_says_why_and_leaves_nothing(bench: Bench) -> None:
    await have(bench, "unstartable")
    with pytest.raises(StartError, match=r"not found|no such file|not/there") as caught:
        await bench.engine.run(bench.spec("unstartable"))
    assert caught.value.stderr
    assert caught.value.remedy
    assert await bench.engine.list(bench.labels) == []


async def test_questions_about_what_is_not_there(bench: Bench) -> None:
    engine = bench.engine
    assert await engine.inspect("wl-never-was") is None
    for call in (engine.start, engine.wait):
        with pytest.raises(ContainerNotFoundError):
            await call("wl-never-was")
    with pytest.raises(ContainerNotFoundError):
        _ = [line async for line in engine.logs("wl-never-was")]
    with pytest.raises(ContainerNotFoundError):
        await engine.exec("wl-never-was", GREET)


async def test_containers_are_found_by_all_their_labels(bench: Bench) -> None:
    await have(bench, "sleep", "ends")
    engine = bench.engine
    both = {**bench.labels, "windlass.test/part": "a"}
    one = await engine.create(bench.spec("sleep", labels=both))
    two = await engine.create(bench.spec("ends"))
    assert {c.id for c in await engine.list(bench.labels)} == {one, two}
    assert [c.id for c in await engine.list(both)] == [one]
    assert [c.id for c in await engine.list({**bench.labels, "windlass.test/part": ""})] == [one]
    assert await engine.list({**bench.labels, "windlass.test/part": "b"}) == []


async def test_a_port_is_published_at_a_free_port_of_loopback(bench: Bench) -> None:
    await have(bench, "http")
    network = await bench.network()
    identity = await bench.engine.run(bench.spec("http", ports=(Port(8080),), network=network))
    found = await bench.engine.inspect(identity)
    assert found is not None
    assert set(found.ports) == {8080}
    assert await answer(f"http://127.0.0.1:{found.ports[8080]}/") == "ok\n"
    if bench.real:
        assert found.addresses[network]


async def answer(url: str) -> str:
    deadline = time.monotonic() + 15
    async with AsyncClient(timeout=2, trust_env=False) as client:
        while True:
            try:
                return (await client.get(url)).raise_for_status().text
            except Exception:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.05)


async def test_networks_are_made_once(bench: Bench) -> None:
    name = await bench.network()
    first, second = await asyncio.gather(
        bench.engine.network_ensure(name), bench.engine.network_ensure(name, {"a": "b"})
    )
    assert first == second
    assert first.name == name
    assert first.gateway
    assert "/" in first.subnet
    await bench.engine.network_remove(name)
    await bench.engine.network_remove(name)


async def test_networks_are_found_by_their_labels(bench: Bench) -> None:
    first, second = await bench.network(), await bench.network()
    found = await bench.engine.networks(bench.labels)
    assert {network.name for network in found} == {first, second}
    assert all(network.gateway and network.labels.items() >= bench.labels.items() for network in found)
    (key, value), *_ = bench.labels.items()
    assert {first, second} <= {network.name for network in await bench.engine.networks({key: ""})}
    assert await bench.engine.networks({key: f"{value}x"}) == []
    assert await bench.engine.networks({**bench.labels, "no": "such"}) == []
    await bench.engine.network_remove(first)
    assert [network.name for network in await bench.engine.networks(bench.labels)] == [second]


async def test_a_network_is_removed_with_containers_in_it(bench: Bench) -> None:
    await have(bench, "sleep")
    network = await bench.network()
    await bench.engine.run(bench.spec("sleep", network=network))
    await bench.engine.network_remove(network)


async def test_exec_gives_code_and_output(bench: Bench) -> None:
    await have(bench, "sleep")
    identity = await bench.engine.run(bench.spec("sleep"))
    result = await bench.engine.exec(identity, GREET)
    assert (result.exit_code, result.stdout, result.stderr) == (4, b"hello\n", b"oh\n")
    chunks: list[tuple[str, bytes]] = []
    streamed = await bench.engine.exec(identity, GREET, on_output=lambda s, c: chunks.append((s, c)))
    assert (streamed.exit_code, streamed.stdout) == (4, b"")
    assert sorted(chunks) == [("stderr", b"oh\n"), ("stdout", b"hello\n")]
    assert (await bench.engine.exec(identity, ["not-there"])).exit_code in {126, 127}


async def test_exec_in_an_ended_container_is_an_error(bench: Bench) -> None:
    await have(bench, "ends")
    identity = await bench.engine.run(bench.spec("ends"))
    await bench.engine.wait(identity)
    with pytest.raises(EngineError, match=r"running|state improper"):
        await bench.engine.exec(identity, GREET)


async def test_exec_ends_at_its_timeout(bench: Bench) -> None:
    await have(bench, "sleep")
    identity = await bench.engine.run(bench.spec("sleep"))
    long = ("sleep", "30") if not bench.real else ("python3", "-c", "import time; time.sleep(30)")
    began = time.monotonic()
    with pytest.raises(EngineTimeoutError):
        await bench.engine.exec(identity, long, timeout=0.8)
    assert time.monotonic() - began < 6


async def test_logs_are_followed_until_the_end(bench: Bench) -> None:
    await have(bench, "talks")
    identity = await bench.engine.run(bench.spec("talks"))
    lines: list[bytes] = []
    async with contextlib.aclosing(bench.engine.logs(identity, follow=True)) as feed:
        async for line in feed:
            lines.append(line)
            if len(lines) == 5:
                await bench.engine.stop(identity, 5)
            assert len(lines) < 200
    assert len(lines) >= 5
    assert all(line.startswith(b"line") and line.endswith(b"\n") for line in lines)


async def test_following_a_log_ends_when_it_is_closed(bench: Bench) -> None:
    await have(bench, "talks")
    identity = await bench.engine.run(bench.spec("talks"))
    async with asyncio.timeout(20), contextlib.aclosing(bench.engine.logs(identity, follow=True)) as feed:
        assert (await anext(feed)).startswith(b"line")
    running = await bench.engine.inspect(identity)
    assert running is not None
    assert running.state == "running"


async def test_logs_since_a_moment(bench: Bench) -> None:
    await have(bench, "ends")
    identity = await bench.engine.run(bench.spec("ends"))
    await bench.engine.wait(identity)
    await asyncio.sleep(0.3)
    moment = time.time()
    await asyncio.sleep(0.1)
    await bench.engine.start(identity)
    await bench.engine.wait(identity)
    assert [line async for line in bench.engine.logs(identity)] == [b"done\n"] * 2
    assert [line async for line in bench.engine.logs(identity, since=moment)] == [b"done\n"]


class Listener:
    """Collects events in a task."""

    def __init__(self, stream: AsyncGenerator[ContainerEvent, None]) -> None:
        self.seen: list[ContainerEvent] = []
        self._stream = stream

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._listen())
        await self.until(lambda: [e.kind for e in self.seen] == ["resync"])
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _listen(self) -> None:
        async with contextlib.aclosing(self._stream) as stream:
            async for event in stream:
                self.seen.append(event)

    async def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < deadline, [(e.kind, e.name) for e in self.seen]
            assert not self._task.done() or self._task.exception() is None
            await asyncio.sleep(0.02)


async def test_events_begin_with_resync_and_tell_the_whole_life(bench: Bench) -> None:
    await have(bench, "fails", "ends")
    async with Listener(bench.engine.events(bench.labels)) as listener:
        other = await bench.engine.run(bench.spec("ends", labels={"windlass.test/other": bench.token}))
        identity = await bench.engine.run(bench.spec("fails"))
        await bench.engine.wait(identity)
        await bench.engine.remove(identity)
        await bench.engine.remove(other)
        await listener.until(lambda: any(e.kind == "removed" for e in listener.seen))
    kinds = [e.kind for e in listener.seen]
    assert kinds == ["resync", "created", "started", "exited", "removed"]
    assert {e.id for e in listener.seen[1:]} == {identity}
    assert {e.name for e in listener.seen[1:]} == {bench.spec("fails").name}
    exited = listener.seen[3]
    assert exited.exit_code == 3
    assert exited.labels[next(iter(bench.labels))] == bench.token
    assert abs(exited.at - time.time()) < 30


async def test_many_calls_at_once(bench: Bench) -> None:
    await have(bench, "sleep")
    engine = bench.engine
    specs = [replace(bench.spec("sleep"), name=f"wl-test-{bench.token}-{i}") for i in range(6)]
    made = await asyncio.gather(*(engine.run(spec) for spec in specs))
    assert {c.id for c in await engine.list(bench.labels)} == set(made)
    await asyncio.gather(*(engine.remove(identity) for identity in made))
    assert await engine.list(bench.labels) == []


async def test_images_are_imported_tagged_looked_up_and_forgotten(bench: Bench, rootfs: Path) -> None:
    engine = bench.engine
    name = f"localhost/windlass-test/{bench.token}:1"
    identity = await engine.import_image(
        rootfs, name, ("ENV A=b", "USER 1000", "EXPOSE 8080", 'CMD ["python3"]', "WORKDIR /tmp")
    )
    found = await engine.image(name)
    assert found is not None
    assert found.id == identity
    if bench.real:
        assert found.env["A"] == "b"
        assert (found.user, found.exposed, found.command, found.workdir) == (
            "1000",
            (8080,),
            ("python3",),
            "/tmp",
        )
    await engine.tag(name, f"{name}-again")
    again = await engine.image(f"{name}-again")
    assert again is not None
    assert again.id == identity
    await engine.image_remove(name)
    await engine.image_remove(f"{name}-again")
    assert await engine.image(name) is None
    with pytest.raises(ImageNotFoundError):
        await engine.tag(name, f"{name}-again")


@pytest.mark.parametrize("name", ["--privileged", "a b", "", "../x"])
async def test_names_that_could_be_flags_are_refused(bench: Bench, name: str) -> None:
    if bench.real:
        with pytest.raises(EngineError, match="names consist of"):
            await bench.engine.inspect(name)
        with pytest.raises(EngineError):
            await bench.engine.create(bench.spec("sleep", name=name))
        with pytest.raises(EngineError):
            await bench.engine.pull(name)
