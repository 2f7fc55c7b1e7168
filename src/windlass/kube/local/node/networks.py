"""The engine's networks, one for each namespace, and the names that its pods know Services by."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from windlass.engine.errors import EngineError
from windlass.kube.local.controllers.meta import deleting
from windlass.kube.local.edge.routing import service_names
from windlass.kube.local.node.hosts import network_name
from windlass.kube.local.node.names import INSTANCE, NAMESPACE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from windlass.engine.port import Engine, Network
    from windlass.kube.local.controllers.meta import Object

log = structlog.get_logger()


class Networks:
    """Makes networks when they are first needed. `changed` is called when there is one more or one less."""

    def __init__(self, engine: Engine, instance: str, changed: Callable[[], None]) -> None:
        self._engine = engine
        self._instance = instance
        self._changed = changed
        self._known: dict[str, Network] = {}
        self._lock = asyncio.Lock()
        self._wanted = 0
        self._services: list[Object] = []
        self._names: dict[str, list[str]] = {}

    async def ensure(self, namespace: str) -> Network:
        """Return the namespace's network, made when it is not there."""
        self._wanted += 1
        try:
            return await self._ensure(namespace)
        finally:
            self._wanted -= 1

    @property
    def making(self) -> bool:
        """Whether there will be one more in a moment."""
        return self._wanted > 0

    async def _ensure(self, namespace: str) -> Network:
        async with self._lock:
            known = self._known.get(namespace)
            if known is None:
                labels = {INSTANCE: self._instance, NAMESPACE: namespace}
                name = network_name(self._instance, namespace)
                known = self._known[namespace] = await self._engine.network_ensure(name, labels)
                self._changed()
            return known

    async def remove(self, namespace: str) -> None:
        """Remove the network of a namespace that is gone."""
        async with self._lock:
            if self._known.pop(namespace, None) is not None:
                self._changed()
            try:
                await self._engine.network_remove(network_name(self._instance, namespace))
            except EngineError as error:
                log.warning("network not removed; it goes at the next start", error=str(error))

    def gateways(self) -> dict[str, str]:
        """Addresses at which this machine is seen from the pods of each namespace."""
        return {namespace: net.gateway for namespace, net in self._known.items() if net.gateway}

    def learn(self, services: Sequence[Object]) -> None:
        """Take in the cluster's Services."""
        self._services = [s for s in services if s["spec"].get("selector") and not deleting(s)]
        self._names.clear()

    def service_names(self, namespace: str) -> list[str]:
        """Return the names under which pods of the namespace reach Services."""
        if namespace not in self._names:
            self._names[namespace] = service_names(self._services, namespace)
        return self._names[namespace]
