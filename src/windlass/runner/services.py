"""The containers around a job: its own (`container:`), its services, and the network that they share."""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from windlass.engine import ContainerSpec, EngineError, Mount
from windlass.engine.references import ReferenceSyntaxError, parse_reference
from windlass.runner.actions.container import container_variables
from windlass.runner.actions.docker import write_credentials
from windlass.runner.containers import certificate_mounts, have_image, labels, name_for, open_engine
from windlass.runner.errors import CancelledError, PathError, StepError
from windlass.runner.inside_container import ContainerSandbox
from windlass.runner.wanted import Wanted, wanted
from windlass.workflow.expressions import resolve

if TYPE_CHECKING:
    from collections.abc import Iterator

    from windlass.engine import Container, Engine
    from windlass.runner.state import JobState
    from windlass.runner.step import StepRun
    from windlass.runner.supervise import Control
    from windlass.runner.wanted import Health

_IDLE = ("sh", "-c", "trap 'exit 0' TERM; while :; do sleep 3600 & wait $!; done")
_LAST_LINES = 50
_PAUSE = 0.1
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Surroundings:
    """What a job has of containers. `start` once, `stop` whatever happened."""

    def __init__(self, state: JobState) -> None:
        self._state = state
        definition, scope = state.spec.definition, state.scope()
        self._container = wanted("container", resolve(definition.get("container") or "", scope))
        services = resolve(definition.get("services") or {}, scope) or {}
        read = {name: wanted(f"service {name}", given) for name, given in services.items()}
        self._services = {name: found for name, found in read.items() if found is not None}
        self._made: dict[str, str] = {}
        self._network = ""

    def __bool__(self) -> bool:
        return self._container is not None or bool(self._services)

    def start(self, run: StepRun) -> None:
        """Start everything and wait until services are healthy. Raises `StepError`, `CancelledError`."""
        with _interruptible(self._state.control):
            asyncio.run(self._start(run))

    def stop(self, run: StepRun | None) -> None:
        """Remove everything, after the last words of services that may tell why the job failed."""
        asyncio.run(self._stop(run))

    async def _start(self, run: StepRun) -> None:
        engine = await open_engine(self._state)
        if engine.name == "fake":
            raise StepError("`container:` and `services:` need podman or docker on this machine")
        try:
            if self._services:
                network = name_for(self._state.spec.id, "net")
                await engine.network_ensure(network, labels(self._state.spec), dns=True)
                self._network = self._state.network = network
            for name, one in self._services.items():
                await self._start_service(engine, run, name, one)
            if self._container is not None:
                await self._start_container(engine, run, self._container)
            for name, one in self._services.items():
                if one.health is not None:
                    await self._wait(engine, run, name, one.health)
        except EngineError as error:
            raise StepError(str(error)) from error
        finally:
            await engine.aclose()

    async def _start_service(self, engine: Engine, run: StepRun, name: str, one: Wanted) -> None:
        one = await self._fetch(engine, run, name, one)
        published = self._container is None
        spec = self._spec(name, one if published else replace(one, ports=()), self._network)
        self._made[name] = spec.name
        try:
            await engine.run(spec)
        except EngineError as error:
            hint = " A fixed host port may be taken: write the container's port alone, and read the one it gets from "
            hint += f"job.services.{name}.ports."
            raise StepError(f"service {name}: {error}{hint if one.ports and published else ''}") from error
        found = await engine.inspect(spec.name)
        ports = {str(inner): str(outer) for inner, outer in (found.ports if found else {}).items()}
        if not published:
            ports = {str(port.container): str(port.container) for port in one.ports}
        shown = {"id": found.id if found else "", "network": self._network, "ports": ports}
        self._state.job.setdefault("services", {})[name] = shown
        run.say(
            f"Service {name}: {one.image}"
            + "".join(f", port {key} at {value}" for key, value in ports.items())
        )

    async def _start_container(self, engine: Engine, run: StepRun, one: Wanted) -> None:
        state, paths = self._state, self._state.paths
        one = await self._fetch(engine, run, "container", one)
        image = await engine.image(one.image)
        network = self._network or "host"
        shown = [Mount(str(place.host), place.inside) for place in paths if place != paths.bin]
        project = Path(paths.workspace.inside).name
        shown.append(Mount(str(paths.workspace.host), f"/__w/{project}/{project}"))
        base = container_variables(state.base)
        spec = self._spec("job", replace(one, ports=()), network, [*shown, *certificate_mounts(base)])
        self._made["container"] = spec.name
        await engine.run(spec)
        path = (dict(image.env).get("PATH") if image else "") or _PATH
        state.contained_base = {**base, "PATH": path, "HOME": paths.home.inside, **one.env}
        state.contained = ContainerSandbox(engine.tool, spec.name, paths.files, user=one.user)  # type: ignore[attr-defined]
        found = await engine.inspect(spec.name)
        state.job["container"] = {"id": found.id if found else "", "network": network}
        where = "the services' network" if self._network else "the machine's network"
        run.say(f"Steps run in a container of {one.image}, on {where}")

    def _spec(self, name: str, one: Wanted, network: str, own: list[Mount] | None = None) -> ContainerSpec:
        """Return a service's container or, with mounts of its `own`, the one that steps run in."""
        return ContainerSpec(
            name=name_for(self._state.spec.id, name), image=one.image, env=one.env, labels=labels(self._state.spec),
            ports=one.ports, network=network,
            mounts=(*(own or ()), *self._volumes(name, one)), aliases=() if own else (name,), hostname=one.hostname,
            entrypoint=_IDLE if own else one.entrypoint, command=None if own else one.command,
            memory=one.memory, cpus=one.cpus, user="" if own else one.user, workdir=one.workdir, init=one.init,
            cap_drop=one.cap_drop, ulimits=one.ulimits,
        )  # fmt: skip

    def _volumes(self, name: str, one: Wanted) -> list[Mount]:
        """Return mounts of the job's own directories: a named volume is one that ends with the job."""
        made = []
        root = Path(self._state.spec.directory) / "volumes"
        for index, (source, target, read_only) in enumerate(one.volumes):
            if source.startswith(("/", ".")):
                try:
                    place = self._state.paths.to_host(source)
                except PathError:
                    raise StepError(
                        f"{name}: volumes: {source} is not one of the job's directories; others of this machine "
                        "are not shown to jobs"
                    ) from None
            else:
                place = root / (re.sub(r"[^A-Za-z0-9_.-]", "_", source).lstrip(".") or f"{name}-{index}")
            place.mkdir(parents=True, exist_ok=True)
            made.append(Mount(str(place), target, read_only=read_only))
        return made

    async def _fetch(self, engine: Engine, run: StepRun, name: str, one: Wanted) -> Wanted:
        """Have the image, with the credentials that are given or, of this server's registry, the job's own."""
        state = self._state
        if one.password:
            state.masker.add(one.password)
        try:
            registry = parse_reference(one.image).registry
        except ReferenceSyntaxError as error:
            raise StepError(f"{name}: {error}") from error
        auth = None
        if one.username and one.password:
            auth = write_credentials(state, name, registry, one.username, one.password)
        elif registry in state.spec.mirrors or registry in state.spec.mirrors.values():
            auth = write_credentials(state, name, registry, "x-access-token", state.token)
        return replace(one, image=await have_image(engine, state, one.image, run.say, auth))

    async def _wait(self, engine: Engine, run: StepRun, name: str, health: Health) -> None:
        """Ask the service until it is healthy; as often as told, but often at first."""
        began, failures, pause = time.monotonic(), 0, _PAUSE
        container = self._made[name]
        while True:
            try:
                done = await engine.exec(container, ["sh", "-c", health.command], timeout=health.timeout)
                if done.exit_code == 0:
                    run.say(f"Service {name} is healthy after {time.monotonic() - began:.1f} s")
                    return
                answer = (done.stdout + done.stderr).decode(errors="replace").strip()[-500:]
            except EngineError as error:
                answer = str(error)
            now = await engine.inspect(container)
            waited = time.monotonic() - began
            failures += waited >= min(health.interval * (failures + 1), 600) + health.start_period
            if _ended(now) or failures >= max(health.retries, 1):
                await self._tell(engine, run, name)
                state = f"ended with exit code {now.exit_code}" if now and _ended(now) else "is not healthy"
                raise StepError(f"service {name} {state} after {waited:.0f} s: {health.command}: {answer}")
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, health.interval, 5.0)

    async def _tell(self, engine: Engine, run: StepRun, name: str) -> None:
        run.say(f"##[group]Last lines of service {name}")
        with contextlib.suppress(EngineError):
            async with contextlib.aclosing(engine.logs(self._made[name], tail=_LAST_LINES)) as lines:
                async for line in lines:
                    run.say(line.decode(errors="replace").rstrip())
        run.say("##[endgroup]")

    async def _stop(self, run: StepRun | None) -> None:
        if not self._made and not self._network:
            return
        engine = await open_engine(self._state)
        try:
            if run is not None and self._state.failed:
                for name in self._services.keys() & self._made.keys():
                    await self._tell(engine, run, name)
            for name in self._made.values():
                await engine.remove(name)
            if self._network:
                await engine.network_remove(self._network)
            self._made, self._network = {}, ""
        except EngineError as error:
            if run is not None:
                run.warning(f"Not everything could be removed: {error}")
        finally:
            await engine.aclose()


def _ended(container: Container | None) -> bool:
    return container is None or container.state == "exited"


@contextlib.contextmanager
def _interruptible(control: Control) -> Iterator[None]:
    """Let cancellation and the job's own time limit end what is done in the runner itself."""
    control.stop = lambda: CancelledError("The operation was cancelled.")
    left = control.deadline - time.monotonic()
    if left != float("inf"):
        signal.setitimer(signal.ITIMER_REAL, max(left, 0.001))
    try:
        yield
    finally:
        control.stop = None
        signal.setitimer(signal.ITIMER_REAL, 0)
