"""Ending everything of a data directory that outlives its server: jobs, pods, networks, the edge."""

from __future__ import annotations

import json
import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

from windlass.engine.choose import choose_engine
from windlass.kube.local.edge.haproxy import Haproxy
from windlass.kube.local.node.names import INSTANCE

if TYPE_CHECKING:
    from windlass.engine.port import Engine
    from windlass.server.datadir import DataDirectory

STOP_SECONDS = 15.0
REMOVERS = 4


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    with suppress(OSError):
        return (
            " Z "
            not in Path(f"/proc/{pid}/stat")
            .read_text(encoding="utf-8", errors="replace")
            .rpartition(")")[2][:4]
        )
    return True


def running_server(directory: DataDirectory) -> int | None:
    """Return the pid of the server that has the directory, if one has."""
    import fcntl

    try:
        with (directory.root / "run" / "lock").open("r+", encoding="ascii") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return int(file.read().strip() or 0) or None
    except (OSError, ValueError):
        return None
    return None


def stop_server(directory: DataDirectory) -> bool:
    """Stop the server of the directory, if one runs; True when there was one."""
    pid = running_server(directory)
    if pid is None:
        return False
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while _alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    if _alive(pid):
        os.kill(pid, signal.SIGKILL)
    return True


def stop_jobs(directory: DataDirectory) -> int:
    """Kill the job processes that a server left running; returns how many.

    A process counts as a job's only if it started at the very moment that the job noted.
    """
    stopped = 0
    for events in directory.folder("jobs").glob("*/events.jsonl"):
        with suppress(OSError, ValueError, KeyError, IndexError), events.open(encoding="utf-8") as file:
            first = json.loads(file.readline())
            pid = int(first["pid"])
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
            if int(stat.rpartition(")")[2].split()[19]) == int(first["started"]):
                os.killpg(pid, signal.SIGKILL)
                stopped += 1
    return stopped


async def _remove_pods(engine: Engine, instance: str) -> int:
    containers = await engine.list({INSTANCE: instance})
    limit = anyio.CapacityLimiter(REMOVERS)

    async def remove(container: str) -> None:
        async with limit:
            await engine.remove(container)

    async with anyio.create_task_group() as tasks:
        for container in containers:
            tasks.start_soon(remove, container.id)
    for network in await engine.networks({INSTANCE: instance}):
        await engine.network_remove(network.name)
    return len(containers)


async def end_everything(directory: DataDirectory, engine_name: str = "auto") -> dict[str, int]:
    """Stop the server and all that outlives it; says how many of each were ended. Data stays."""
    ended = {
        "servers": int(stop_server(directory)),
        "jobs": stop_jobs(directory),
        "containers": 0,
        "edges": int(await Haproxy(directory.folder("edge")).stop()),
    }
    instance = directory.folder("keys") / "instance"
    with suppress(FileNotFoundError):
        mark = instance.read_text(encoding="ascii").strip()
        engine = await choose_engine(engine_name)
        try:
            ended["containers"] = await _remove_pods(engine, mark)
        finally:
            await engine.aclose()
    with suppress(FileNotFoundError):
        directory.contact.unlink()
    return ended
