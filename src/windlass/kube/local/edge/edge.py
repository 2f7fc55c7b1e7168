"""The edge controller: whenever endpoints, Services or Ingresses change, HAProxy follows within milliseconds."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import time
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import anyio
import structlog

from windlass.kube.errors import GoneError, KubeError
from windlass.kube.local.controllers.effects import EVENT_WARNING
from windlass.kube.local.controllers.events import Recorder
from windlass.kube.local.controllers.meta import annotations_of, name_of, namespace_of, uid_of
from windlass.kube.local.edge import routing
from windlass.kube.local.edge.allocate import ADDRESS, allocate, noted_port
from windlass.kube.local.edge.config import Files, render, structure
from windlass.kube.local.edge.errors import EdgeError, RuntimeSocketError
from windlass.kube.local.edge.haproxy import Haproxy
from windlass.kube.local.edge.probe import is_free
from windlass.kube.local.edge.reconcile import DRAIN_LIMIT, plan
from windlass.kube.local.edge.unreached import Unreached

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path

    from windlass.kube.local.controllers.meta import Object
    from windlass.kube.local.edge.allocate import Key
    from windlass.kube.local.edge.model import EdgeState
    from windlass.kube.local.objects import Objects

SLICES, INGRESSES, SERVICES = "endpointslices.discovery.k8s.io", "ingresses.networking.k8s.io", "services"
MANAGER = "windlass-edge"
BLOCKED_LOOK, LET_GO = 2.0, 1.0
SETTLE, SETTLE_LONGEST = 0.15, 0.8
DRAIN_LOOK, RETRY, RETRY_LONGEST, RESYNC = 0.03, 0.02, 5.0, 60.0
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class EdgeSettings:
    """Where the edge listens and keeps its files. `ports` are those that Services get, one each."""

    directory: Path
    address: str = "127.0.0.1"
    ports: range = range(8710, 8800)
    ingress_port: int = 8702
    program: str = "haproxy"


class Edge:
    """HAProxy kept at what the cluster says. `run` until cancelled; HAProxy itself goes on after that.

    `locate` is `NodePort.address`; `gateways` maps namespaces to their network's gateway. `wake` after a change
    of what `gateways` or `locate` say. While `unsettled` says that more gateways come at once, a reload waits.
    """

    def __init__(
        self,
        objects: Objects,
        locate: Callable[[str, str, int], Awaitable[tuple[str, int]]],
        settings: EdgeSettings,
        *,
        gateways: Callable[[], Mapping[str, str]] = dict,
        unsettled: Callable[[], bool] = lambda: False,
    ) -> None:
        self._objects = objects
        self._locate = locate
        self._settings = settings
        self._gateways = gateways
        self._unsettled = unsettled
        self._unreached = Unreached()
        self._look_in = RESYNC
        self._begun = False
        self._recorder = Recorder(objects, "windlass-edge")
        self._told: set[tuple[str, str]] = set()
        self._wake = asyncio.Event()
        self._leaving: dict[Key, asyncio.Event] = {}
        self._draining: dict[tuple[str, str], float] = {}
        self.haproxy = Haproxy(settings.directory, settings.program)
        self._secret = ""
        self._blocked: set[str] = set()

    @property
    def trace_secret(self) -> str:
        """Value of `X-Windlass-Trace` for which answers bear `X-Windlass-Pod`. Made once per data directory."""
        if not self._secret:
            self.haproxy.prepare()
            file = self._settings.directory / "trace.key"
            with contextlib.suppress(FileExistsError):
                descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                with os.fdopen(descriptor, "w", encoding="ascii") as opened:
                    opened.write(secrets.token_hex(24))
            self._secret = file.read_text(encoding="ascii").strip()
        return self._secret

    def wake(self) -> None:
        """Look again now."""
        self._wake.set()

    async def run(self) -> None:
        """Follow the cluster for ever. Raises HaproxyMissingError at once where there is no HAProxy."""
        self.haproxy.prepare()
        async with anyio.create_task_group() as group:
            started = asyncio.Event()
            group.start_soon(self._follow, started)
            await started.wait()
            group.start_soon(self._reconcile_for_ever)

    async def drained(self, namespace: str, pod: str) -> None:
        """Take a pod out of the edge at once and wait until its last request is answered (30 s at most)."""
        gone = self._leaving.setdefault((namespace, pod), asyncio.Event())
        self.wake()
        with anyio.move_on_after(DRAIN_LIMIT + 2):
            await gone.wait()

    async def sessions(self) -> dict[str, int]:
        """Count the requests in hand by backend and server, `NS_SERVICE_PORT/POD_PORT`."""
        return {"/".join(key): count for key, count in (await self.haproxy.runtime.sessions()).items()}

    # -- following the cluster

    async def _follow(self, started: asyncio.Event) -> None:
        while True:
            with contextlib.suppress(GoneError):
                async with self._objects.watch(SERVICES, SLICES, INGRESSES, "pods") as events:
                    self.wake()
                    started.set()
                    async for event in events:
                        if event.resource != "pods":
                            self.wake()
                        elif event.type == "DELETED":
                            self._forget(namespace_of(event.object), name_of(event.object))

    def _forget(self, namespace: str, pod: str) -> None:
        gone = self._leaving.pop((namespace, pod), None)
        if gone is not None:
            gone.set()

    async def _reconcile_for_ever(self) -> None:
        failures = 0
        while True:
            self._wake.clear()
            wait = 0.0
            try:
                wait = await self._reconcile()
                failures = 0
            except (EdgeError, KubeError, OSError) as error:
                log.error("the edge could not be brought up to date", error=str(error))  # noqa: TRY400 no trace
                await anyio.sleep(min(RETRY_LONGEST, RETRY * 2**failures))
                failures = min(failures + 1, 16)
            with anyio.move_on_after(wait):
                await self._wake_or_death()

    async def _wake_or_death(self) -> None:
        """Return when something changed or HAProxy ended (seen by its pidfd, at once)."""
        pid = self.haproxy.pid()
        if pid is None:
            return
        try:
            descriptor = os.pidfd_open(pid)
        except (OSError, AttributeError):  # not Linux, or just gone: the resync sees it
            await self._wake.wait()
            return
        loop = asyncio.get_running_loop()
        loop.add_reader(descriptor, self._wake.set)
        try:
            await self._wake.wait()
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)

    # -- one pass

    async def _reconcile(self) -> float:
        """Bring HAProxy to the desired state; returns after how many seconds to look again at the latest."""
        files = Files(str(self.haproxy.socket), self.trace_secret)
        await self._let_go()
        if not self._begun and self.haproxy.pid() is None:
            await self._settle()  # nobody is served yet: begin with everything that comes now
        self._begun = True
        state = await self._desired()
        self.haproxy.write(render(state, files))
        if self.haproxy.pid() is None:
            log.info("starting HAProxy", directory=str(self._settings.directory))
            await self.haproxy.start()
        wanted = f"windlass-{structure(state, files)}"
        if await self.haproxy.description() != wanted:
            await self._settle()
            state = await self._desired()
            wanted = f"windlass-{structure(state, files)}"
            self.haproxy.write(render(state, files))
            began = time.monotonic()
            await self.haproxy.reload(wanted)
            log.info("HAProxy reloaded", seconds=round(time.monotonic() - began, 3))
        wait = await self._servers(state)
        return min(wait, self._look_in, BLOCKED_LOOK if self._blocked else RESYNC)

    async def _settle(self) -> None:
        """Wait until nothing has changed for a moment: Services come several at a time, with networks behind them."""
        end = time.monotonic() + SETTLE_LONGEST
        while time.monotonic() < end:
            self._wake.clear()
            with anyio.move_on_after(SETTLE):
                await self._wake.wait()
            if not self._wake.is_set() and not self._unsettled():
                return

    async def _desired(self) -> EdgeState:
        services = (await self._objects.list(SERVICES)).items
        slices = (await self._objects.list(SLICES)).items
        ports, without = allocate(services, self._settings.ports, self._usable)
        for service in services:
            key = namespace_of(service), name_of(service)
            if key in ports:
                await self._note(service, ports[key])
            elif key in without:
                await self._warn(service, "NoAddress", "all ports of the edge are taken: widen the range")
        situation = routing.Situation(
            services=services,
            slices=slices,
            ingresses=(await self._objects.list(INGRESSES)).items,
            servers=await self._places(slices),
            ports=ports,
            gateways=dict(self._gateways()),
            leaving=frozenset(self._leaving),
            address=self._settings.address,
            ingress_port=self._settings.ingress_port,
        )
        state, refused = routing.state(situation)
        for ingress, reason in refused:
            await self._warn(ingress, "RouteRefused", reason)
        lost = Counter(uid_of(ingress) for ingress, _ in refused)
        for ingress in situation.ingresses:
            if lost[uid_of(ingress)] < routing.rules_of(ingress):
                await self._admit(ingress)
        return self._bindable(state)

    def _usable(self, port: int) -> bool:
        """Whether the port is free, or ours already (the annotation was not written before a crash)."""
        bind = f"{self._settings.address}:{port}"
        return bind in self._present_binds() or is_free(bind)

    async def _let_go(self) -> None:
        """Where the master was killed its worker may hold the addresses for a moment still."""
        end = time.monotonic() + LET_GO
        while self.haproxy.pid() is None and not all(map(is_free, self._present_binds())):
            if time.monotonic() > end:
                return
            await anyio.sleep(0.01)

    def _present_binds(self) -> set[str]:
        """Addresses of the configuration as it stands; the running HAProxy holds them."""
        try:
            lines = self.haproxy.config.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return set()
        return {line.split()[1] for line in lines if line.startswith("    bind ")}

    def _bindable(self, state: EdgeState) -> EdgeState:
        """Leave out listeners whose address somebody else holds: HAProxy would refuse all for the one."""
        held = self._present_binds() if self.haproxy.pid() is not None else set()
        kept = tuple(item for item in state.listeners if item.bind in held or is_free(item.bind))
        for item in set(state.listeners) - set(kept):
            if item.bind not in self._blocked:
                log.warning(
                    "another program holds an address of the edge", listener=item.name, bind=item.bind
                )
        self._blocked = {item.bind for item in state.listeners} - {item.bind for item in kept}
        return replace(state, listeners=kept)

    async def _note(self, service: Object, port: int) -> None:
        first = routing.tcp_ports(service)[0]
        scheme = routing.mode_of(first)
        address = f"{scheme}://{self._settings.address}:{port}"
        if noted_port(service) == port and annotations_of(service).get(ADDRESS) == address:
            return

        def change(obj: Object) -> Object | None:
            if uid_of(obj) != uid_of(service):
                return None
            annotations = {**annotations_of(obj), ADDRESS: address}
            return {**obj, "metadata": {**obj["metadata"], "annotations": annotations}}

        with contextlib.suppress(KubeError):  # gone meanwhile: the watch has told
            await self._objects.modify(
                SERVICES, namespace_of(service), name_of(service), change, manager=MANAGER
            )

    async def _admit(self, ingress: Object) -> None:
        """Say where an Ingress is served: it counts as progressing for as long as its status is silent."""
        place = {
            "ip": self._settings.address,
            "ports": [{"port": self._settings.ingress_port, "protocol": "TCP"}],
        }
        status = {"loadBalancer": {"ingress": [place]}}
        if ingress.get("status") == status:
            return

        def change(obj: Object) -> Object | None:
            return {**obj, "status": status} if uid_of(obj) == uid_of(ingress) else None

        with contextlib.suppress(KubeError):  # gone meanwhile: the watch has told
            await self._objects.modify(
                INGRESSES,
                namespace_of(ingress),
                name_of(ingress),
                change,
                manager=MANAGER,
                subresource="status",
            )

    async def _warn(self, obj: Object, reason: str, message: str) -> None:
        if (uid_of(obj), message) not in self._told:
            self._told.add((uid_of(obj), message))
            await self._recorder.tell(obj, EVENT_WARNING, reason, message)

    async def _places(self, slices: list[Object]) -> dict[tuple[str, str, int], tuple[str, int]]:
        places: dict[tuple[str, str, int], tuple[str, int]] = {}
        failures: dict[tuple[str, str, int], str] = {}
        for item in slices:
            for endpoint in item.get("endpoints") or ():
                reference = endpoint.get("targetRef") or {}
                if reference.get("kind") != "Pod" or not (endpoint.get("conditions") or {}).get("ready"):
                    continue
                for port in item.get("ports") or ():
                    key = (namespace_of(item), str(reference["name"]), int(port["port"]))
                    try:
                        places[key] = await self._locate(*key)
                    except KubeError as error:
                        failures[key] = str(error)
        self._look_in = self._unreached.note(failures, time.monotonic()) or RESYNC
        return places

    async def _servers(self, state: EdgeState) -> float:
        runtime = self.haproxy.runtime
        running = await runtime.servers()
        now = time.monotonic()
        waited = {key: now - since for key, since in self._draining.items()}
        sessions = await runtime.sessions() if any(server.draining for server in running) else {}
        steps = plan(state, running, sessions, waited)
        for command in steps.switch:
            await runtime.do(command)
        for backend, name in steps.removal:
            await self._remove(backend, name)
        if not steps.leaving:
            self._draining.clear()
            self._tell_drained(set())
            return RESYNC
        left = {(server.backend, server.name) for server in await runtime.servers()} & set(steps.leaving)
        self._draining = {key: self._draining.get(key, now) for key in left}
        self._tell_drained(left)
        return DRAIN_LOOK if left else RESYNC

    async def _remove(self, backend: str, name: str) -> None:
        try:
            await self.haproxy.runtime.do(f"set server {backend}/{name} state maint")
            await self.haproxy.runtime.do(f"del server {backend}/{name}")
        except RuntimeSocketError as error:  # it has connections still: again at the next look
            log.debug("server not removed yet", server=f"{backend}/{name}", error=str(error))

    def _tell_drained(self, left: set[tuple[str, str]]) -> None:
        for (namespace, pod), gone in self._leaving.items():
            mine = (b.startswith(f"{namespace}_") and s.startswith(f"{pod}_") for b, s in left)
            if not any(mine):
                gone.set()
