"""Containers by command line: create, run, end, look at, listen to."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

import structlog

from windlass.engine.cli import argv as vectors
from windlass.engine.cli import follow as followers
from windlass.engine.cli import parse
from windlass.engine.cli.core import QUICK, Core, check_image, check_name, last_line
from windlass.engine.cli.failures import failure
from windlass.engine.cli.process import call
from windlass.engine.errors import (
    ContainerNotFoundError,
    EngineError,
    ImageNotFoundError,
    NameInUseError,
    StartError,
)
from windlass.engine.port import ExecResult

if TYPE_CHECKING:
    import builtins
    from collections.abc import AsyncGenerator, Callable, Mapping, Sequence

    from windlass.engine.cli.argv import Tool
    from windlass.engine.cli.process import Command
    from windlass.engine.port import Container, ContainerEvent, ContainerSpec, Stream

log = structlog.get_logger()


class ContainerCommands(Core):
    """The container half of `Engine`."""

    def __init__(self, tool: Tool, *, concurrency: int | None = None) -> None:
        super().__init__(tool, concurrency=concurrency)
        self._digests: dict[str, str] = {}

    async def create(self, spec: ContainerSpec) -> str:
        """Create a container."""
        command = vectors.create(self.tool, spec, limit=await self._limits(spec))
        return last_line(await self.must(f"create container {spec.name}", command))

    async def run(self, spec: ContainerSpec) -> str:
        """Create and start a container."""
        attempted = f"run container {spec.name} of {spec.image}"
        command = vectors.create(self.tool, spec, run=True, limit=await self._limits(spec))
        try:
            return last_line(await self.must(attempted, command))
        except (NameInUseError, ImageNotFoundError):
            raise
        except EngineError as error:
            with contextlib.suppress(EngineError):
                await self.remove(spec.name)
            raise _as_start_error(error) from error

    async def start(self, container: str) -> None:
        """Start a container."""
        try:
            await self.ask(f"start container {container}", "start", check_name(container))
        except ContainerNotFoundError:
            raise
        except EngineError as error:
            raise _as_start_error(error) from error

    async def stop(self, container: str, grace: float = 10) -> None:
        """Stop a container."""
        command = vectors.stop(self.tool, check_name(container), grace)
        await self._unless_ended(container, f"stop container {container}", command, timeout=grace + QUICK)

    async def kill(self, container: str, signal: str = "KILL") -> None:
        """Signal a container."""
        command = self.tool.command("kill", "--signal", signal, check_name(container))
        await self._unless_ended(container, f"send {signal} to container {container}", command)
        if signal.upper().removeprefix("SIG") in {"KILL", "9"}:
            with contextlib.suppress(ContainerNotFoundError):
                await self.wait(container)

    async def remove(self, container: str) -> None:
        """Remove a container; a second try, because an engine may be busy with its end."""
        command = vectors.remove(self.tool, check_name(container))
        for last in (False, True):
            done = await self.run_tool(f"remove container {container}", command)
            if not done.returncode or await self.inspect(container) is None:
                return
            if last:
                raise failure(f"remove container {container}", done.complaint)

    async def wait(self, container: str) -> int:
        """Wait for a container's end."""
        often = ("--interval", "100") if self.name == "podman" else ()
        attempted = f"wait for container {container}"
        command = self.tool.command("wait", *often, check_name(container))
        done = await call(command, attempted=attempted, timeout=None)
        if done.returncode:
            raise failure(attempted, done.complaint)
        return int(last_line(done))

    async def inspect(self, container: str) -> Container | None:
        """Look at a container."""
        found = await self._inspect([check_name(container)])
        return found[0] if found else None

    async def list(self, labels: Mapping[str, str]) -> builtins.list[Container]:
        """List containers by labels."""
        done = await self.must("list containers", vectors.listing(self.tool, labels))
        return [*await self._inspect(done.text.split())]

    def events(self, labels: Mapping[str, str]) -> AsyncGenerator[ContainerEvent, None]:
        """Follow events."""
        return followers.events(self.tool, labels, self.answers)

    async def logs(
        self,
        container: str,
        *,
        follow: bool = False,
        tail: int | None = None,
        since: float = 0.0,
        timestamps: bool = False,
        streams: Sequence[Stream] = ("stdout", "stderr"),
    ) -> AsyncGenerator[bytes, None]:
        """Read a container's output."""
        moment = parse.rfc3339(since) if since else ""

        def read(*, follow: bool, tail: int | None) -> AsyncGenerator[bytes, None]:
            command = vectors.logs(
                self.tool,
                check_name(container),
                follow=follow,
                tail=tail,
                since=moment,
                timestamps=timestamps,
            )
            return followers.log_lines(command, f"read the log of container {container}", streams)

        feed = (
            followers.whole_lines(read, follow=follow, tail=tail, timestamps=timestamps)
            if self.tool.dialect == "podman"
            else read(follow=follow, tail=tail)
        )
        async with contextlib.aclosing(feed):
            async for line in feed:
                yield line

    async def exec(
        self,
        container: str,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
        user: str = "",
        workdir: str = "",
        timeout: float | None = None,
        on_output: Callable[[Stream, bytes], None] | None = None,
    ) -> ExecResult:
        """Run a command in a container."""
        command = vectors.execute(
            self.tool,
            check_name(container),
            argv,
            env=env or {},
            stdin=stdin is not None,
            user=user,
            workdir=workdir,
        )
        attempted = f"run {argv[0]} in container {container}"
        sink = followers.stream_sink(on_output) if on_output else None
        done = await call(command, attempted=attempted, timeout=timeout, stdin=stdin, sink=sink)
        if done.returncode in {1, 125, 255} and followers.refused(done.complaint):
            raise failure(attempted, done.complaint)
        return ExecResult(done.returncode, done.stdout, done.stderr)

    async def _inspect(self, containers: Sequence[str]) -> Sequence[Container]:
        if not containers:
            return []
        attempted = f"inspect {len(containers)} container(s)"
        done = await self.run_tool(attempted, self.tool.command("container", "inspect", *containers))
        entries: list[dict[str, Any]] = json.loads(done.stdout.strip() or b"[]")
        if done.returncode and not entries:
            error = failure(attempted, done.complaint)
            if not isinstance(error, ContainerNotFoundError):
                raise error
        await self._learn_digests({str(entry["Image"]) for entry in entries if not entry.get("ImageDigest")})
        return [parse.container(entry, self._digests) for entry in entries]

    async def _learn_digests(self, images: set[str]) -> None:
        """Look up digests, because docker's containers know their image's id only."""
        for image in images - self._digests.keys():
            found = await self.image(image)
            self._digests[image] = found.digest if found else ""

    async def _limits(self, spec: ContainerSpec) -> frozenset[str]:
        check_name(spec.name)
        check_image(spec.image)
        info = self._info or await self.info()
        wanted = {"memory": spec.memory, "cpus": spec.cpus, "pids": spec.pids}
        if missing := {name for name, value in wanted.items() if value} - info.can_limit:
            log.warning("engine.limits_not_enforced", container=spec.name, limits=sorted(missing))
        return info.can_limit

    async def _unless_ended(
        self, container: str, attempted: str, command: Command, timeout: float = QUICK
    ) -> None:
        done = await self.run_tool(attempted, command, timeout=timeout)
        if done.returncode:
            found = await self.inspect(container)
            if found is not None and found.state == "running":
                raise failure(attempted, done.complaint)


def _as_start_error(error: EngineError) -> EngineError:
    """Name a failure to start as one, unless it is more specific."""
    if type(error) is EngineError:
        return StartError(error.attempted, stderr=error.stderr, remedy=error.remedy)
    return error
