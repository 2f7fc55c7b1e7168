"""One pod on this node: looks at what is, decides, does it, writes the status, waits for the next thing."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING

import anyio
import structlog

from windlass.engine.errors import EngineError
from windlass.kube.errors import KubeError, NotFoundError
from windlass.kube.local.controllers.effects import EVENT_NORMAL, EVENT_WARNING
from windlass.kube.local.controllers.meta import deleting, name_of, namespace_of, status_of, uid_of
from windlass.kube.local.node import hosts
from windlass.kube.local.node.decide import Kill, Prune, Start, decide, latest
from windlass.kube.local.node.ending import terminate
from windlass.kube.local.node.hooks import run_hook
from windlass.kube.local.node.names import CONTAINER, POD_UID, by_container
from windlass.kube.local.node.pod_status import View, Waiting, pod_status, seeds
from windlass.kube.local.node.probers import ContainerProbes
from windlass.kube.local.node.probing import Answer, execute, http_get, tcp_socket
from windlass.kube.local.node.spec import main_containers, probe_port
from windlass.kube.local.node.starting import NotYetError, start
from windlass.kube.local.node.volumes import VolumeRules, Volumes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from windlass.engine.port import Container
    from windlass.kube.local.controllers.meta import Object
    from windlass.kube.local.node.decide import Decision
    from windlass.kube.local.node.node import Node

HELD_FIRST, HELD_LONGEST = 2.0, 60.0
ROUNDS = 20
log = structlog.get_logger()


class PodWorker:
    """Runs a pod until it is deleted. One task each; `see` and `wake` are called from the same event loop."""

    def __init__(self, node: Node, pod: Object, containers: Sequence[Container]) -> None:
        self.node = node
        self.pod = pod
        self.known = {container.id: container for container in containers}
        self._stale = False
        self._wake = asyncio.Event()
        self._probes: dict[str, ContainerProbes] = {}
        self._waiting: dict[str, Waiting] = {}
        self._held: dict[str, tuple[float, int]] = {}
        self._killing: dict[str, asyncio.Task[None]] = {}
        self._messages: dict[str, str] = {}
        self._files_stale = False
        self.directory = node.settings.directory / "pods" / uid_of(pod)
        self._volumes = Volumes(self.directory / "volumes", VolumeRules(node.settings.host_path))
        self.scope = anyio.CancelScope()

    # -- what others tell it

    def see(self, pod: Object) -> None:
        """Take the pod as it now is."""
        self.pod = pod
        self._wake.set()

    def wake(self, *, containers: bool = False, files: bool = False) -> None:
        """Look again; `containers`: the engine has news, `files`: a ConfigMap or Secret has."""
        self._stale = self._stale or containers
        if files:
            self._files_stale = True
            self._held.clear()
        self._wake.set()

    def container(self, name: str) -> Container | None:
        """Return the last attempt of a container."""
        return latest(by_container(self.known.values()), name)

    def previous(self, name: str) -> Container | None:
        """Return the attempt before the last one."""
        attempts = by_container(self.known.values()).get(name) or []
        return attempts[-2] if len(attempts) > 1 else None

    def reason(self, name: str) -> str:
        """Why a container does not run."""
        waiting = self._waiting.get(name)
        return f"{waiting.reason} {waiting.message}".strip() if waiting is not None else "ContainerCreating"

    @property
    def holder(self) -> Container | None:
        """The container that holds the pod's network, if it runs."""
        found = self.container(main_containers(self.pod)[0]["name"])
        return found if found is not None and found.state == "running" else None

    @property
    def address(self) -> str:
        """The pod's address in its network; the node's own where the engine has no networks (the fake)."""
        holder = self.holder
        if holder is None:
            return ""
        return next((address for address in holder.addresses.values() if address), "127.0.0.1")

    # -- its life

    async def run(self) -> None:
        """Work until the pod is gone."""
        with self.scope:
            try:
                await self._live()
            finally:
                with anyio.CancelScope(shield=True):
                    await self.close_probes()
                    for task in self._killing.values():
                        task.cancel()

    async def _live(self) -> None:
        while True:
            self._wake.clear()
            try:
                if deleting(self.pod):
                    await terminate(self)
                    return
                wait = await self._sync()
            except (EngineError, KubeError, OSError) as error:
                log.warning("pod not synchronised", pod=name_of(self.pod), error=str(error))
                self._stale, wait = True, 1.0
            with anyio.move_on_after(wait):
                await self._wake.wait()

    async def _sync(self) -> float | None:
        """One pass; returns after how many seconds to look again at the latest."""
        if self._stale:
            await self._refresh()
        if self._files_stale:
            await self._update_files()
        decision = await self._act()
        self._begin_probes()
        self._write_hosts()
        await self._write_status(decision)
        waits = [until - time.time() for until, _ in self._held.values() if until]
        waits += [] if decision.wait is None else [decision.wait]
        return max(0.01, min(waits)) if waits else None

    async def _act(self) -> Decision:
        for _ in range(ROUNDS):
            decision = decide(self.pod, by_container(self.known.values()), self._failed_probes(), time.time())
            changed = False
            for action in decision.actions:
                if deleting(self.pod):
                    return decision
                changed = await self._perform(action) or changed
            if not changed:
                return decision
        return decision

    async def _refresh(self) -> None:
        self._stale = False
        found = await self.node.engine.list({POD_UID: uid_of(self.pod)})
        for container in found:
            before = self.known.get(container.id)
            if container.state == "exited" and (before is None or before.state != "exited"):
                await self._ended(container)
        self.known = {container.id: container for container in found}

    async def _ended(self, container: Container) -> None:
        """Keep the last words of a container where its pod asks for them."""
        name = container.labels.get(CONTAINER, "")
        spec: Object = next((c for c in self.pod["spec"]["containers"] if c["name"] == name), {})
        if spec.get("terminationMessagePolicy") == "FallbackToLogsOnError" and container.exit_code:
            lines = [line async for line in self.node.engine.logs(container.id, tail=80)]
            self._messages[container.id] = b"".join(lines)[-2048:].decode(errors="replace")

    def _failed_probes(self) -> dict[str, str]:
        return {name: probes.failed for name, probes in self._probes.items() if probes.failed}

    # -- doing

    async def _perform(self, action: Start | Kill | Prune) -> bool:
        """Do it; True if the containers changed."""
        match action:
            case Prune(identity):
                await self.node.engine.remove(identity)
                self.known.pop(identity, None)
                return True
            case Kill():
                self._kill(action)
                return False
            case Start(name):
                if self._held.get(name, (0.0, 0))[0] > time.time():
                    return False
                return await self._start(action)

    async def _start(self, step: Start) -> bool:
        spec = next(c for c in self.specs() if c["name"] == step.container)
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._write_hosts()
        try:
            running = await start(self.node, self.pod, spec, step, self._volumes, self.directory / "hosts")
        except NotYetError as reason:
            self._waiting[step.container] = reason.waiting
            if reason.retry:
                failures = self._held.get(step.container, (0.0, 0))[1]
                delay = min(HELD_LONGEST, HELD_FIRST * 2**failures)
                self._held[step.container] = (time.time() + delay, failures + 1)
            return False
        self._waiting.pop(step.container, None)
        self._held.pop(step.container, None)
        self.known[running.id] = running
        if (spec.get("lifecycle") or {}).get("postStart"):
            await self._post_start(spec, running)
        return True

    async def _post_start(self, spec: Object, running: Container) -> None:
        handler = spec["lifecycle"]["postStart"]
        answer = await run_hook(self.node.engine, running.id, handler, self._place(spec, handler), 60.0)
        if not answer.ok:
            self.node.tell(self.pod, EVENT_WARNING, "FailedPostStartHook", answer.said)
            await self.node.engine.kill(running.id)
            self._stale = True

    def _kill(self, action: Kill) -> None:
        if action.id in self._killing:
            return
        text = f"Container {action.container} {action.reason}, will be restarted"
        self.node.tell(self.pod, EVENT_NORMAL, "Killing", text)
        spec = next(c for c in self.specs() if c["name"] == action.container)

        async def kill() -> None:
            try:
                await self.stop(
                    spec, action.id, float(self.pod["spec"].get("terminationGracePeriodSeconds") or 30)
                )
            except EngineError as error:
                log.warning("container not stopped", container=action.container, error=str(error))
            finally:
                self._killing.pop(action.id, None)
                self.wake(containers=True)

        self._killing[action.id] = asyncio.get_running_loop().create_task(kill())

    async def stop(self, spec: Object, identity: str, grace: float) -> None:
        """PreStop, SIGTERM, and SIGKILL when the grace period is over."""
        end = time.monotonic() + grace
        handler = (spec.get("lifecycle") or {}).get("preStop")
        if handler and grace > 0:
            place = self._place(spec, handler)
            answer = await run_hook(self.node.engine, identity, handler, place, grace)
            if not answer.ok:
                self.node.tell(self.pod, EVENT_WARNING, "FailedPreStopHook", answer.said)
        left = end - time.monotonic()
        await self.node.engine.stop(identity, max(left, 2.0 if handler and grace > 0 else 0.0))

    def specs(self) -> list[Object]:
        """Return all containers of the pod's spec, those that initialise it first."""
        return [*(self.pod["spec"].get("initContainers") or ()), *self.pod["spec"]["containers"]]

    # -- probes

    def _begin_probes(self) -> None:
        """Probe each running main container; the probes of one that was replaced end."""
        for spec in main_containers(self.pod):
            name = spec["name"]
            container = self.container(name)
            probes = self._probes.get(name)
            running = container is not None and container.state == "running"
            if probes is not None and (
                not running or container is None or probes.container.id != container.id
            ):
                self._killing[f"probes of {probes.container.id}"] = asyncio.create_task(probes.close())
                del self._probes[name]
                probes = None
            if running and container is not None and probes is None:
                self._probes[name] = self._probe(spec, container)

    def _probe(self, spec: Object, container: Container) -> ContainerProbes:
        async def ask(probe: Object) -> Answer:
            return await self._ask(spec, container, probe)

        return ContainerProbes(
            spec,
            container,
            ask=ask,
            changed=self.wake,
            told=lambda text: self.node.tell(self.pod, EVENT_WARNING, "Unhealthy", text),
            seed=seeds(self.pod, container),
        )

    def _place(self, spec: Object, probe: Object) -> tuple[str, int] | None:
        port = probe_port(spec, probe)
        return None if port is None else self.node.reach(self, port)

    async def _ask(self, spec: Object, container: Container, probe: Object) -> Answer:
        timeout = float(probe.get("timeoutSeconds") or 1)
        if probe.get("exec"):
            return await execute(self.node.engine, container.id, probe["exec"]["command"], timeout)
        place, port = self._place(spec, probe), probe_port(spec, probe)
        if place is None:
            return Answer(ok=False, said=f"port {port} of the pod cannot be reached")
        shown = f"{self.address}:{port}"
        if probe.get("httpGet"):
            return await http_get(probe["httpGet"], place, shown, timeout)
        return await tcp_socket(place, shown, timeout)

    async def close_probes(self) -> None:
        """Stop asking."""
        for probes in self._probes.values():
            await probes.close()

    # -- status and files

    async def _update_files(self) -> None:
        self._files_stale = False
        if self.known and (self.directory / "volumes").exists():
            self._volumes.prepare(self.pod, await self.node.sources(self.pod))

    def _write_hosts(self) -> None:
        if not self.directory.exists():
            return
        namespace = namespace_of(self.pod)
        own = (self.address, (self.pod["spec"].get("hostname") or name_of(self.pod))[:63])
        text = hosts.content(
            own,
            self.node.gateways().get(namespace, ""),
            self.node.service_names(namespace),
            self.pod["spec"].get("hostAliases") or (),
        )
        hosts.rewrite(self.directory / "hosts", text)

    def refresh_hosts(self) -> None:
        """Services or gateways have changed."""
        self._write_hosts()

    async def _write_status(self, decision: Decision) -> None:
        view = View(
            containers=by_container(self.known.values()),
            ready={name: probes.ready for name, probes in self._probes.items()},
            started={name: probes.started for name, probes in self._probes.items()},
            waiting=self._waiting,
            backing_off=decision.backing_off,
            messages=self._messages,
            initialized=decision.initialized,
            engine=self.node.engine.name,
            pod_ip=self.address,
            evidence={name: probes.evidence for name, probes in self._probes.items() if probes.evidence},
        )
        self._tell_backoff(decision)

        def change(pod: Object) -> Object | None:
            if uid_of(pod) != uid_of(self.pod):
                return None
            fresh = pod_status(pod, view, time.time())
            return None if fresh == status_of(pod) else {**pod, "status": fresh}

        with contextlib.suppress(NotFoundError):
            await self.node.objects.modify(
                "pods",
                namespace_of(self.pod),
                name_of(self.pod),
                change,
                subresource="status",
                manager="kubelet",
            )

    def _tell_backoff(self, decision: Decision) -> None:
        """Once for each time it is held back."""
        for name in decision.backing_off:
            held = self.container(name)
            if held is not None and held.id not in self.node.told:
                self.node.told.add(held.id)
                text = f"Back-off restarting failed container {name} in pod {name_of(self.pod)}"
                self.node.tell(self.pod, EVENT_WARNING, "BackOff", text)
