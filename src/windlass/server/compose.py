"""The composition root: every part made from the settings, wired to the others, and run until the end."""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import structlog
from starlette.applications import Starlette

from windlass import pipelines
from windlass.delivery import Deliveries, Delivery
from windlass.delivery import Settings as DeliverySettings
from windlass.engine.choose import choose_engine
from windlass.identity import Identity, LoginLinks, Principal, Secrets
from windlass.kube import Kube
from windlass.kube.local.api.app import KubernetesAPI
from windlass.kube.local.certificates import ensure_certificates
from windlass.kube.local.cluster import ClusterSettings, LocalCluster
from windlass.kube.local.objects import Objects
from windlass.kube.local.serving import serve_tls
from windlass.pipelines import Pipelines, job_routes
from windlass.registry import Registry, RegistryClient, RegistryHTTP
from windlass.repos import Git, GitHTTP, GitWriter, Repositories
from windlass.repos.forges import Forges
from windlass.repos.pulls import Protections, Pulls
from windlass.repos.releases import Releases
from windlass.runner.client import ZygoteClient
from windlass.server import access
from windlass.server.checks import RunChecks
from windlass.server.dispatch import Dispatch
from windlass.server.housekeeping import Housekeeping
from windlass.server.kubeconfigs import Kubeconfigs, write_kubeconfig
from windlass.server.listen import Streams, bind, listening, refusal
from windlass.server.news import News
from windlass.server.pulls import PullDesk
from windlass.server.refusals import REFUSALS
from windlass.server.standings import ServerStandings
from windlass.store import Store
from windlass.web.app import create_app
from windlass.web.ports import Ports

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable

    from anyio.abc import TaskGroup

    from windlass.engine import Engine
    from windlass.kube.local.certificates import Certificates
    from windlass.server.datadir import DataDirectory
    from windlass.server.settings import Settings

log = structlog.get_logger()
LAST_WORD = 0.5
"""Seconds in which those who follow a push are told, when the server stops, how it stands."""


@dataclass(frozen=True, slots=True)
class Started:
    """What is told when everything listens. `login` is a link, only with the first start of a data directory."""

    settings: Settings
    engine: str
    login: str
    seconds: float


