"""A whole embedded cluster for tests: real objects, controllers, node and HAProxy; the engine scripted or podman."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import shutil
import sys
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
import pytest

from ports import free_block
from windlass.engine.choose import podman
from windlass.engine.fake import Answer, Behaviour, FakeEngine, Output, Script
from windlass.kube.errors import KubeError
from windlass.kube.local.cluster import ClusterSettings, LocalCluster
from windlass.kube.local.edge import EdgeError
from windlass.kube.local.node.names import removal_order
from windlass.kube.local.objects import Objects

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from windlass.engine import Engine
    from windlass.store import Store

Object = dict[str, Any]
TRAFFIC = "windlass.dev/traffic"
T = TypeVar("T")


def deployment(name: str, image: str, *, replicas: int = 2, port: int = 8080, **spec: Any) -> Object:
    container: Object = {
        "name": "app",
        "image": image,
        "ports": [{"containerPort": port}],
        "readinessProbe": {"httpGet": {"path": "/health", "port": port}, "periodSeconds": 1},
        **spec.pop("container", {}),
    }
    pod = {"containers": [container], **spec.pop("pod", {})}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": pod},
            **spec,
        },
    }


def service(name: str, *, port: int = 80, target: int | str = 8080, namespace: str = "default") -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"selector": {"app": name}, "ports": [{"name": "http", "port": port, "targetPort": target}]},
    }


async def until(look: Callable[[], Awaitable[T | None]], what: str, limit: float = 15.0) -> T:
    """Wait until `look` returns something true."""
    deadline = time.monotonic() + limit
    while True:
        found = await look()
        if found:
            return found
        assert time.monotonic() < deadline, f"never: {what}"
        await asyncio.sleep(0.01)


PROGRAM = """
import http.server, os, pathlib, signal, socket, sys, threading, time
def end(*_):
    print("ending", flush=True)
    os._exit(0)
signal.signal(signal.SIGTERM, end)
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        status, body = 200, os.environ.get("SAYS", "hello")
        if self.path == "/health" and os.environ.get("BREAK"):
            status, body = 500, "no database"
        elif self.path.startswith("/file"):
            body = pathlib.Path(self.path[5:]).read_text()
        elif self.path.startswith("/env/"):
            body = os.environ.get(self.path[5:], "")
        elif self.path.startswith("/fetch/"):
            import urllib.request
            body = urllib.request.urlopen("http://" + self.path[7:], timeout=5).read().decode()
        elif self.path == "/id":
            body = f"{os.getuid()} {socket.gethostname()}"
        elif self.path == "/crash":
            os._exit(7)
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())
    def log_message(self, form, *args): pass
print("listening", flush=True)
http.server.ThreadingHTTPServer(("0.0.0.0", int(os.environ.get("PORT", "8080"))), Handler).serve_forever()
"""


@dataclass
class World:
    """A running cluster and what tests ask of it."""

    objects: Objects
    cluster: LocalCluster
    engine: Engine
    directory: Path
    deployment = staticmethod(deployment)
    service = staticmethod(service)
    until = staticmethod(until)
    program = PROGRAM
    image: str = "test/app:1"
    group: Any = None
    scope: anyio.CancelScope | None = None
    done: asyncio.Event = field(default_factory=asyncio.Event)

    async def start(self) -> None:
        self.done = asyncio.Event()
        self.scope = anyio.CancelScope()

        async def run() -> None:
            assert self.scope is not None
            with self.scope:
                await self.cluster.run()
            self.done.set()

        self.group.start_soon(run)

    async def stop(self) -> None:
        """End the server's part; containers and HAProxy go on."""
        assert self.scope is not None
        self.scope.cancel()
        await self.done.wait()

    async def restart_from_stopped(self) -> None:
        self.cluster = LocalCluster(self.objects, self.engine, self.cluster.settings)
        await self.start()

    async def get(self, resource: str, name: str) -> Object:
        return await self.objects.get(resource, "default", name)

    async def pods(self, **labels: str) -> list[Object]:
        selector = ",".join(f"{key}={value}" for key, value in labels.items()) or None
        return (await self.objects.list("pods", "default", labels=selector)).items

    async def sets(self) -> list[Object]:
        items = (await self.objects.list("replicasets.apps", "default")).items
        return sorted(
            items, key=lambda rs: int(rs["metadata"]["annotations"]["deployment.kubernetes.io/revision"])
        )

    async def available(self, name: str, count: int, limit: float = 15.0) -> Object:
        async def look() -> Object | None:
            found = await self.get("deployments.apps", name)
            status = found.get("status", {})
            fresh = status.get("observedGeneration", 0) >= found["metadata"]["generation"]
            whole = all(
                status.get(key, 0) == count for key in ("availableReplicas", "updatedReplicas", "replicas")
            )
            return found if fresh and whole else None

        return await until(look, f"{name} has {count} available, updated pods and no others", limit)

    async def address(self, name: str) -> tuple[str, int]:
        async def look() -> str | None:
            found = (await self.get("services", name))["metadata"].get("annotations", {})
            return str(found.get("windlass.dev/address", ""))

        host, _, port = (await until(look, "the Service has an address")).partition("://")[2].rpartition(":")
        return host, int(port)

    async def serving(self, backend: str, count: int) -> bool:
        """Whether the edge has so many servers behind a backend."""
        with contextlib.suppress(EdgeError):
            running = await self.cluster.edge.haproxy.runtime.servers()
            return (
                len([s for s in running if s.backend == backend and not s.draining and not s.stopped])
                == count
            )
        return False

    async def events(self, reason: str) -> list[Object]:
        return [item for item in (await self.objects.list("events")).items if item["reason"] == reason]

    async def merge(self, resource: str, name: str, patch: Object, subresource: str | None = None) -> Object:
        return await self.objects.patch(resource, "default", name, patch, "merge", subresource=subresource)

    async def gate(self, pod: Object, *, open_: bool) -> None:
        """Flip the traffic condition as the delivery controller does."""
        condition = {"type": TRAFFIC, "status": "True" if open_ else "False"}
        patch = {"status": {"conditions": [condition]}}
        await self.objects.patch(
            "pods", "default", pod["metadata"]["name"], patch, "strategic", subresource="status"
        )


