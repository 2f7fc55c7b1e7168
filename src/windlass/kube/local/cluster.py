"""The embedded cluster: object store, controllers, node and edge, composed and run together."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import anyio

from windlass.kube.local.controllers import Controllers
from windlass.kube.local.edge import Edge, EdgeSettings
from windlass.kube.local.gc import GarbageCollector
from windlass.kube.local.node import Node, NodeSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence
    from pathlib import Path

    from windlass.engine.port import Engine
    from windlass.kube.local.objects import Objects


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """What the server's configuration says about the cluster.

    `directory` is the data directory (`kube/` and `edge/` are below it). `instance` marks this server's containers
    and networks on the engine. `mirrors` maps registry hosts to where their images are fetched.
    """

    directory: Path
    instance: str
    mirrors: Mapping[str, str] = field(default_factory=dict)
    auth_file: Path | None = None
    address: str = "127.0.0.1"
    service_ports: range = range(8710, 8800)
    ingress_port: int = 8702
    host_path: bool = False
    privileged: bool = False


class LocalCluster:
    """A whole cluster on this machine. Give it loaded `objects`, then `run` it until it is cancelled.

    `node` is what the API server (`KubernetesAPI(objects, identity, cluster.node)`) reads logs and addresses from;
    `services` are further things to run beside it. Containers and HAProxy outlive it; a successor on
    the same directory and instance goes on with them.
    """

    def __init__(
        self,
        objects: Objects,
        engine: Engine,
        settings: ClusterSettings,
        *,
        services: Sequence[Callable[[], Coroutine[Any, Any, None]]] = (),
    ) -> None:
        self.objects = objects
        self.settings = settings
        self.controllers = Controllers(objects)
        self.collector = GarbageCollector(objects)
        self.node = Node(
            objects,
            engine,
            NodeSettings(
                directory=settings.directory / "kube",
                instance=settings.instance,
                mirrors=settings.mirrors,
                auth_file=settings.auth_file,
                host_path=settings.host_path,
                privileged=settings.privileged,
            ),
        )
        self.edge = Edge(
            objects,
            self.node.address,
            EdgeSettings(
                directory=settings.directory / "edge",
                address=settings.address,
                ports=settings.service_ports,
                ingress_port=settings.ingress_port,
            ),
            gateways=self.node.gateways,
            unsettled=lambda: self.node.networks.making,
        )
        self.node.drained = self.edge.drained
        self.node.network_changed = self.edge.wake
        self._services = tuple(services)

    @property
    def trace_secret(self) -> str:
        """Return the value of `X-Windlass-Trace` that makes the edge tell which pod answered."""
        return self.edge.trace_secret

    async def run(self) -> None:
        """Run everything. Raises HaproxyMissingError or EngineUnavailableError at once where one is missing."""
        self.edge.haproxy.prepare()
        async with anyio.create_task_group() as group:
            parts = (self.collector.run, self.controllers.run, self.node.run, self._route)
            for part in (*self._services, *parts):
                group.start_soon(part)

    async def _route(self) -> None:
        """Run the edge, but not before the node knows its containers: until then HAProxy goes on with what it has.

        Brought up to date earlier it would be told that no pod can be reached, and answer 503.
        """
        await self.node.adopted.wait()
        await self.edge.run()
