"""The real HAProxy under load, switched between two sets of backends."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from windlass.kube.errors import NotFoundError
from windlass.kube.local.edge import Edge, EdgeSettings
from windlass.kube.local.edge import edge as edge_module
from windlass.kube.local.edge.runtime import parse_stat
from windlass.kube.local.objects import Objects

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from windlass.store import Store

pytestmark = pytest.mark.integration
HERE = Path(__file__).parent
SLICES = "endpointslices.discovery.k8s.io"


@dataclass
class Bench:
    objects: Objects
    edge: Edge
    group: Any
    places: dict[str, int] = field(default_factory=dict)
    processes: dict[str, asyncio.subprocess.Process] = field(default_factory=dict)
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)

    async def locate(self, namespace: str, pod: str, port: int) -> tuple[str, int]:
        if pod not in self.places:
            raise NotFoundError.of("pods", pod)
        return "127.0.0.1", self.places[pod]

    async def backend(self, pod: str) -> None:
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(HERE / "backend.py"), pod, stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        self.places[pod] = int(await process.stdout.readline())
        self.processes[pod] = process

    async def end(self, pod: str) -> None:
        process = self.processes.pop(pod)
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()
        del self.places[pod]

    async def serve(self, service: str, *pods: str) -> None:
        """Let these pods alone be the Service's ready endpoints."""
        endpoints = [
            {
                "addresses": ["10.0.0.1"],
                "conditions": {"ready": True},
                "targetRef": {"kind": "Pod", "name": pod, "namespace": "default"},
            }
            for pod in pods
        ]
        found = await self.objects.list(SLICES, "default", labels=f"kubernetes.io/service-name={service}")
        if found.items:
            await self.objects.modify(
                SLICES, "default", f"{service}-x", lambda obj: {**obj, "endpoints": endpoints}
            )
            return
        labels = {"kubernetes.io/service-name": service}
        meta = {"name": f"{service}-x", "namespace": "default", "labels": labels}
        ports = [{"name": "http", "port": 8080, "protocol": "TCP"}]
        body = {"metadata": meta, "addressType": "IPv4", "endpoints": endpoints, "ports": ports}
        await self.objects.create(SLICES, body)

    async def service(self, name: str, **annotations: str) -> None:
        ports = [{"name": "http", "port": 80, "targetPort": 8080}]
        meta = {"name": name, "namespace": "default", "annotations": annotations}
        await self.objects.create(
            "services", {"metadata": meta, "spec": {"selector": {"app": name}, "ports": ports}}
        )

    async def port(self, name: str) -> int:
        while True:
            meta = (await self.objects.get("services", "default", name))["metadata"]
            address = meta.get("annotations", {}).get("windlass.dev/address", "")
            if address:
                return int(address.rpartition(":")[2])
            await asyncio.sleep(0.01)

    async def serving(self, backend: str) -> set[str]:
        running = await self.edge.haproxy.runtime.servers()
        here = [s for s in running if s.backend == backend and not s.draining and not s.stopped]
        return {server.name.partition("_")[0] for server in here}

    async def until_serving(self, backend: str, *pods: str) -> None:
        with anyio.fail_after(15):
            while True:
                with contextlib.suppress(Exception):
                    if await self.serving(backend) == set(pods):
                        return
                await asyncio.sleep(0.002)

    async def until_asked(self, pod: str, requests: int) -> None:
        """Wait until a pod was asked so many times."""
        with anyio.fail_after(30):
            while True:
                rows = parse_stat(await self.edge.haproxy.runtime.ask("show stat -1 4 -1"))
                if any(r["svname"].startswith(f"{pod}_") and int(r["stot"] or 0) >= requests for r in rows):
                    return
                await asyncio.sleep(0.02)

    def start(self) -> None:
        self.scope = anyio.CancelScope()

        async def run(scope: anyio.CancelScope) -> None:
            with scope:
                await self.edge.run()

        self.group.start_soon(run, self.scope)


def settings_in(directory: Path, free: Callable[[int], range]) -> EdgeSettings:
    ports = free(8)
    return EdgeSettings(directory=directory, ports=ports[:-1], ingress_port=ports[-1])


