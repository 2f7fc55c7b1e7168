"""The web over real rooms: store, identity, secrets, runs, the embedded Kubernetes API; seeded, not mocked."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import anyio
import httpx2
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal

from windlass.delivery import Deliveries
from windlass.identity import Identity, LoginLinks, Principal, Secrets
from windlass.kube import Kube
from windlass.kube.errors import AlreadyExistsError
from windlass.kube.local.api.app import KubernetesAPI
from windlass.kube.local.certificates import ensure_certificates
from windlass.kube.local.kubeconfig import kubeconfig_yaml
from windlass.kube.local.objects import Objects
from windlass.kube.local.serving import serve_tls
from windlass.pipelines import Environment, FakeLauncher, Pipelines, Settings
from windlass.pipelines.records import ZERO
from windlass.repos import Git, GitWriter, Repositories
from windlass.repos import Identity as Author
from windlass.repos.forges import Remotes
from windlass.repos.pulls import Protections, Pulls
from windlass.repos.releases import Releases
from windlass.server.checks import RunChecks
from windlass.server.kubeconfigs import Kubeconfigs
from windlass.server.listen import bind, listening
from windlass.server.pulls import PullDesk
from windlass.server.refusals import REFUSALS
from windlass.store import Store
from windlass.web.app import create_app
from windlass.web.ports import Ports

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from windlass.store import Transaction


def _seeding() -> Any:
    """Load the file beside this one: tests are no package."""
    spec = importlib.util.spec_from_file_location("web_seeding", Path(__file__).parent / "seeding.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


rows = _seeding()


@dataclass
class Site:
    """A whole server's web, without what moves: nothing runs, everything answers."""

    data: Path
    store: Store
    objects: Objects
    ports: Ports
    app: Any
    tokens: dict[str, str] = field(default_factory=dict)

    async def token(self, *scopes: str) -> str:
        key = " ".join(scopes)
        if key not in self.tokens:
            self.tokens[key] = await self.ports.identity.mint("user", "anna", scopes)
        return self.tokens[key]

    async def client(self, *scopes: str, cookie: bool = False, **headers: str) -> httpx2.AsyncClient:
        """A client with a token of these scopes, or without one."""
        transport = httpx2.ASGITransport(app=self.app)
        if scopes and cookie:
            headers["Cookie"] = f"windlass_session={await self.token(*scopes)}"
        elif scopes:
            headers["Authorization"] = f"Bearer {await self.token(*scopes)}"
        return httpx2.AsyncClient(transport=transport, base_url="http://windlass.test", headers=headers)

    async def application(self, name: str, status: dict[str, Any]) -> None:
        """An Application as the embedded API keeps it."""
        body = {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Application",
            "metadata": {"name": name, "namespace": "argocd"},
            "spec": rows.SPEC,
        }
        home = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "argocd"}}
        with contextlib.suppress(AlreadyExistsError):
            await self.objects.create("namespaces", home)
        await self.objects.create("applications.argoproj.io", body)
        await self.objects.modify(
            "applications.argoproj.io", "argocd", name, lambda live: {**live, "status": status}
        )

    async def log(self, run: int, key: str, step: int, text: str) -> None:
        """Write a log where the runner would."""
        path = anyio.Path(self.data / "jobs" / f"{run}.{key}.1" / "log" / f"{step:03d}.log")
        await path.parent.mkdir(parents=True, exist_ok=True)
        stamped = "".join(f"2026-01-01T00:00:00.0000000Z {line}\n" for line in text.splitlines())
        await path.write_text(stamped)

    @asynccontextmanager
    async def listening(self, port: int = 0) -> AsyncIterator[str]:
        """Serve it on a real socket, for browsers and streams."""
        listener = bind("127.0.0.1", port)
        async with listening(self.app, listener):
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.close()