SCRIPT = Script(
    {
        "test/app:1": (Behaviour(outputs=(Output("one"),), answers=(Answer(body="one\n"),), stop_code=0),),
        "test/app:2": (Behaviour(outputs=(Output("two"),), answers=(Answer(body="two\n"),), stop_code=0),),
        "test/sick:1": (Behaviour(answers=(Answer(status=500, body="no database\n"),), stop_code=0),),
        "test/crash:1": (Behaviour(outputs=(Output("boom"),), exit_after=0.02, exit_code=3),),
        "test/slow-stop:1": (Behaviour(stop_after=0.3, stop_code=0),),
        "test/done:1": (Behaviour(outputs=(Output("did it"),), exit_after=0.05),),
    }
)


@pytest.fixture(name="free_ports")
def _free_ports() -> Callable[[int], range]:
    return free_block


def _engine_bench() -> Any:
    """The engine tests' bench knows how to make an image of this machine's Python."""
    file = Path(__file__).parent.parent / "engine" / "conftest.py"
    spec = importlib.util.spec_from_file_location("engine_bench", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["engine_bench"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
async def podman_world(store: Store, tmp_path: Path) -> AsyncIterator[World]:
    """A cluster over podman, with `PROGRAM` to run in an image of this machine's Python."""
    if shutil.which("podman") is None:
        pytest.skip("podman is not installed")
    bench, engine = _engine_bench(), podman()
    if await engine.image(bench.BASE) is None:
        tar = tmp_path / "rootfs.tar"
        await anyio.to_thread.run_sync(bench._pack_python, tar)
        await engine.import_image(tar, bench.BASE)
    async for made in _world(store, tmp_path, engine):
        made.image = bench.BASE
        yield made


async def _world(store: Store, tmp_path: Path, engine: Engine) -> AsyncIterator[World]:
    if shutil.which("haproxy") is None:
        pytest.skip("haproxy is not installed")
    objects = Objects(store)
    await objects.load()
    ports = free_block(12)
    settings = ClusterSettings(
        directory=tmp_path / "data",
        instance=f"t{uuid.uuid4().hex[:8]}",
        service_ports=ports[:-1],
        ingress_port=ports[-1],
    )
    world = World(objects, LocalCluster(objects, engine, settings), engine, tmp_path / "data")
    try:
        async with anyio.create_task_group() as group:
            world.group = group
            await world.start()
            yield world
            await world.stop()
            group.cancel_scope.cancel()
    finally:
        with anyio.CancelScope(shield=True):
            await world.cluster.edge.haproxy.stop()
            for container in removal_order(await engine.list({"windlass.dev/instance": settings.instance})):
                await engine.remove(container.id)
            with contextlib.suppress(KubeError):
                await engine.network_remove(f"windlass-{settings.instance}-default")
            await engine.aclose()


@pytest.fixture
async def world(store: Store, tmp_path: Path) -> AsyncIterator[World]:
    """A cluster over the scripted engine."""
    async for made in _world(store, tmp_path, FakeEngine(SCRIPT)):
        yield made