@pytest.fixture
async def bench(store: Store, tmp_path: Path, free_ports: Callable[[int], range]) -> AsyncIterator[Bench]:
    if shutil.which("haproxy") is None:
        pytest.skip("haproxy is not installed")
    objects = Objects(store)
    await objects.load()
    async with anyio.create_task_group() as group:
        made = Bench(objects, None, group)  # type: ignore[arg-type]
        made.edge = Edge(objects, made.locate, settings_in(tmp_path / "edge", free_ports))
        made.start()
        try:
            yield made
        finally:
            group.cancel_scope.cancel()
            with anyio.CancelScope(shield=True):
                await made.edge.haproxy.stop()
                for pod in list(made.processes):
                    await made.end(pod)


async def load(port: int, rate: int, *path: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        str(HERE / "load.py"),
        str(port),
        str(rate),
        *path,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )


async def result(process: asyncio.subprocess.Process) -> dict[str, Any]:
    """Let the load end and say what it saw."""
    await asyncio.sleep(0.5)
    out, _ = await process.communicate(b"")
    found: dict[str, Any] = json.loads(out)
    sys.stdout.write(f"{found}\n")
    return found


async def ready(bench: Bench, *pods: str, **annotations: str) -> int:
    for pod in pods:
        await bench.backend(pod)
    await bench.service("web", **annotations)
    await bench.serve("web", *pods)
    port = await bench.port("web")
    await bench.until_serving("default_web_80", *pods)
    return port


async def test_switches_under_load_lose_nothing(bench: Bench) -> None:
    port = await ready(bench, "a0", "b0")
    generator = await load(port, 800)
    await asyncio.sleep(0.5)
    took = []
    for turn in range(1, 6):
        old, new = (f"a{turn - 1}", f"b{turn - 1}"), (f"a{turn}", f"b{turn}")
        for pod in new:
            await bench.backend(pod)
        began = time.monotonic()
        await bench.serve("web", *new)
        await bench.until_serving("default_web_80", *new)
        took.append(time.monotonic() - began)
        for pod in old:
            await bench.edge.drained("default", pod)
            await bench.end(pod)
        await asyncio.sleep(0.5)  # the faster the switches, the fewer requests there are
    found = await result(generator)
    sys.stdout.write(f"switch ms {[round(seconds * 1000, 1) for seconds in took]}\n")
    assert found["failed"] == 0, found["failures"]
    assert found["total"] >= 5 * 500
    assert set(found["answers"]) == {f"{side}{turn}" for side in "ab" for turn in range(6)}
    assert found["slowest"] < 2


async def test_a_server_from_the_socket_keeps_its_connections_between_requests(bench: Bench) -> None:
    port = await ready(bench, "a")
    await bench.backend("b")  # the file knows "a" only
    await bench.serve("web", "b")
    await bench.until_serving("default_web_80", "b")
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(20):
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        assert await reader.readexactly(1) == b"b"
    writer.close()
    rows = parse_stat(await bench.edge.haproxy.runtime.ask("show stat -1 4 -1"))
    (row,) = [row for row in rows if row["svname"].startswith("b_")]
    assert int(row["reuse"]) >= 15, row


async def test_a_reload_under_load_loses_nothing_and_keeps_the_servers(bench: Bench) -> None:
    port = await ready(bench, "a", "b")
    generator = await load(port, 800)
    await asyncio.sleep(0.5)
    for number in range(3):
        await bench.service(f"other-{number}")
        await bench.port(f"other-{number}")
        await asyncio.sleep(0.7)
    assert await bench.serving("default_web_80") == {"a", "b"}
    found = await result(generator)
    assert found["failed"] == 0, found["failures"]


async def test_what_comes_together_is_one_reload(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge_module, "SETTLE_LONGEST", 30.0)  # on a slow machine too
    reloads = []
    reload = bench.edge.haproxy.reload

    async def counted(wanted: str) -> None:
        reloads.append(wanted)
        await reload(wanted)

    bench.edge.haproxy.reload = counted  # type: ignore[method-assign]
    making = False
    bench.edge._unsettled = lambda: making
    with anyio.fail_after(15):
        while bench.edge.haproxy.pid() is None:
            await asyncio.sleep(0.01)
    making, before = True, len(reloads)
    for name in ("one", "two", "three"):
        await bench.service(name)
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.15)
    bench.edge._gateways = lambda: {"default": "127.77.0.1"}
    making = False
    bench.edge.wake()
    with anyio.fail_after(15):
        while len(reloads) == before or "127.77.0.1" not in bench.edge.haproxy.config.read_text():
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.3)
    assert len(reloads) == before + 1