class Server:
    """All of Windlass in one process. `run` returns after cancellation, with everything put down in order.

    Pods, HAProxy and running jobs go on without it, and its successor goes on with them.
    """

    def __init__(self, directory: DataDirectory, settings: Settings) -> None:
        self._directory = directory
        self._settings = settings
        self._begun = time.monotonic()

    async def run(self, started: Callable[[Started], Awaitable[None]]) -> None:
        """Run until cancelled. Raises what keeps a part from starting, with what helps."""
        self._directory.prepare()
        async with AsyncExitStack() as stack:
            stack.enter_context(self._directory.lock())
            listener = bind(self._settings.host, self._settings.port)
            stack.callback(listener.close)
            self._settings = self._settings.model_copy(update={"port": listener.getsockname()[1]})
            self._store = Store(self._directory.database)
            stack.callback(self._store.close)
            engine = await choose_engine(self._settings.engine)
            stack.push_async_callback(engine.aclose)
            await self._serve(stack, listener, engine, started)

    async def _serve(
        self,
        stack: AsyncExitStack,
        listener: socket.socket,
        engine: Engine,
        started: Callable[[Started], Awaitable[None]],
    ) -> None:
        folder = self._directory.folder
        identity = Identity(self._store)
        secrets = Secrets(self._store, folder("keys") / "secrets.key")
        first = await access.ensure_admin(identity, self._directory)
        robots = await access.make_robots(
            identity, self._directory, [f"{self._settings.host}:{self._settings.port}"]
        )

        repositories = Repositories(self._store, folder("repos"))
        git = Git(repositories)
        writer = GitWriter(repositories, Principal("robot", access.DELIVERY))
        news = News(self._settings.url)
        git_http = GitHTTP(repositories, identity, news, socket=folder("run") / "hooks.sock")
        images = Registry(self._store, folder("registry"))

        zygote = ZygoteClient(folder("run"))
        stack.push_async_callback(zygote.close)
        runs = Pipelines(
            self._store,
            repositories,
            git,
            identity,
            secrets,
            zygote,
            self._pipelines(engine.name),
        )

        objects = Objects(self._store, seal=secrets)
        await objects.load()
        cluster = LocalCluster(objects, engine, self._cluster(robots))
        kubernetes = KubernetesAPI(objects, identity, cluster.node)
        stack.push_async_callback(kubernetes.close)
        certificates = ensure_certificates(folder("kube"))

        async with anyio.create_task_group() as tasks:
            port = await self._open(tasks, kubernetes, certificates)
            self._settings = self._settings.model_copy(update={"kubernetes_port": port})
            kubeconfigs = Kubeconfigs(identity, f"https://{self._settings.host}:{port}", certificates.ca_pem)
            file = write_kubeconfig(self._directory, kubeconfigs.text(robots.delivery, "argocd"))
            client = await stack.enter_async_context(Kube.from_kubeconfig(file))
            resolver = await stack.enter_async_context(self._resolver(robots))
            chosen = self._delivery(cluster.trace_secret)
            delivery = Delivery(
                self._store,
                client,
                repositories,
                git,
                writer,
                resolve=resolver.resolve,
                settings=chosen,
            )
            deliveries = Deliveries(self._store, client, chosen)
            news.runs, news.deliveries = runs, deliveries
            forges, pulls, desk = self._review(repositories, secrets, runs, deliveries)
            links = LoginLinks()
            ports = Ports(
                url=self._settings.url,
                store=self._store,
                identity=identity,
                links=links,
                secrets=secrets,
                hosting=repositories,
                remotes=forges.remotes,
                pulls=desk,
                kubeconfigs=kubeconfigs,
                runs=runs,
                deliveries=deliveries,
                refusals=REFUSALS,
            )
            web = Streams(create_app(ports))
            app = Dispatch(
                git=git_http,
                registry=RegistryHTTP(images, identity),
                jobs=Starlette(routes=job_routes(runs, identity)),
                hooks=forges.hooks,
                web=web,
            )

            async with git_http, listening(app, listener, partial(_stop, web, news, git_http)):
                await zygote.warm()
                tasks.start_soon(cluster.run)
                await repositories.record_unseen()
                tasks.start_soon(runs.run)
                tasks.start_soon(pulls.run)
                tasks.start_soon(forges.run)
                tasks.start_soon(delivery.run)
                tasks.start_soon(Housekeeping(repositories, images).run)
                await self._tell(started, engine.name, links if first else None)
                await anyio.sleep_forever()

    async def _open(self, tasks: TaskGroup, kubernetes: KubernetesAPI, certificates: Certificates) -> int:
        """Serve the Kubernetes API; returns its port. Raises PortTakenError."""
        host, port = self._settings.host, self._settings.kubernetes_port
        try:
            chosen: int = await tasks.start(serve_tls, kubernetes, host, port, certificates)
        except OSError as error:
            raise refusal(host, port, error, "--kubernetes-port") from None
        return chosen

    def _review(
        self, repositories: Repositories, secrets: Secrets, runs: Pipelines, deliveries: Deliveries
    ) -> tuple[Forges, Pulls, PullDesk]:
        """Make what stands between repositories and runs: forges elsewhere, and pull requests here."""
        url = self._settings.url
        pulls = Pulls(self._store, repositories, url=url, checks=RunChecks(self._store, runs, url))
        releases = Releases(self._store, repositories, url=url)
        desk = PullDesk(pulls, Protections(self._store, repositories), releases, url)
        standings = ServerStandings(runs, deliveries, url)
        return Forges(self._store, repositories, secrets, standings, url=url), pulls, desk

    async def _tell(
        self, started: Callable[[Started], Awaitable[None]], engine: str, links: LoginLinks | None
    ) -> None:
        """Write down where we listen, for commands on this machine, and say that we are ready."""
        import json

        url = self._settings.url
        contact = {"url": url, "pid": os.getpid(), "kubernetes": self._settings.kubernetes_port}
        self._directory.write_secret(self._directory.contact, json.dumps(contact))
        login = ""
        if links is not None:
            login = f"{url}/login?code={links.make(Principal('user', access.ADMIN, ('admin',)))}"
        await started(Started(self._settings, engine, login, time.monotonic() - self._begun))

    def _pipelines(self, engine: str) -> pipelines.Settings:
        chosen: dict[str, Any] = {"capacity": self._settings.jobs} if self._settings.jobs else {}
        isolation = self._settings.isolation
        return pipelines.Settings(
            directory=self._directory.root,
            server_url=self._settings.url,
            mirrors=self._settings.mirrors,
            isolation="bubblewrap" if isolation == "auto" else isolation,
            engine=engine,
            variables=dict(self._settings.variables),
            shared_actions=tuple(self._settings.shared_actions),
            actions_mirror=self._settings.actions_mirror,
            **chosen,
        )

    def _cluster(self, robots: access.Robots) -> ClusterSettings:
        first, last = self._settings.service_ports
        return ClusterSettings(
            directory=self._directory.root,
            instance=access.instance_of(self._directory),
            mirrors=self._settings.mirrors,
            auth_file=robots.node_auth_file,
            address=self._settings.host,
            service_ports=range(first, last + 1),
            ingress_port=self._settings.edge_port,
        )

    def _delivery(self, trace_secret: str) -> DeliverySettings:
        own = f"{self._settings.host}:{self._settings.port}"
        return DeliverySettings(
            forges=(*self._settings.forges, own), trace_secret=trace_secret, server_url=self._settings.url
        )

    def _resolver(self, robots: access.Robots) -> RegistryClient:
        own = f"{self._settings.host}:{self._settings.port}"
        return RegistryClient(
            mirrors=self._settings.mirrors, credentials={own: ("windlass", robots.delivery)}
        )


def _stop(web: Streams, news: News, git_http: GitHTTP) -> None:
    """Let those go who follow something, who pushed last and with a word of how it stands."""
    web.stop()
    news.stop()
    asyncio.get_running_loop().call_later(LAST_WORD, git_http.stop_following)
