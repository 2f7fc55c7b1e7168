"""What every part of a command line driver stands on: the tool, the limit on processes, and errors that explain."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import anyio

from windlass.engine.cli import parse
from windlass.engine.cli.failures import failure
from windlass.engine.cli.process import call
from windlass.engine.errors import EngineError, ImageNotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from windlass.engine.cli.argv import Tool
    from windlass.engine.cli.process import Command, Completed
    from windlass.engine.port import EngineInfo, ImageInfo

QUICK = 60.0
"""Seconds after which an engine that does not answer a short question counts as hanging."""

LASTING = 32
"""Commands at a time that may take longer: the end of a container with its grace period, pulls, builds."""

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}")
_IMAGE = re.compile(r"[a-zA-Z0-9\[][a-zA-Z0-9_.:/@\[\]-]{0,511}")


class Core:
    """The engine's command line, at most `concurrency` short commands of it at a time.

    What may last has a limit of its own: pods that do not hear SIGTERM must not keep others from being looked at.
    """

    def __init__(self, tool: Tool, *, concurrency: int | None = None) -> None:
        self.tool = tool
        self._guard = anyio.CapacityLimiter(concurrency or max(4, 2 * (os.cpu_count() or 1)))
        self._patience = anyio.CapacityLimiter(LASTING)
        self._info: EngineInfo | None = None

    @property
    def name(self) -> Literal["podman", "docker"]:
        """The driver's name."""
        return self.tool.dialect

    @property
    def endpoint(self) -> str:
        """Where the engine is reached."""
        flags = dict(zip(self.tool.flags, self.tool.flags[1:], strict=False))
        return flags.get("--host") or os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")

    async def info(self) -> EngineInfo:
        """Ask the engine about itself."""
        shape = "json" if self.name == "podman" else "{{json .}}"
        data = json.loads((await self.ask("describe the engine", "info", "--format", shape)).stdout)
        for problem in data.get("ServerErrors") or ():
            raise failure("describe the engine", problem)
        podman = self.name == "podman"
        self._info = parse.podman_info(data) if podman else parse.docker_info(data, self.endpoint)
        return self._info

    async def image(self, image: str) -> ImageInfo | None:
        """Look up a local image."""
        attempted = f"look up image {check_image(image)}"
        done = await self.run_tool(attempted, self.tool.command("image", "inspect", image))
        found = json.loads(done.stdout or b"[]") if done.returncode == 0 else []
        if found:
            return parse.image(found[0])
        error = failure(attempted, done.complaint)
        if isinstance(error, ImageNotFoundError):
            return None
        raise error

    async def aclose(self) -> None:
        """Do nothing: a command line driver runs nothing on its own behalf."""

    async def answers(self) -> bool:
        """Tell whether the engine is there at all."""
        probe = self.tool.command("ps", "--quiet", "--last", "1")
        try:
            await self.must("reach the engine", probe, timeout=10)
        except EngineError:
            return False
        return True

    async def ask(self, attempted: str, *arguments: str) -> Completed:
        """Run a short command that must succeed."""
        return await self.must(attempted, self.tool.command(*arguments))

    async def must(self, attempted: str, command: Command, timeout: float = QUICK) -> Completed:
        """Run a command that must succeed."""
        done = await self.run_tool(attempted, command, timeout=timeout)
        if done.returncode:
            raise failure(attempted, done.complaint)
        return done

    async def run_tool(
        self,
        attempted: str,
        command: Command,
        *,
        timeout: float = QUICK,
        sink: Callable[[int, bytes], None] | None = None,
    ) -> Completed:
        """Run a command within the limit on processes, whatever its exit code."""
        async with self._patience if timeout > QUICK else self._guard:
            return await call(command, attempted=attempted, timeout=timeout, sink=sink)

    @contextlib.contextmanager
    def auth(self, auth_file: Path | None) -> Iterator[Path | None]:
        """Hand on credentials as the tool wants them: docker reads config.json in a directory."""
        if self.name == "podman" or auth_file is None or auth_file.name == "config.json":
            yield auth_file
            return
        with tempfile.TemporaryDirectory(prefix="windlass-auth-") as directory:
            copy = Path(directory) / "config.json"
            copy.touch(mode=0o600)
            shutil.copyfile(auth_file, copy)
            yield copy


def check_name(name: str) -> str:
    """Refuse what cannot be a container's or network's name or id, flags above all."""
    if not _NAME.fullmatch(name):
        raise EngineError(
            f"use the name {name[:100]!r}",
            stderr="names consist of letters, digits, '_', '.' and '-', and begin with a letter or digit",
        )
    return name


def check_image(image: str) -> str:
    """Refuse what cannot be an image's name or id, flags above all."""
    if not _IMAGE.fullmatch(image):
        raise EngineError(f"use the image {image[:100]!r}", stderr="that is not an image reference or id")
    return image


def last_line(done: Completed) -> str:
    """Take the last line printed: an id after notes about platforms and the like."""
    return done.text.strip().rpartition("\n")[2].strip()