@asynccontextmanager
async def open_site(data: Path) -> AsyncIterator[Site]:
    store = Store(data / "windlass.db")
    identity, secrets = Identity(store), Secrets(store, data / "keys" / "secrets.key")
    repositories = Repositories(store, data / "repos")
    objects = Objects(store, seal=secrets)
    await objects.load()
    settings = Settings(data, engine="fake", isolation="host")
    launcher = FakeLauncher()
    runs = Pipelines(
        store, repositories, Git(repositories), identity, secrets, launcher, settings, processes=launcher
    )
    api = KubernetesAPI(objects, identity, cast("Any", None))
    certificates = ensure_certificates(data / "kube")
    async with anyio.create_task_group() as tasks:
        port = await tasks.start(serve_tls, api, "127.0.0.1", 0, certificates)
        url = f"https://127.0.0.1:{port}"
        robot = await identity.mint("robot", "delivery", ["kube:admin:*"])
        config = data / "kubeconfig"
        config.write_text(kubeconfig_yaml(url, certificates.ca_pem, robot, "argocd"))
        async with Kube.from_kubeconfig(config) as kube:
            checks = RunChecks(store, runs, "http://windlass.test")
            pulls = Pulls(store, repositories, url="http://windlass.test", checks=checks)
            releases = Releases(store, repositories, url="http://windlass.test")
            ports = Ports(
                url="http://windlass.test",
                store=store,
                identity=identity,
                links=LoginLinks(),
                secrets=secrets,
                hosting=repositories,
                remotes=Remotes(store, repositories, secrets),
                pulls=PullDesk(pulls, Protections(store, repositories), releases, "http://windlass.test"),
                kubeconfigs=Kubeconfigs(identity, url, certificates.ca_pem),
                runs=runs,
                deliveries=Deliveries(store, kube),
                refusals=REFUSALS,
            )
            yield Site(data, store, objects, ports, create_app(ports))
        tasks.cancel_scope.cancel()
    await api.close()
    store.close()


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    """A site with a little of everything; the tests of a module share it."""
    async with open_site(tmp_path_factory.mktemp("data")) as made:
        await seed(made)
        yield made


class Hosted:
    """A site with a little of everything on a thread of its own, for tests that are plain functions."""

    def __init__(self, portal: BlockingPortal, made: Site) -> None:
        self.portal = portal
        self.site = made

    def ask(self, method: str, path: str, *, bare: bool = False, **options: Any) -> httpx2.Response:
        """Send one request as an administrator (`bare`: as nobody)."""

        async def send() -> httpx2.Response:
            async with await self.site.client(*(() if bare else ("admin",))) as client:
                return await client.request(method, path, **options)

        return self.portal.call(send)


@pytest.fixture(scope="module")
def hosted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosted]:
    """A hosted site; the tests of a module share it."""

    @asynccontextmanager
    async def seeded() -> AsyncIterator[Site]:
        async with open_site(tmp_path_factory.mktemp("hosted")) as made:
            await seed(made)
            yield made

    with start_blocking_portal() as portal, portal.wrap_async_context_manager(seeded()) as made:
        yield Hosted(portal, made)


