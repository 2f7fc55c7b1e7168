"""The fork server and its client: fast, private, replaceable."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import pytest

from windlass.runner.client import ZygoteClient
from windlass.runner.errors import ZygoteError
from windlass.workflow.jobs import JobSecrets, read_events

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from runner.conftest import Forge

SECRETS = JobSecrets("wl_token_5512", {"KEY": "value-of-the-key"}).to_json()


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[ZygoteClient]:
    made = ZygoteClient(tmp_path / "run")
    yield made
    await made.close()


def prepare(forge: Forge, script: str = "true") -> Path:
    spec = forge.spec([{"run": script}])
    directory = Path(spec.directory)
    directory.mkdir(parents=True)
    (directory / "spec.json").write_text(spec.to_json())
    return directory


async def finished(directory: Path) -> list[dict[str, object]]:
    path = directory / "events.jsonl"
    with anyio.fail_after(20):
        while True:
            events = read_events(path.read_bytes())[0] if path.exists() else []
            if events and events[-1]["kind"] == "job.finished":
                return events
            await anyio.sleep(0.005)


async def test_jobs_start_at_once(client: ZygoteClient, host_forge: Forge) -> None:
    await client.warm()
    took = []
    for _ in range(5):
        directory = prepare(host_forge)
        began = time.time()
        pid = await client.start(directory, SECRETS)
        events = await finished(directory)
        assert events[0]["kind"] == "job.started"
        assert events[0]["pid"] == pid
        assert events[-1]["conclusion"] == "success"
        took.append(float(str(events[0]["at"])) - began)
    assert sorted(took)[2] < 0.1


async def test_the_job_leads_a_session_and_names_its_start(client: ZygoteClient, host_forge: Forge) -> None:
    directory = prepare(host_forge, "sleep 0.5")
    pid = await client.start(directory, SECRETS)
    assert os.getsid(pid) == pid
    ticks = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    assert (await finished(directory))[0]["started"] == ticks


async def test_jobs_ignore_no_signal_that_their_server_does(client: ZygoteClient, host_forge: Forge) -> None:
    """`nohup windlass up &` ignores these three."""
    ignored = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)
    before = [signal.signal(number, signal.SIG_IGN) for number in ignored]
    try:
        await client.warm()
    finally:
        for number, handler in zip(ignored, before, strict=True):
            signal.signal(number, handler)
    directory = prepare(host_forge, "grep SigIgn /proc/self/status")
    await client.start(directory, SECRETS)
    await finished(directory)
    log = (directory / "log" / "001.log").read_text()
    shown = int(log.partition("SigIgn:")[2].split()[0], 16)
    assert not shown & sum(1 << (number - 1) for number in ignored)


async def test_the_socket_is_for_its_user_only(client: ZygoteClient, tmp_path: Path) -> None:
    await client.warm()
    path = tmp_path / "run" / "zygote.sock"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


async def test_a_dead_fork_server_is_replaced_and_its_jobs_go_on(
    client: ZygoteClient, host_forge: Forge
) -> None:
    first = prepare(host_forge, "sleep 0.4")
    await client.start(first, SECRETS)
    assert client._child is not None
    dead = client._child.pid
    os.kill(dead, signal.SIGKILL)
    second = prepare(host_forge)
    await client.start(second, SECRETS)
    assert client._child.pid != dead
    assert (await finished(second))[-1]["conclusion"] == "success"
    assert (await finished(first))[-1]["conclusion"] == "success"


async def test_it_ends_with_its_server_and_jobs_go_on(client: ZygoteClient, host_forge: Forge) -> None:
    directory = prepare(host_forge, "sleep 0.4; echo still here")
    await client.start(directory, SECRETS)
    child = client._child
    assert child is not None
    assert child.stdin is not None
    child.stdin.close()
    assert child.wait(timeout=5) == 0
    assert (await finished(directory))[-1]["conclusion"] == "success"


async def test_without_secrets_a_job_leaves_no_trace(client: ZygoteClient, host_forge: Forge) -> None:
    """The server died before it had recorded the pid and written the secrets."""
    directory = prepare(host_forge)
    reading, writing = os.pipe()
    pid = await client.launch(directory, reading)
    os.close(reading)
    os.close(writing)
    with anyio.fail_after(10):
        while Path(f"/proc/{pid}").exists():
            await anyio.sleep(0.01)
    assert not (directory / "events.jsonl").exists()


async def test_what_is_no_job_is_refused(client: ZygoteClient, tmp_path: Path) -> None:
    with pytest.raises(ZygoteError, match="not a job's directory"):
        await client.start(tmp_path, SECRETS)


async def test_many_at_once(client: ZygoteClient, host_forge: Forge) -> None:
    directories = [prepare(host_forge) for _ in range(12)]
    async with anyio.create_task_group() as tasks:
        for directory in directories:
            tasks.start_soon(client.start, directory, SECRETS)
    for directory in directories:
        assert (await finished(directory))[-1]["conclusion"] == "success"


async def test_ended_jobs_leave_no_zombies(client: ZygoteClient, host_forge: Forge) -> None:
    directory = prepare(host_forge)
    pid = await client.start(directory, SECRETS)
    await finished(directory)
    with anyio.fail_after(5):
        while Path(f"/proc/{pid}").exists():
            await anyio.sleep(0.01)


async def test_the_secrets_are_not_in_the_fork_server(client: ZygoteClient, host_forge: Forge) -> None:
    directory = prepare(host_forge, "sleep 0.3")
    await client.start(directory, SECRETS)
    assert client._child is not None
    with (
        Path(f"/proc/{client._child.pid}/maps").open() as maps,
        Path(f"/proc/{client._child.pid}/mem").open("rb") as memory,
    ):
        for line in maps:
            if "[heap]" in line or line.split()[1].startswith("rw"):
                start, end = (int(part, 16) for part in line.split()[0].split("-"))
                if end - start < 64 << 20:
                    memory.seek(start)
                    try:
                        assert b"value-of-the-key" not in memory.read(end - start)
                    except OSError:
                        continue
    await finished(directory)


def test_the_server_is_nudged(host_forge: Forge) -> None:
    run = host_forge.data / "run"
    run.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        descriptor = os.open(run, os.O_RDONLY)
        listener.bind(f"/proc/self/fd/{descriptor}/jobs.sock")  # the path itself may be too long for a socket
        os.close(descriptor)
        ran = host_forge.script("true")
        assert listener.recv(100).decode() == ran.directory.name


def test_a_spec_that_is_none_is_no_silent_death(host_forge: Forge) -> None:
    ran = host_forge.start([{"run": "true", "timeout-minutes": "soon"}])
    assert ran.conclusion == "failure"
    assert "'soon' is not a number of minutes" in ran.wait()["reason"]
    assert json.loads((ran.directory / "spec.json").read_text())["id"] == ran.directory.name


def children(pid: int) -> list[int]:
    """The children of a process, those of its children not among them."""
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


async def spare_of(client: ZygoteClient) -> list[int]:
    """Wait until the fork server keeps a child ready; return its children."""
    assert client._child is not None
    with anyio.fail_after(20):
        while not (found := children(client._child.pid)):
            await anyio.sleep(0.01)
    return found


async def test_several_jobs_at_once(client: ZygoteClient, host_forge: Forge) -> None:
    directories = [prepare(host_forge, "sleep 0.2") for _ in range(6)]
    async with anyio.create_task_group() as tasks:
        for directory in directories:
            tasks.start_soon(client.start, directory, SECRETS)
    pids = {(await finished(directory))[0]["pid"] for directory in directories}
    assert len(pids) == 6


async def test_a_spare_that_is_killed_is_replaced(client: ZygoteClient, host_forge: Forge) -> None:
    await client.warm()
    for pid in await spare_of(client):
        os.kill(pid, signal.SIGKILL)
    directory = prepare(host_forge)
    await client.start(directory, SECRETS)
    assert (await finished(directory))[-1]["conclusion"] == "success"


@pytest.mark.integration
async def test_spare_and_helper_end_with_the_fork_server(client: ZygoteClient, sandboxed: Forge) -> None:
    directory = prepare(sandboxed)
    await client.start(directory, SECRETS)
    await finished(directory)
    with anyio.fail_after(20):  # after a job with a sandbox the next spare has a helper
        while not any(helpers := [children(pid) for pid in await spare_of(client)]):
            await anyio.sleep(0.01)
    left = {*await spare_of(client), *(pid for found in helpers for pid in found)}
    await client.close()
    with anyio.fail_after(20):
        while any(Path(f"/proc/{pid}").exists() and not zombie(pid) for pid in left):
            await anyio.sleep(0.01)


def zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


def test_a_spare_that_is_let_go_ends(tmp_path: Path) -> None:
    code = (
        "import os, socket, sys; from pathlib import Path; from windlass.runner.spare import Spare\n"
        "listener = socket.socket(socket.AF_UNIX); listener.bind(sys.argv[1]); listener.listen()\n"
        "spare = Spare(listener, Path(sys.argv[1]).parent); spare.replace(); print(os.waitpid(-1, 0)[1])"
    )
    argv = [sys.executable, "-c", code, str(tmp_path / "s")]
    ended = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True)
    assert ended.stdout.strip() == "0"