async def test_haproxy_outlives_the_edge_and_is_adopted(bench: Bench) -> None:
    port = await ready(bench, "a")
    pid = bench.edge.haproxy.pid()
    generator = await load(port, 300)
    bench.scope.cancel()
    await asyncio.sleep(0.3)
    bench.edge = Edge(bench.objects, bench.locate, bench.edge._settings)
    bench.start()
    await bench.backend("b")
    await bench.serve("web", "b")
    await bench.until_serving("default_web_80", "b")
    assert bench.edge.haproxy.pid() == pid
    found = await result(generator)
    assert found["failed"] == 0, found["failures"]
    assert await bench.port("web") == port


async def test_a_killed_haproxy_is_back_with_its_servers(bench: Bench) -> None:
    port = await ready(bench, "a", "b")
    pid = bench.edge.haproxy.pid()
    assert pid is not None
    began = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    with anyio.fail_after(10):
        while bench.edge.haproxy.pid() in {pid, None}:
            await asyncio.sleep(0.01)
    await bench.until_serving("default_web_80", "a", "b")
    sys.stdout.write(f"back after {time.monotonic() - began:.3f} s\n")
    generator = await load(port, 200)
    found = await result(generator)
    assert found["failed"] == 0
    assert set(found["answers"]) == {"a", "b"}


async def test_a_crash_of_one_pod_under_load_loses_nothing(bench: Bench) -> None:
    port = await ready(bench, "a", "b")
    generator = await load(port, 400, "/slow")  # some twenty are in the pods' hands at any time
    await bench.until_asked("a", 100)
    bench.processes["a"].kill()
    await asyncio.sleep(0.7)  # for which nobody tells the edge
    await bench.serve("web", "b")
    await bench.until_serving("default_web_80", "b")
    found = await result(generator)
    assert found["failed"] == 0, found["failures"]
    assert found["answers"].keys() == {"a", "b"}


@pytest.mark.parametrize(("annotations", "dead"), [({}, 2), ({"windlass.dev/replay": "never"}, 1)])
async def test_a_request_that_kills_its_pod_does_not_kill_them_all(
    bench: Bench, annotations: dict[str, str], dead: int
) -> None:
    port = await ready(bench, "a", "b", "c", "d", **annotations)
    status, _, body = await get(port, "/poison")
    assert (status, body) == (502, b"windlass: a pod of Service default/web broke off its answer\n")
    await asyncio.sleep(0.3)
    gone = [pod for pod, process in bench.processes.items() if process.returncode is not None]
    assert len(gone) == dead
    alive = [pod for pod in bench.processes if pod not in gone]
    await bench.serve("web", *alive)
    await bench.until_serving("default_web_80", *alive)
    assert [(await get(port))[0] for _ in range(8)] == [200] * 8