@pytest.fixture(scope="module")
async def fresh(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    """A site where nothing has happened yet."""
    async with open_site(tmp_path_factory.mktemp("fresh")) as made:
        yield made


async def seed(made: Site) -> None:
    now = time.time() - 600

    def work(tx: Transaction) -> None:
        for number in (1, 2, 3):
            rows.push(tx, rows.REPO, rows.sha(f"source {number}"), now + number * 60)
        rows.run(tx, 1, now + 60, "A first version")
        rows.delivery(tx, 1, now + 65)
        rows.push(tx, rows.GITOPS, rows.sha(f"gitops 1 {now + 65}"), now + 65)
        rows.run(tx, 2, now + 120, rows.NASTY, "failure", ref=f"refs/heads/{rows.NASTY}", failing="test")
        bad = rows.delivery(tx, 1, now + 180, "rolled_back", f"pod web-1: /health answers 500: {rows.NASTY}")
        rows.evidence(tx, bad, "log", "web-1/app", ["INFO: started", f"ERROR: {rows.NASTY}"])
        row = {"at": now, "pod": "web-1", "request": "GET /health", "status": 500, "milliseconds": 3.2}
        rows.evidence(tx, bad, "answers", "web-1", [{**row, "body": rows.NASTY}])
        events = [{"type": "Warning", "reason": "Unhealthy", "message": rows.NASTY, "count": 3, "at": None}]
        rows.evidence(tx, bad, "events", "web-1", events)
        rows.evidence(tx, bad, "verification-live", rows.APP, [{**row, "status": 200, "fault": ""}])
        rows.evidence(tx, bad, "note", rows.APP, f"odd: {rows.NASTY}")
        tx.run(
            "delivery.hold",
            application=rows.APP,
            uid="u",
            workload="Deployment/web/web",
            template="abc",
            delivery=bad,
            reason=rows.NASTY,
            created_at=now,
        )
        rows.run(tx, 3, now + 240, "On its way", None)

    await made.store.transact(work)
    await made.log(
        2, "test", 5, f"collected 3 items\nE   assert 422 == 400 {rows.NASTY}\n##[error]{rows.NASTY}"
    )
    await made.log(3, "build", 0, "\x1b[32mgreen\x1b[0m line")
    await made.log(1, "test", 0, "first\nsecond")
    health: dict[str, Any] = {
        "sync": {"status": "Synced", "revision": rows.sha(1)},
        "health": {"status": "Healthy"},
    }
    summary = {"externalURLs": ["http://127.0.0.1:8710"], "images": [f"ghcr.io/acme/web@{rows.digest(1)}"]}
    await made.application("web", {**health, "summary": summary})
    await made.ports.secrets.set(rows.REPO, "KEY", "a-very-secret-value")
    await made.ports.hosting.create(rows.REPO)


@pytest.fixture(scope="module")
def bulk() -> Callable[[Transaction, int], None]:
    """Return what fills a store with that many pushes, runs and deliveries."""

    def fill(tx: Transaction, many: int) -> None:
        start = time.time() - many * 60
        for number in range(1, many + 1):
            at = start + number * 60
            rows.push(tx, rows.REPO, rows.sha(f"source {number}"), at)
            rows.run(tx, number, at, f"Change {number}", steps=8, jobs=("test", "build", "gitops"))
            made = rows.delivery(tx, number, at + 10, "rolled_back" if number % 50 == 0 else "live")
            rows.evidence(tx, made, "log", "web-1/app", ["line"] * 100)

    return fill


PAGED = "acme/paged"
BRANCH = 'x"><b>o&b'
BERT = Principal("user", "bert", ("admin",))
MALLORY = Author("Mallory", "m@example.org")
HAND = """
name: 'Deploy "><b>it'
on:
  workflow_dispatch:
    inputs:
      who: {description: 'Whom <i>to</i> greet', default: world}
      where: {type: choice, options: [staging, production], default: staging}
      need: {type: choice, options: [a, b], required: true}
      many: {type: number}
      sure: {type: boolean, default: true}
      place: {type: environment}
  schedule: [{cron: '0 5 * * *', timezone: Europe/Berlin}]
jobs: {it: {runs-on: ubuntu-latest, steps: [{run: 'true'}]}}
"""


@pytest.fixture(scope="module")
async def paged(site: Site) -> Site:
    """A repository with a workflow, pull requests of which one conflicts, releases; and a run that waits."""
    hosting = site.ports.hosting
    assert isinstance(hosting, Repositories)
    await hosting.create(PAGED)
    writer, git = GitWriter(hosting, BERT), Git(hosting)
    files = {".github/workflows/hand.yaml": HAND.encode(), "a": b"a"}
    await writer.commit_files(PAGED, "main", files, "First", MALLORY)
    tip = await git.resolve(PAGED, "main")
    assert tip
    for branch, content in ((BRANCH, {"b": b"b"}), ("clash", {"a": b"mine"})):
        await writer.move(PAGED, branch, ZERO, tip)
        await writer.commit_files(PAGED, branch, content, rows.NASTY_MARK, MALLORY)
    await writer.commit_files(PAGED, "main", {"a": b"theirs"}, "Second", MALLORY)
    async with await site.client("admin") as client:
        for branch in (BRANCH, "clash"):
            opened = {"head": branch, "title": rows.NASTY_MARK, "body": rows.NASTY_MARK}
            made = await client.post(f"/api/v1/repositories/{PAGED}/pulls", json=opened)
            assert made.status_code == 201, made.text
        for body in (
            {"tag": "v1", "title": rows.NASTY_MARK, "notes": rows.NASTY_MARK},
            {"tag": "v2", "draft": True},
        ):
            assert (await client.post(f"/api/v1/repositories/{PAGED}/releases", json=body)).status_code == 201
    await site.ports.runs.environments.put(
        Environment(PAGED, "production", approvers=("anna", "carl")), actor="anna"
    )
    await site.ports.runs._timetable.refresh()
    await site.ports.runs._planner.plan_new()
    await site.ports.runs._intake.take()
    await site.ports.runs._planner.plan_occurrences()
    await _gated(site)
    return site


async def _gated(site: Site) -> None:
    """Run 4 of acme/web: a job that calls a workflow, whose job waits for somebody to approve it."""
    why = {"code": "approval", "text": "waits for dora or carl", "evidence": "", "remedy": "approve it"}
    called = ".github/workflows/deploy.yml"

    def work(tx: Transaction) -> None:
        run = rows.run(tx, 40, time.time() - 60, "Ship it", None, jobs=("test", "deploy", "deploy.build"))
        assert run == 4
        rows.waiting(tx, run, "deploy.build", "prod", why)
        tx._connection.execute("UPDATE jobs SET calls = ? WHERE run = ? AND key = 'deploy'", (called, run))
        used = json.dumps({"uses": "actions/checkout@v4", "sha": "a" * 40})
        tx._connection.execute(
            "INSERT INTO run_facts (run, job, kind, data, at) VALUES (?, ?, 'action', ?, 0)",
            (run, f"{run}.test.1", used),
        )

    await site.store.transact(work)
    rules = Environment(rows.REPO, "prod", approvers=("dora", "carl"), self_approval=False)
    await site.ports.runs.environments.put(rules, actor="anna")
