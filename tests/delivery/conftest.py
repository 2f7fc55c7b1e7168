"""Deliveries over the real embedded API, controllers, git and store; only the node and the edge are scripted."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import shutil
import socket
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from windlass.delivery import Delivery, Settings
from windlass.delivery.book import Book
from windlass.delivery.verify import Answer, HTTPProber
from windlass.engine.fake import Answer as Answered
from windlass.engine.fake import Behaviour as Image
from windlass.engine.fake import FakeEngine, Output, Script
from windlass.identity import FixedAuthenticator, Principal
from windlass.kube import Kube, NotFoundError, UnavailableError
from windlass.kube.local.api.app import KubernetesAPI
from windlass.kube.local.certificates import ensure_certificates
from windlass.kube.local.cluster import ClusterSettings, LocalCluster
from windlass.kube.local.controllers import Controllers
from windlass.kube.local.gc import GarbageCollector
from windlass.kube.local.kubeconfig import kubeconfig_yaml
from windlass.kube.local.objects import Objects
from windlass.kube.local.serving import serve_tls
from windlass.registry import ImageNotFoundError
from windlass.repos import Git, GitWriter, Identity, Repositories

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
    from pathlib import Path

    from windlass.delivery.records import Delivery as Record
    from windlass.store import Store

Object = dict[str, Any]
ANNA = Identity("Anna", "anna@example.org")
REPO = "acme/gitops-repo"
IMAGE = "ghcr.io/acme/web"
TRAFFIC = "windlass.dev/traffic"


def digest(tag: str) -> str:
    return "sha256:" + hashlib.sha256(tag.encode()).hexdigest()


@dataclass
class Behaviour:
    """How a container behaves, by its environment variable MODE (or its image's tag)."""

    health: int = 200
    tasks: int = 200
    delay: float = 0.02
    crash: bool = False
    unpullable: bool = False
    thinks: float = 0.0


MODES: dict[str, Behaviour] = {
    "": Behaviour(),
    "sick": Behaviour(health=500),
    "faulty": Behaviour(tasks=500),
    "slowly-faulty": Behaviour(tasks=500, thinks=0.7),
    "crash": Behaviour(crash=True),
    "nothing": Behaviour(delay=3600),
    "unpullable": Behaviour(unpullable=True),
    "slow": Behaviour(delay=0.4),
}


def _mode(container: Object) -> str:
    return next((str(e.get("value", "")) for e in container.get("env") or [] if e["name"] == "MODE"), "")


@dataclass
class Node:
    """Starts every pod after its behaviour's delay, answers for it, and computes its readiness as a kubelet does."""

    objects: Objects
    ready: dict[str, bool] = field(default_factory=dict)
    servers: dict[str, tuple[asyncio.Server, int]] = field(default_factory=dict)
    group: Any = None
    hidden: bool = False
    without_registry: bool = False

    def behaviour(self, pod: Object) -> Behaviour:
        container = pod["spec"]["containers"][0]
        return MODES[_mode(container)]

    async def run(self) -> None:
        async with anyio.create_task_group() as group:
            self.group = group
            async with self.objects.watch("pods") as events:
                for pod in (await self.objects.list("pods")).items:
                    group.start_soon(self.start, pod)
                async for event in events:
                    meta = event.object["metadata"]
                    if event.type == "ADDED":
                        group.start_soon(self.start, event.object)
                    elif event.type == "DELETED":
                        await self.end(meta["uid"])
                    elif meta.get("deletionTimestamp"):
                        with contextlib.suppress(Exception):
                            await self.objects.delete("pods", meta["namespace"], meta["name"], grace=0)
                    else:
                        await self.update(event.object)

    async def end(self, uid: str) -> None:
        if (found := self.servers.pop(uid, None)) is not None:
            found[0].close()

    async def start(self, pod: Object) -> None:
        meta, behaviour = pod["metadata"], self.behaviour(pod)
        if meta["uid"] in self.servers:
            return
        if behaviour.unpullable or self.without_registry:
            pulling = {"reason": "ImagePullBackOff", "message": "not found"}
            await self.status(pod, ready=False, state={"waiting": pulling})
            return
        if behaviour.crash:
            for count in range(3):
                last = {"terminated": {"exitCode": 3}} if count else {}
                waiting = {"waiting": {"reason": "CrashLoopBackOff"}}
                await self.status(pod, ready=False, state=waiting, restarts=count, last=last)
                await anyio.sleep(0.03)
            return
        server = await asyncio.start_server(lambda r, w: self.serve(behaviour, r, w), "127.0.0.1", 0)
        self.servers[meta["uid"]] = (server, server.sockets[0].getsockname()[1])
        await self.status(pod, ready=False, state={"running": {}})
        await anyio.sleep(behaviour.delay)
        if behaviour.health < 400:
            self.ready[meta["uid"]] = True
            await self.status(pod, ready=True, state={"running": {}})

    async def serve(
        self, behaviour: Behaviour, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            code = behaviour.tasks if head.split()[1].startswith("/tasks") else behaviour.health
            body = b"BREAK is set" if code >= 400 else b"fine"
            writer.write(
                b"HTTP/1.1 %d X\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s"
                % (code, len(body), body)
            )
            await writer.drain()
        writer.close()

    async def status(
        self, pod: Object, *, ready: bool, state: Object, restarts: int = 0, last: Object | None = None
    ) -> None:
        container = pod["spec"]["containers"][0]
        status = {
            "name": container["name"],
            "image": container["image"],
            "imageID": "",
            "ready": ready,
            "restartCount": restarts,
            "state": state,
            "lastState": last or {},
        }

        def change(live: Object) -> Object | None:
            live.setdefault("status", {})
            live["status"]["phase"] = "Running"
            live["status"]["containerStatuses"] = [status]
            return self.conditioned(live, ready=ready, fresh=True)

        await self.modify(pod, change)

    async def update(self, pod: Object) -> None:
        """Compute Ready again when a gate has changed."""
        ready = self.ready.get(pod["metadata"]["uid"], False)
        await self.modify(pod, lambda live: self.conditioned(live, ready=ready))

    def conditioned(self, live: Object, *, ready: bool, fresh: bool = False) -> Object | None:
        before = json.dumps(live.get("status"), sort_keys=True) if not fresh else ""
        found = {each["type"]: each for each in live.get("status", {}).get("conditions") or []}
        gates = [gate["conditionType"] for gate in live["spec"].get("readinessGates") or []]
        opened = all(found.get(gate, {}).get("status") == "True" for gate in gates)
        for kind, value in (("ContainersReady", ready), ("Ready", ready and opened)):
            text = "True" if value else "False"
            if found.get(kind, {}).get("status") != text:
                stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
                found[kind] = {"type": kind, "status": text, "lastTransitionTime": stamp}
        live.setdefault("status", {})["conditions"] = list(found.values())
        return live if json.dumps(live["status"], sort_keys=True) != before else None

    async def modify(self, pod: Object, change: Callable[[Object], Object | None]) -> None:
        meta = pod["metadata"]
        with contextlib.suppress(NotFoundError):
            await self.objects.modify("pods", meta["namespace"], meta["name"], change, subresource="status")

    async def logs(self, namespace: str, pod: str, container: str, **options: Any) -> AsyncIterator[bytes]:
        yield f"{pod} says: it does not work\n".encode()

    async def address(self, namespace: str, pod: str, port: int) -> tuple[str, int]:
        found = await self.objects.get("pods", namespace, pod)
        server = self.servers.get(found["metadata"]["uid"])
        if self.hidden:
            raise UnavailableError("the node is starting up")
        if server is None:
            raise NotFoundError(f"{pod} does not run")
        return "127.0.0.1", server[1]


@dataclass
class Edge:
    """The public side: gives Services an address, and lets ready pods answer in turn, tracing them."""

    objects: Objects
    node: Node
    turn: int = 0
    served: list[tuple[float, str, int]] = field(default_factory=list)
    modes: set[str] = field(default_factory=set)
    """The modes of pods that have answered."""

    async def run(self) -> None:
        async with self.objects.watch("services") as events:
            async for event in events:
                meta = event.object["metadata"]
                notes = meta.get("annotations") or {}
                if event.type == "DELETED" or "windlass.dev/address" in notes:
                    continue
                url = f"http://{meta['name']}.{meta['namespace']}.edge"
                patch = {"metadata": {"annotations": {"windlass.dev/address": url}}}
                with contextlib.suppress(NotFoundError):
                    await self.objects.patch(
                        "services", meta["namespace"], meta["name"], patch, "merge", manager="edge"
                    )

    async def ask(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None, timeout: float
    ) -> Answer:
        host, _, path = url.removeprefix("http://").partition("/")
        name, namespace, _ = host.split(".")
        service = await self.objects.get("services", namespace, name)
        selector = service["spec"]["selector"].items()
        pods = [
            pod
            for pod in (await self.objects.list("pods", namespace)).items
            if selector <= (pod["metadata"].get("labels") or {}).items()
            and not pod["metadata"].get("deletionTimestamp")
            and any(
                c["type"] == "Ready" and c["status"] == "True"
                for c in pod.get("status", {}).get("conditions") or []
            )
        ]
        if not pods:
            self.served.append((time.time(), "", 503))
            return Answer(503, {}, b"no server", 0.001)
        self.turn += 1
        pod = sorted(pods, key=lambda each: str(each["metadata"]["uid"]))[self.turn % len(pods)]
        self.modes.add(_mode(pod["spec"]["containers"][0]))
        behaviour = self.node.behaviour(pod)
        if path.startswith("tasks"):
            await anyio.sleep(behaviour.thinks)
        code = behaviour.tasks if path.startswith("tasks") else behaviour.health
        self.served.append((time.time(), pod["metadata"]["name"], code))
        traced = (
            {"X-Windlass-Pod": pod["metadata"]["name"]} if headers.get("X-Windlass-Trace") == "secret" else {}
        )
        return Answer(code, traced, b"", 0.001)


KUSTOMIZATION = "resources: [deployment.yaml, service.yaml, config.yaml]\n"
DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  progressDeadlineSeconds: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: app
        image: ghcr.io/acme/web
        ports: [{name: http, containerPort: 8000}]
        readinessProbe: {httpGet: {path: /health, port: http}, periodSeconds: 1, failureThreshold: 1}
"""
SERVICE = """\
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: http}]}
"""
CONFIG = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {a: '1'}\n"
APPLICATION = """\
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata:
  name: web
  annotations:
    windlass.dev/verify: |
      - {phase: candidate, path: /health}
      - {phase: live, path: /health}
      - {phase: live, path: /tasks}
