"""The managed edge against HAProxy with a file by hand, both in front of one static server."""

from __future__ import annotations

import socket
import subprocess
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread

from bench.load import Load, Loader
from bench.programs import compiled
from bench.rows import Row, row
from bench.world import BenchError, free_block, need
from windlass.kube.local.edge import Edge, EdgeSettings
from windlass.kube.local.objects import Objects
from windlass.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

CONNECTIONS = 32
LIMIT = 20.0
SERVICE, POD, POD_PORT = "bench", "bench-1", 8080
BY_HAND = """\
defaults
    mode http
    timeout connect 2s
    timeout client 1m
    timeout server 1m

frontend bench
    bind 127.0.0.1:{port}
    default_backend bench

backend bench
    balance roundrobin
    server one 127.0.0.1:{backend}
"""


@dataclass(frozen=True, slots=True)
class Rounds:
    """How often, and for how many seconds each time."""

    count: int = 12
    seconds: float = 1.0


@dataclass
class Series:
    """What the rounds of load saw."""

    edge: list[Load] = field(default_factory=list)
    by_hand: list[Load] = field(default_factory=list)
    direct: list[Load] = field(default_factory=list)


def measure(directory: Path, rounds: Rounds) -> Iterator[Row]:
    """Load direct, by hand and the edge in turn, in an order that turns about."""
    need("haproxy")
    directory.mkdir(parents=True)
    loader = Loader(directory, CONNECTIONS)
    with ExitStack() as stack:
        backend = stack.enter_context(_static_server(compiled("static_server", directory)))
        first = free_block()
        stack.enter_context(_by_hand(directory, first, backend))
        series = anyio.run(_load, directory, loader, rounds, first, backend)
    yield from _rows(series, loader.name)


async def _load(directory: Path, loader: Loader, rounds: Rounds, port: int, backend: int) -> Series:
    series = Series()
    store = Store(directory / "windlass.db")
    objects = Objects(store)
    await objects.load()

    async def locate(_namespace: str, _pod: str, _port: int) -> tuple[str, int]:
        return "127.0.0.1", backend

    ports = range(port + 10, port + 100)
    edge = Edge(objects, locate, EdgeSettings(directory / "haproxy", ports=ports, ingress_port=port + 2))
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(edge.run)
            await _declare(objects)
            targets = [
                (series.direct, backend),
                (series.by_hand, port),
                (series.edge, await _address(objects)),
            ]
            await anyio.to_thread.run_sync(_until_answered, [target for _, target in targets])
            for number in range(rounds.count):
                for into, target in targets if number % 2 == 0 else reversed(targets):
                    into.append(await anyio.to_thread.run_sync(loader.run, target, rounds.seconds))
            tasks.cancel_scope.cancel()
    finally:
        with anyio.CancelScope(shield=True):
            await edge.haproxy.stop()
            store.close()
    return series


async def _declare(objects: Objects) -> None:
    """Say what controllers and node would: a Service, and a pod behind it that is ready."""
    meta = {"name": SERVICE, "namespace": "default"}
    ports: list[dict[str, Any]] = [{"name": "http", "port": 80, "targetPort": POD_PORT}]
    await objects.create(
        "services", {"metadata": meta, "spec": {"selector": {"app": SERVICE}, "ports": ports}}
    )
    labels = {"kubernetes.io/service-name": SERVICE}
    endpoint = {
        "addresses": ["10.0.0.1"],
        "conditions": {"ready": True},
        "targetRef": {"kind": "Pod", "name": POD, "namespace": "default"},
    }
    body = {
        "metadata": {**meta, "labels": labels},
        "addressType": "IPv4",
        "endpoints": [endpoint],
        "ports": [{"name": "http", "port": POD_PORT, "protocol": "TCP"}],
    }
    await objects.create("endpointslices.discovery.k8s.io", body)


async def _address(objects: Objects) -> int:
    with anyio.fail_after(LIMIT):
        while True:
            meta = (await objects.get("services", "default", SERVICE))["metadata"]
            if address := (meta.get("annotations") or {}).get("windlass.dev/address", ""):
                return int(address.rpartition(":")[2])
            await anyio.sleep(0.01)


def _until_answered(ports: Sequence[int]) -> None:
    """Wait until all answer 200."""
    deadline = time.monotonic() + LIMIT
    for port in ports:
        while not _answers(port):
            if time.monotonic() > deadline:
                raise BenchError(f"nothing answers 200 on 127.0.0.1:{port} after {LIMIT:g} s")
            time.sleep(0.02)


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: bench\r\n\r\n")
            return client.recv(64).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


@contextmanager
def _static_server(program: Path) -> Iterator[int]:
    with _running([str(program)], stdout=subprocess.PIPE) as process:
        line = process.stdout.readline() if process.stdout else b""
        if not line.strip().isdigit():
            raise BenchError("the static server did not tell its port")
        yield int(line)


@contextmanager
def _by_hand(directory: Path, port: int, backend: int) -> Iterator[None]:
    file = directory / "by-hand.cfg"
    file.write_text(BY_HAND.format(port=port, backend=backend), encoding="utf-8")
    with _running(["haproxy", "-W", "-db", "-f", str(file)], stderr=subprocess.DEVNULL):
        yield


@contextmanager
def _running(
    argv: list[str], *, stdout: int | None = None, stderr: int | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    # A session of its own, as the edge has: on a busy machine the kernel shares out time among sessions.
    process = subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, start_new_session=True
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout:
            process.stdout.close()


def _rows(series: Series, load: str) -> Iterator[Row]:
    hand = "HAProxy with a hand-written file (one frontend, one backend), the same load in turn"
    direct = "the static C server without a proxy, the same load in turn"
    what = f"the managed HAProxy as `windlass up` configures it, in front of a static C server; load: {load}"
    for name, reference, described in (
        ("edge", series.by_hand, hand),
        ("edge, against no proxy at all", series.direct, direct),
    ):
        yield row(
            f"{name}: throughput",
            "requests/s",
            [round_.rate for round_ in series.edge],
            [round_.rate for round_ in reference],
            reference_is=described,
            includes=what,
            better="more",
        )
        yield row(
            f"{name}: p99",
            "ms",
            [round_.p99 for round_ in series.edge],
            [round_.p99 for round_ in reference],
            reference_is=described,
            includes=f"{what}; 99 % of the answers are faster",
        )
