"""What only real engines can show: what a container sees of its specification, limits, restarts of the engine."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from windlass.engine import ContainerEvent, EngineInfo, EngineUnavailableError, Mount
from windlass.engine.choose import docker

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from engine.conftest import Bench, Dockerd

pytestmark = pytest.mark.integration
real = pytest.mark.parametrize(
    "bench", ["podman", pytest.param("docker", marks=pytest.mark.docker)], indirect=True
)
LOOK = """
import json, os, resource
def able(path):
    try:
        open(path, 'w').close(); return True
    except OSError as e:
        return e.strerror
print(json.dumps({'env': dict(os.environ), 'uid': os.getuid(), 'gid': os.getgid(), 'cwd': os.getcwd(),
  'hosts': open('/etc/hosts').read(), 'nofile': resource.getrlimit(resource.RLIMIT_NOFILE),
  'ro': able('/data/x'), 'rw': able('/more/x'), 'root': able('/x'), 'tmp': able('/tmp/x'), 'host': os.uname().nodename,
  'caps': [l.split()[1] for l in open('/proc/self/status') if l.startswith('CapEff')][0],
  'nnp': [l.split()[1] for l in open('/proc/self/status') if l.startswith('NoNewPrivs')][0]}))
"""


async def look(bench: Bench, **fields: Any) -> dict[str, Any]:
    spec = bench.spec("ends", command=("python3", "-c", LOOK), **fields)
    identity = await bench.engine.run(spec)
    assert await bench.engine.wait(identity) == 0, [line async for line in bench.engine.logs(identity)]
    lines = [line async for line in bench.engine.logs(identity, streams=("stdout",))]
    await bench.engine.remove(identity)
    found: dict[str, Any] = json.loads(b"".join(lines))
    return found


@real
async def test_a_container_sees_its_specification(bench: Bench, tmp_path: Path) -> None:
    shared, more = tmp_path / "a, shared: one", tmp_path / "more"
    for directory in (shared, more):
        directory.mkdir()
        directory.chmod(0o777)
    hosts = tmp_path / "hosts"
    hosts.write_text("127.0.0.1 localhost\n10.9.8.7 my-service\n")
    hosts.chmod(0o644)
    network = await bench.network()
    seen = await look(
        bench,
        env={
            "SECRET": "line one\nline two = $X 'q'",
            "CONTAINERS_CONF": "/nowhere",
            "HOME": "/h",
            "EMPTY": "",
        },
        mounts=(
            Mount(str(shared), "/data", read_only=True),
            Mount(str(more), "/more"),
            Mount("", "/tmp", "tmpfs", size=1 << 20),
        ),
        hosts_file=str(hosts),
        hostname="my-pod",
        network=network,
        user="10001:10002",
        workdir="/tmp",
        read_only=True,
        cap_drop=("ALL",),
        ulimits=(("nofile", 512, 1024),),
    )
    assert seen["env"]["SECRET"] == "line one\nline two = $X 'q'"
    assert (seen["env"]["CONTAINERS_CONF"], seen["env"]["HOME"], seen["env"]["EMPTY"]) == (
        "/nowhere",
        "/h",
        "",
    )
    assert (seen["uid"], seen["gid"], seen["cwd"], seen["host"]) == (10001, 10002, "/tmp", "my-pod")
    assert seen["hosts"] == hosts.read_text()
    assert seen["nofile"] == [512, 1024]
    assert (seen["rw"], seen["tmp"]) == (True, True)
    assert "Read-only" in seen["ro"]
    assert "Read-only" in seen["root"]
    assert int(seen["caps"], 16) == 0
    assert seen["nnp"] == "1"
    assert (more / "x").exists()


@real
async def test_the_hosts_file_is_read_anew_when_it_is_rewritten_in_place(
    bench: Bench, tmp_path: Path
) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_text("10.0.0.1 one\n")
    identity = await bench.engine.run(
        bench.spec("sleep", hosts_file=str(hosts), network=await bench.network())
    )
    hosts.write_text("10.0.0.2 two\n")
    seen = await bench.engine.exec(
        identity, ["python3", "-c", "import socket; print(socket.gethostbyname('two'))"]
    )
    assert seen.stdout == b"10.0.0.2\n"


@real
async def test_memory_beyond_the_limit_ends_in_137(bench: Bench) -> None:
    info: EngineInfo = await bench.engine.info()
    if "memory" not in info.can_limit:
        pytest.skip("this machine's cgroups cannot limit memory")
    spec = bench.spec(
        "ends", command=("python3", "-c", "x = b'x' * (256 << 20); print(len(x))"), memory=32 << 20
    )
    identity = await bench.engine.run(spec)
    assert await bench.engine.wait(identity) == 137


@real
async def test_containers_of_a_network_with_dns_find_each_other(bench: Bench) -> None:
    network = await bench.network(dns=True)
    await bench.engine.run(bench.spec("http", network=network, aliases=("db",)))
    asking = await bench.engine.run(bench.spec("sleep", network=network))
    script = (
        "import time, urllib.request as u\n"
        "for i in range(60):\n"
        " try: print(u.urlopen('http://db:8080/', timeout=2).read()); break\n"
        " except OSError as e: time.sleep(0.1)\n"
        "else: raise e\n"
    )
    seen = await bench.engine.exec(asking, ["python3", "-c", script])
    assert seen.stdout == b"b'ok\\n'\n", seen.stderr


@real
async def test_standard_input_reaches_exec(bench: Bench) -> None:
    identity = await bench.engine.run(bench.spec("sleep"))
    copy = ("python3", "-c", "import sys; sys.stdout.buffer.write(sys.stdin.buffer.read()[::-1])")
    assert (await bench.engine.exec(identity, copy, stdin=b"abc" * 50_000)).stdout == b"cba" * 50_000
    env = ("python3", "-c", "import os; print(os.environ['A'], os.getcwd(), os.getuid())")
    seen = await bench.engine.exec(identity, env, env={"A": "b c"}, workdir="/tmp", user="7")
    assert seen.stdout == b"b c /tmp 7\n"


class Watch:
    """Collects events in a task."""

    def __init__(self, stream: AsyncGenerator[ContainerEvent, None]) -> None:
        self.seen: list[ContainerEvent] = []
        self._task = asyncio.create_task(self._listen(stream))

    async def _listen(self, stream: AsyncGenerator[ContainerEvent, None]) -> None:
        async with contextlib.aclosing(stream) as events:
            async for event in events:
                self.seen.append(event)

    async def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < deadline, self.seen
            await asyncio.sleep(0.02)

    async def close(self) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task


@pytest.mark.parametrize("bench", ["podman"], indirect=True)
async def test_events_resync_when_the_engines_stream_breaks(bench: Bench) -> None:
    watch = Watch(bench.engine.events(bench.labels))
    following = ("events", f"label=windlass.test/bench={bench.token}")
    await watch.until(lambda: _children(*following) != [])
    for pid in _children(*following):
        os.kill(pid, signal.SIGKILL)
    await watch.until(lambda: [e.kind for e in watch.seen] == ["resync", "resync"])
    await bench.engine.run(bench.spec("ends"))
    await watch.until(lambda: any(e.kind == "exited" for e in watch.seen))
    await watch.close()
    await asyncio.sleep(0.2)
    assert _children(*following) == []


def _children(*words: str) -> list[int]:
    """Processes whose argument vector has all these words."""
    wanted, found = {word.encode() for word in words}, []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if wanted <= set((entry / "cmdline").read_bytes().split(b"\0")):
                    found.append(int(entry.name))
    return found


@pytest.mark.docker
@pytest.mark.parametrize("bench", ["docker"], indirect=True)
async def test_events_and_containers_outlive_a_restart_of_the_daemon(bench: Bench, dockerd: Dockerd) -> None:
    watch = Watch(bench.engine.events(bench.labels))
    await watch.until(lambda: len(watch.seen) == 1)
    identity = await bench.engine.run(bench.spec("sleep"))
    await bench.until(identity, b"up\n")
    await asyncio.to_thread(dockerd.stop)
    with pytest.raises(EngineUnavailableError, match="start the Docker daemon"):
        await docker(dockerd.host).info()
    await asyncio.to_thread(dockerd.start)
    await watch.until(lambda: [e.kind for e in watch.seen].count("resync") == 2)
    found = await bench.engine.inspect(identity)
    assert found is not None
    assert found.state == "running"
    await bench.engine.stop(identity, 5)
    await watch.until(lambda: watch.seen[-1].kind == "exited")
    await watch.close()