spec:
  project: default
  source: {repoURL: https://github.com/acme/gitops-repo.git, targetRevision: main, path: web/overlays/production}
  destination: {server: https://kubernetes.default.svc, namespace: web}
  syncPolicy:
    automated: {prune: true, selfHeal: true}
    syncOptions: [CreateNamespace=true]
"""


def overlay(tag: str, mode: str = "", extra: str = "") -> str:
    patch = ""
    if mode:
        env = f"{{name: app, env: [{{name: MODE, value: {mode}}}]}}"
        patch = (
            "patches:\n- patch: |-\n    {apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, "
            f"spec: {{template: {{spec: {{containers: [{env}]}}}}}}}}\n"
        )
    return (
        "namespace: web\nresources: [../../base]\n"
        f"images: [{{name: ghcr.io/acme/web, newTag: {tag}}}]\n{patch}{extra}"
    )


OVERLAY = "web/overlays/production/kustomization.yaml"


@dataclass
class World:
    """A hosted GitOps repository, a cluster, and deliveries between them."""

    store: Store
    objects: Objects
    node: Any
    edge: Any
    kube: Kube
    repositories: Repositories
    git: Git
    settings: Settings
    group: Any
    tags: set[str] = field(default_factory=lambda: {f"v{n}" for n in range(1, 10)})
    wrap: Callable[[Any], Any] = lambda part: part
    deadline: int = 3
    """Seconds that a new version has to become ready."""
    _scope: anyio.CancelScope | None = None
    _done: anyio.Event = field(default_factory=anyio.Event)

    @property
    def book(self) -> Book:
        return Book(self.store)

    async def resolve(self, image: str) -> str:
        tag = image.rpartition(":")[2]
        if tag not in self.tags:
            raise ImageNotFoundError(f"{image} does not exist")
        return digest(tag)

    def writer(self, kind: Any = "user", name: str = "anna") -> GitWriter:
        return GitWriter(self.repositories, Principal(kind, name, ("admin",)))

    async def start(self, *, wait: bool = True) -> None:
        running = Delivery(
            self.wrap(self.store),
            self.wrap(self.kube),
            self.repositories,
            self.git,
            self.wrap(self.writer("robot", "windlass")),
            resolve=self.resolve,
            settings=self.settings,
            prober=self.edge,
        )
        self._scope, self._done = anyio.CancelScope(), anyio.Event()
        scope, done = self._scope, self._done

        async def run() -> None:
            with scope:
                await running.run()
            done.set()

        self.group.start_soon(run)
        if wait:
            await running.ready.wait()

    async def stop(self) -> None:
        assert self._scope is not None
        self._scope.cancel()
        await self._done.wait()

    async def push(self, files: Mapping[str, str | None], message: str = "change", kind: str = "user") -> str:
        content = {path: text.encode() if text is not None else None for path, text in files.items()}
        return await self.writer(kind, "anna").commit_files(REPO, "main", content, message, ANNA)

    async def deploy(self, tag: str, mode: str = "", extra: str = "", kind: str = "user") -> str:
        return await self.push({OVERLAY: overlay(tag, mode, extra)}, f"deploy {tag} {mode}", kind)

    async def begin(self, mode: str = "") -> str:
        """Push the repository with its first version."""
        files = {
            "web/base/kustomization.yaml": KUSTOMIZATION,
            "web/base/deployment.yaml": DEPLOYMENT.replace("Seconds: 3", f"Seconds: {self.deadline}"),
            "web/base/service.yaml": SERVICE,
            "web/base/config.yaml": CONFIG,
            OVERLAY: overlay("v1", mode),
            "argocd/applications/web.yaml": APPLICATION,
        }
        return await self.push(files, "first")

    async def first(self) -> None:
        """Push the repository with a good version, and wait until it is live."""
        await self.ends(await self.begin(), "live")

    async def deliveries(self) -> list[Record]:
        from windlass.delivery.records import Delivery as Record

        rows = await self.store.read("delivery.list", application="", before=0, limit=100)
        return [Record.of(row) for row in reversed(rows)]

    async def ends(self, revision: str, state: str | None = None, limit: float = 15.0) -> Record:
        async def look() -> Record | None:
            found = [each for each in await self.deliveries() if each.revision == revision and each.final]
            return found[-1] if found else None

        found: Record = await self.until(look, f"delivery of {revision} ends", limit)
        assert state is None or found.state == state, f"{found.state}: {found.reason}"
        return found

    async def until(self, look: Callable[[], Awaitable[Any]], what: str, limit: float = 15.0) -> Any:
        give_up = time.monotonic() + limit
        while True:
            found = await look()
            if found:
                return found
            if time.monotonic() > give_up:
                state = [(each.id, each.state, each.reason) for each in await self.deliveries()]
                raise AssertionError(f"never: {what}; {state}")
            await anyio.sleep(0.01)

    async def pods(self) -> list[Object]:
        return [
            p
            for p in (await self.objects.list("pods", "web")).items
            if not p["metadata"].get("deletionTimestamp")
        ]

    async def modes(self) -> list[str]:
        """The images' tags and modes of all pods, with a star for those that are ready for traffic."""
        found = []
        for pod in await self.pods():
            container = pod["spec"]["containers"][0]
            mode = _mode(container)
            ready = any(
                c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions") or []
            )
            tag = container["image"].partition("@")[0].rpartition(":")[2]
            found.append(tag + (f"/{mode}" if mode else "") + ("*" if ready else ""))
        return sorted(found)

    async def becomes(self, *modes: str, limit: float = 10.0) -> None:
        async def look() -> bool:
            return await self.modes() == sorted(modes)

        try:
            await self.until(look, f"pods are {modes}", limit)
        except AssertionError as error:
            raise AssertionError(f"{error}; pods are {await self.modes()}") from None

    async def app(self) -> Object:
        return await self.objects.get("applications.argoproj.io", "argocd", "web")

    async def status(self, **wanted: str) -> Object:
        """Wait until the Application says `sync` and `health`."""

        async def look() -> Object | None:
            found: Object = (await self.app()).get("status") or {}
            said = {part: (found.get(part) or {}).get("status") for part in ("sync", "health")}
            return found if all(said[key] == value for key, value in wanted.items()) else None

        found: Object = await self.until(look, f"the Application is {wanted}")
        return found

    async def file(self, path: str = OVERLAY) -> str:
        return (await self.git.read_file(REPO, "main", path) or b"").decode()

    @contextlib.asynccontextmanager
    async def load(self) -> AsyncIterator[None]:
        """Ask the public address all the while; every answer must be a good one."""
        self.edge.served.clear()
        faults: list[int] = []

        async def run() -> None:
            while True:
                answer = await self.edge.ask(
                    "GET", "http://web.web.edge/health", headers={}, body=None, timeout=1
                )
                faults.extend([answer.status] if answer.status != 200 else [])
                await anyio.sleep(0.002)

        async with anyio.create_task_group() as group:
            group.start_soon(run)
            yield
            group.cancel_scope.cancel()
        assert not faults


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return ensure_certificates(tmp_path_factory.mktemp("kube"))


async def _world(
    store: Store,
    tmp_path: Path,
    certificates: Any,
    *,
    objects: Objects,
    node: Any,
    edge: Any,
    parts: list[Any],
    secret: str,
) -> AsyncIterator[World]:
    api = KubernetesAPI(objects, FixedAuthenticator({"t": Principal("user", "admin", ("admin",))}), node)
    repositories = Repositories(store, tmp_path / "repos")
    await repositories.create(REPO, applications="argocd/applications")
    settings = Settings(trace_secret=secret, address_grace=3.0, ready_grace=5.0, retry=0.3)
    async with anyio.create_task_group() as group:
        for part in parts:
            group.start_soon(part)
        port = await group.start(serve_tls, api, "127.0.0.1", 0, certificates)
        config = tmp_path / "kubeconfig"
        ca = certificates.ca_pem
        config.write_text(kubeconfig_yaml(f"https://127.0.0.1:{port}", ca, "t", "default"))
        async with Kube.from_kubeconfig(config) as kube:
            made = World(store, objects, node, edge, kube, repositories, Git(repositories), settings, group)
            await made.start()
            yield made
            await made.stop()
        group.cancel_scope.cancel()
    await api.close()


@pytest.fixture
async def world(store: Store, tmp_path: Path, certificates: Any) -> AsyncIterator[World]:
    """Deliveries over a scripted node and edge."""
    objects = Objects(store)
    await objects.load()
    node = Node(objects)
    edge = Edge(objects, node)
    parts = [GarbageCollector(objects).run, Controllers(objects).run, node.run, edge.run]
    async for made in _world(
        store, tmp_path, certificates, objects=objects, node=node, edge=edge, parts=parts, secret="secret"
    ):
        yield made
    for uid in list(node.servers):
        await node.end(uid)


SCRIPT = Script(
    {
        f"{IMAGE}*": (
            Image(
                env={"MODE": "sick"},
                outputs=(Output("BREAK is set"),),
                answers=(Answered(status=500),),
                stop_code=0,
            ),
            Image(env={"MODE": "faulty"}, answers=(Answered("/tasks", 500), Answered()), stop_code=0),
            Image(env={"MODE": "crash"}, outputs=(Output("boom"),), exit_after=0.05, exit_code=3),
            Image(outputs=(Output("started"),), stop_code=0),
        )
    }
)


def _ports(count: int) -> range:
    for start in range(24000, 32000, 61):
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            for port in range(start, start + count):
                stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
            return range(start, start + count)
    raise AssertionError("no free ports")


class Restartable:
    """A cluster whose server's part can be ended and begun anew; what it says as a node is the present one's."""

    def __init__(self, objects: Objects, engine: FakeEngine, chosen: ClusterSettings) -> None:
        self._make: Callable[[], LocalCluster] = lambda: LocalCluster(objects, engine, chosen)
        self.local = self._make()
        self._scope = anyio.CancelScope()
        self._again = anyio.Event()

    def logs(self, *words: Any, **named: Any) -> Any:
        return self.local.node.logs(*words, **named)

    async def address(self, namespace: str, pod: str, port: int) -> tuple[str, int]:
        return await self.local.node.address(namespace, pod, port)

    async def run(self) -> None:
        while True:
            self._scope, self._again = anyio.CancelScope(), anyio.Event()
            with self._scope:
                await self.local.run()
            await self._again.wait()
            self.local = self._make()

    def stop(self) -> None:
        self._scope.cancel()

    def start(self) -> None:
        self._again.set()


@pytest.fixture
async def real(store: Store, tmp_path: Path, certificates: Any) -> AsyncIterator[World]:
    """Deliveries over the real node and HAProxy; only the containers are scripted."""
    if shutil.which("haproxy") is None:
        pytest.skip("haproxy is not installed")
    objects = Objects(store)
    await objects.load()
    engine, ports = FakeEngine(SCRIPT), _ports(8)
    chosen = ClusterSettings(
        directory=tmp_path / "data",
        instance=f"d{uuid.uuid4().hex[:8]}",
        service_ports=ports[:-1],
        ingress_port=ports[-1],
    )
    cluster = Restartable(objects, engine, chosen)
    prober = HTTPProber()
    parts = [GarbageCollector(objects).run, cluster.run]
    try:
        async for made in _world(
            store,
            tmp_path,
            certificates,
            objects=objects,
            node=cluster,
            edge=prober,
            parts=parts,
            secret=cluster.local.trace_secret,
        ):
            yield made
    finally:
        with anyio.CancelScope(shield=True):
            await prober.close()
            await cluster.local.edge.haproxy.stop()
            await engine.aclose()
