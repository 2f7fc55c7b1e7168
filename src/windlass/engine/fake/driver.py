"""The scripted engine: the whole port, in this process's memory."""

# ruff: noqa: ARG002 - the fake takes what the port gives, and need not look at all of it

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import ipaddress
import platform
import time
import uuid
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Literal

from windlass.engine.cli.parse import rfc3339
from windlass.engine.errors import (
    ContainerNotFoundError,
    EngineError,
    EngineTimeoutError,
    ImageNotFoundError,
    NameInUseError,
)
from windlass.engine.fake.box import Box
from windlass.engine.fake.script import EVERYTHING, Script, load
from windlass.engine.port import Container, ContainerEvent, EngineInfo, ExecResult, ImageInfo, Network

if TYPE_CHECKING:
    import builtins
    from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
    from pathlib import Path

    from windlass.engine.port import ContainerSpec, Stream


class FakeEngine:
    """`Engine` without containers: what an image does is scripted, its ports answer HTTP on 127.0.0.1.

    Unlike a real engine's, its containers end with this process.
    """

    def __init__(self, script: Script = EVERYTHING) -> None:
        self.script = script
        self.pushed: dict[str, str] = {}
        """What was pushed: destination to digest."""
        self.built: dict[str, object] = {}
        """What builds made, by digest; opaque here."""
        self._boxes: dict[str, Box] = {}
        self._images: dict[str, ImageInfo] = {}
        self._networks: dict[str, Network] = {}
        self._listeners: list[asyncio.Queue[ContainerEvent]] = []

    @classmethod
    def from_file(cls, file: Path) -> FakeEngine:
        """Open one with the script of a YAML file."""
        return cls(load(file))

    @property
    def name(self) -> Literal["fake"]:
        """The driver's name."""
        return "fake"

    async def info(self) -> EngineInfo:
        """Describe the fake."""
        limits = frozenset({"memory", "cpus", "pids"})
        machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
        return EngineInfo("fake", "1", True, 2, "none", limits, "memory", "", "in this process", machine)

    # --- images

    async def pull(
        self, image: str, *, auth_file: Path | None = None, tls_verify: bool = True, timeout: float = 600
    ) -> ImageInfo:
        """Have an image that the script knows."""
        if image in self._images:
            return self._images[image]
        if not self.script.knows(image):
            raise ImageNotFoundError(
                f"pull {image}", stderr="manifest unknown", remedy="add it to the script"
            )
        return self.add_image(image)

    async def push(
        self,
        image: str,
        destination: str,
        *,
        auth_file: Path | None = None,
        tls_verify: bool = True,
        on_line: Callable[[str], None] | None = None,
        timeout: float = 600,
    ) -> str:
        """Note down what would be sent."""
        found = await self._need_image(image, f"push {image} to {destination}")
        self.pushed[destination] = found.digest
        if on_line:
            on_line(f"{destination}: digest: {found.digest}")
        return found.digest

    async def image(self, image: str) -> ImageInfo | None:
        """Look an image up."""
        return self._images.get(image) or next((i for i in self._images.values() if i.id == image), None)

    async def tag(self, image: str, name: str) -> None:
        """Name an image."""
        self._images[name] = await self._need_image(image, f"tag {image} as {name}")

    async def image_remove(self, image: str) -> None:
        """Forget an image's name."""
        self._images.pop(image, None)

    async def import_image(self, tar: Path, name: str, changes: Sequence[str] = ()) -> str:
        """Have an image of that name."""
        if not tar.exists():  # noqa: ASYNC240 - a fake may look at a file
            raise EngineError(f"import {tar} as {name}", stderr="no such file", remedy="check the path")
        return self.add_image(name).id

    def add_image(
        self, image: str, *, digest: str = "", labels: Mapping[str, str] | None = None
    ) -> ImageInfo:
        """Put an image there, as a build does; its digest follows from its name where none is given."""
        digest = digest or image.partition("@")[2] or f"sha256:{hashlib.sha256(image.encode()).hexdigest()}"
        identity = f"sha256:{hashlib.sha256(digest.encode()).hexdigest()}"
        made = ImageInfo(
            identity, digest, (image,), {}, (), (), "", "/", (), labels or {}, 0, time.time(), "amd64"
        )
        self._images[image] = made
        return made

    # --- containers

    async def create(self, spec: ContainerSpec) -> str:
        """Make a box."""
        attempted = f"create container {spec.name}"
        image = await self._need_image(spec.image, attempted)
        if any(box.spec.name == spec.name for box in self._boxes.values()):
            raise NameInUseError(
                attempted, stderr=f"the name {spec.name} is in use", remedy="remove that one first"
            )
        behaviour = self.script.choose(spec.image, {**image.env, **spec.env})
        box = Box(uuid.uuid4().hex * 2, spec, behaviour, image.digest, self._tell)
        self._boxes[box.id] = box
        self._tell(box, "created")
        return box.id

    async def start(self, container: str) -> None:
        """Begin the script."""
        await self._need(container, f"start container {container}").start()

    async def run(self, spec: ContainerSpec) -> str:
        """Create and start."""
        identity = await self.create(spec)
        try:
            await self.start(identity)
        except EngineError:
            await self.remove(identity)
            raise
        return identity

    async def stop(self, container: str, grace: float = 10) -> None:
        """Ask the script to end."""
        if box := self._find(container):
            await box.stop(grace)

    async def kill(self, container: str, signal: str = "KILL") -> None:
        """End the script; a signal other than KILL is taken as asking."""
        box = self._find(container)
        if box is None or box.state != "running":
            return
        if signal.upper().removeprefix("SIG") in {"KILL", "9"}:
            await box.end(137)
        elif box.behaviour.stop_after == 0:
            await box.end(box.behaviour.stop_code)

    async def remove(self, container: str) -> None:
        """Forget the box."""
        if box := self._find(container):
            if box.state == "running":
                await box.end(137)
            self._boxes.pop(box.id, None)
            self._tell(box, "removed")

    async def wait(self, container: str) -> int:
        """Wait for the end."""
        box = self._need(container, f"wait for container {container}")
        async with box.news:
            await box.news.wait_for(lambda: box.state == "exited")
        return box.exit_code or 0

    async def inspect(self, container: str) -> Container | None:
        """Look at a box."""
        box = self._find(container)
        return box.record() if box else None

    async def list(self, labels: Mapping[str, str]) -> builtins.list[Container]:
        """List boxes by labels."""
        return [box.record() for box in self._boxes.values() if _bears(box.spec.labels, labels)]

    async def events(self, labels: Mapping[str, str]) -> AsyncGenerator[ContainerEvent, None]:
        """Tell what happens to boxes."""
        queue: asyncio.Queue[ContainerEvent] = asyncio.Queue()
        self._listeners.append(queue)
        try:
            yield ContainerEvent("resync", at=time.time())
            while True:
                event = await queue.get()
                if event.kind == "resync" or _bears(event.labels, labels):
                    yield event
        finally:
            self._listeners.remove(queue)

    def interrupt(self) -> None:
        """Act as an engine that was restarted: every event stream resyncs."""
        for queue in self._listeners:
            queue.put_nowait(ContainerEvent("resync", at=time.time()))

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
        """Read what was written."""
        box = self._need(container, f"read the log of container {container}")
        done = len(box.log) - min(tail, len(box.log)) if tail is not None else 0
        while True:
            while done < len(box.log):
                at, stream, line = box.log[done]
                done += 1
                if stream in streams and at >= since:
                    yield rfc3339(at).encode() + b" " + line if timestamps else line
            if not follow or box.ended:
                return
            await box.more_than(done)

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
        """Answer from the script; `sleep N` sleeps, other unknown commands are not there (127)."""
        attempted = f"run {argv[0]} in container {container}"
        box = self._need(container, attempted)
        if box.state != "running":
            raise EngineError(attempted, stderr="the container is not running", remedy="start it first")
        line = " ".join(argv)
        result = next((r for p, r in box.behaviour.execs.items() if fnmatchcase(line, p)), None)
        if result is None and argv[0] == "sleep":
            try:
                await asyncio.wait_for(asyncio.sleep(float(argv[1])), timeout)
            except TimeoutError:
                raise EngineTimeoutError(attempted, stderr=f"no end within {timeout:g} s") from None
            result = ExecResult(0, b"", b"")
        result = result or ExecResult(127, b"", f"{argv[0]}: not found\n".encode())
        if on_output is None:
            return result
        for stream, chunk in (("stdout", result.stdout), ("stderr", result.stderr)):
            if chunk:
                on_output("stdout" if stream == "stdout" else "stderr", chunk)
        return ExecResult(result.exit_code, b"", b"")

    # --- networks

    async def network_ensure(
        self, name: str, labels: Mapping[str, str] | None = None, *, dns: bool = False
    ) -> Network:
        """Have a network; its gateway is loopback, where the fake's ports answer."""
        subnet = ipaddress.ip_network("127.0.0.0/8")
        return self._networks.setdefault(name, Network(name, "127.0.0.1", str(subnet), dict(labels or {})))

    async def networks(self, labels: Mapping[str, str]) -> builtins.list[Network]:
        """List networks by labels."""
        return [network for network in self._networks.values() if _bears(network.labels, labels)]

    async def network_remove(self, name: str) -> None:
        """Forget a network."""
        self._networks.pop(name, None)

    async def aclose(self) -> None:
        """End all scripts: nothing of a fake outlives its process."""
        for identity in tuple(self._boxes):
            with contextlib.suppress(EngineError):
                await self.remove(identity)

    # --- below the port

    def _find(self, container: str) -> Box | None:
        by_id = self._boxes.get(container)
        return by_id or next((box for box in self._boxes.values() if box.spec.name == container), None)

    def _need(self, container: str, attempted: str) -> Box:
        if (box := self._find(container)) is None:
            raise ContainerNotFoundError(attempted, stderr=f"no such container {container}")
        return box

    async def _need_image(self, image: str, attempted: str) -> ImageInfo:
        if (found := await self.image(image)) is None:
            raise ImageNotFoundError(attempted, stderr=f"no such image {image}", remedy="pull it first")
        return found

    def _tell(self, box: Box, kind: Literal["created", "started", "exited", "removed"]) -> None:
        code = box.exit_code if kind == "exited" else None
        event = ContainerEvent(kind, box.id, box.spec.name, time.time(), code, dict(box.spec.labels))
        for queue in self._listeners:
            queue.put_nowait(event)


def _bears(labels: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    return all(name in labels and (not value or labels[name] == value) for name, value in wanted.items())