async def get(port: int, path: str = "/", **headers: str) -> tuple[int, dict[str, str], bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    lines = [
        f"GET {path} HTTP/1.1",
        "Connection: close",
        *(f"{k.replace('_', '-')}: {v}" for k, v in headers.items()),
    ]
    lines += [] if "Host" in headers else ["Host: x"]
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
    answer = await reader.read(-1)
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *rest = head.decode().split("\r\n")
    return int(first.split()[1]), {k.lower(): v.strip() for k, _, v in (h.partition(":") for h in rest)}, body


async def test_only_who_knows_the_secret_is_told_the_pod(bench: Bench) -> None:
    port = await ready(bench, "web-abc-1")
    _, plain, _ = await get(port)
    assert "x-windlass-pod" not in plain  # what the pod forges is taken away
    _, wrong, _ = await get(port, X_Windlass_Trace="guess")
    assert "x-windlass-pod" not in wrong
    _, traced, body = await get(port, X_Windlass_Trace=bench.edge.trace_secret)
    assert traced["x-windlass-pod"] == "web-abc-1"
    assert b"leaked" not in body
    key = bench.edge.haproxy.directory / "trace.key"
    assert key.stat().st_mode & 0o777 == 0o600
    assert bench.edge.haproxy.config.stat().st_mode & 0o777 == 0o600


async def test_without_a_ready_pod_the_answer_says_so(bench: Bench) -> None:
    await bench.service("web")
    port = await bench.port("web")
    with anyio.fail_after(5):
        while True:
            with contextlib.suppress(OSError, IndexError):
                status, headers, body = await get(port)
                break
            await asyncio.sleep(0.02)
    assert status == 503
    assert body == b"windlass: no ready pod of Service default/web\n"
    assert headers["retry-after"] == "1"


async def test_a_stream_outlives_the_drain_of_its_pod(bench: Bench) -> None:
    port = await ready(bench, "a")
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n")
    first = await reader.readuntil(b"data: a 0")
    assert first
    await bench.backend("b")
    await bench.serve("web", "b")
    await bench.until_serving("default_web_80", "b")
    drained = asyncio.create_task(bench.edge.drained("default", "a"))
    await asyncio.sleep(0.5)
    assert not drained.done()  # the stream holds it
    assert await reader.readuntil(b"data: a 59")
    writer.close()
    with anyio.fail_after(5):
        await drained
    assert bench.edge.haproxy.pid() is not None


async def test_ingress_routes_by_host_and_path(bench: Bench) -> None:
    await ready(bench, "a")
    await bench.backend("b")
    await bench.service("api")
    await bench.serve("api", "b")
    target = {"service": {"name": "web", "port": {"number": 80}}}
    api = {"service": {"name": "api", "port": {"name": "http"}}}
    rules = [
        {
            "host": "shop.example",
            "http": {
                "paths": [
                    {"path": "/", "pathType": "Prefix", "backend": target},
                    {"path": "/api", "pathType": "Prefix", "backend": api},
                ]
            },
        },
        {
            "host": "evil.example",
            "http": {"paths": [{"path": "/x\n  bind *:1", "pathType": "Prefix", "backend": api}]},
        },
    ]
    body = {"metadata": {"name": "shop", "namespace": "default"}, "spec": {"rules": rules}}
    with contextlib.suppress(Exception):
        await bench.objects.create("ingresses.networking.k8s.io", body)
    rules.pop()
    with contextlib.suppress(Exception):
        await bench.objects.create("ingresses.networking.k8s.io", body)
    await bench.until_serving("default_api_80", "b")
    port = bench.edge._settings.ingress_port
    with anyio.fail_after(5):
        while (await get(port, Host="shop.example"))[0] != 200:
            await asyncio.sleep(0.02)
    assert (await get(port, "/api/v1", Host="shop.example"))[2] == b"b"
    assert (await get(port, "/apiary", Host="shop.example"))[2] == b"a"
    assert (await get(port, Host="other.example"))[0] == 404
    found = await bench.objects.get("ingresses.networking.k8s.io", "default", "shop")
    place = {"ip": "127.0.0.1", "ports": [{"port": port, "protocol": "TCP"}]}
    assert found["status"] == {"loadBalancer": {"ingress": [place]}}


async def test_an_address_that_another_program_holds_does_not_stop_the_others(bench: Bench) -> None:
    port = await ready(bench, "a")
    with socket.socket() as squatter:
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # beside HAProxy, which is to go now
        squatter.bind(("127.0.0.1", port))
        squatter.listen()
        bench.edge.haproxy.write("")
        await bench.edge.haproxy.stop()
        await bench.service("other")
        other = await bench.port("other")
        assert other != port
        with anyio.fail_after(10):
            while True:
                with contextlib.suppress(OSError, IndexError):
                    assert (await get(other))[0] == 503
                    break
                await asyncio.sleep(0.02)
    bench.edge.wake()
    await bench.until_serving("default_web_80", "a")
    with anyio.fail_after(10):
        while True:
            with contextlib.suppress(OSError, IndexError):
                assert (await get(port))[2] == b"a"
                break
            await asyncio.sleep(0.02)
    assert await bench.port("web") == port
