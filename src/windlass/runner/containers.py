"""Containers that belong to a job: the engine, their images, labels and names, and the way back from them."""

from __future__ import annotations

import contextlib
import os
import re
import secrets as random
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from windlass.engine import EngineError, Mount
from windlass.engine.references import ReferenceSyntaxError, parse_reference
from windlass.runner.errors import StepError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from windlass.engine import ContainerSpec, Engine
    from windlass.runner.state import JobState
    from windlass.workflow.jobs import JobSpec

JOB = "windlass.dev/job"
RUNNER = "windlass.dev/runner"
SERVER = "windlass.dev/server"
_CERTIFICATES = (
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "GIT_SSL_CAINFO",
)


def labels(spec: JobSpec) -> dict[str, str]:
    """Return the labels of everything that a job makes in an engine: whose it is, who runs it, for which server."""
    data = Path(spec.directory).parents[1]
    return {JOB: spec.id, RUNNER: str(os.getpid()), SERVER: server(data)}


def server(data: Path) -> str:
    """Return what tells a server from others that use the same engine: its machine and data directory."""
    return f"{socket.gethostname()}:{data.resolve()}"


def name_for(job: str, what: str) -> str:
    """Return a name that no other container has."""
    return re.sub(r"[^A-Za-z0-9_.-]", "-", f"windlass-{job}-{what}-{random.token_hex(4)}").lower()


async def open_engine(state: JobState) -> Engine:
    """Open the machine's engine. Raises `StepError` where there is none."""
    from windlass.engine.choose import choose_engine

    try:
        return await choose_engine(state.spec.engine)
    except EngineError as error:
        raise StepError(f"containers need an engine on this machine: {error}") from error


async def have_image(
    engine: Engine, state: JobState, image: str, say: Callable[[str], None], auth: Path | None = None
) -> str:
    """Have an image in the engine: what is there, else from its registry or that one's mirror.

    Returns the name to run it by: its own or, where the run repeats another one, the one with that one's digest.
    """
    from windlass.images import ImagesError, ensure_base
    from windlass.runner.actions.docker import auth_file

    cache = Path(state.spec.tools) / "images"
    cache.mkdir(parents=True, exist_ok=True)
    known = auth or auth_file(state)
    pinned = state.spec.pins.get("images", {}).get(image, "")
    try:
        found = await engine.image(image)
        name = image
        if pinned and (found is None or pinned not in {found.digest, found.id}):
            name = f"{parse_reference(image).name}@{pinned}"
            found = await engine.image(name)
        if found is None:
            found = await ensure_base(
                engine, cache, say, name, mirrors=state.spec.mirrors,
                auth_file=known if known.exists() else None,
            )  # fmt: skip
    except (EngineError, ImagesError, ReferenceSyntaxError) as error:
        again = f"the run that this one repeats used {pinned}, which is not to be had: " if pinned else ""
        raise StepError(f"image {image}: {again}{error}") from error
    state.sink.emit("image.used", image=image, digest=found.digest or found.id)
    return name


async def attached(engine: Engine, spec: ContainerSpec, feed: Callable[[bytes], None]) -> int:
    """Run a container to its end with its output to `feed`, remove it whatever happens, return its exit code."""
    try:
        identifier = await engine.run(spec)
        async with contextlib.aclosing(engine.logs(identifier, follow=True)) as lines:
            async for line in lines:
                feed(line)
        return await engine.wait(identifier)
    except EngineError as error:
        raise StepError(str(error)) from error
    finally:
        with contextlib.suppress(EngineError):
            await engine.remove(spec.name)


def certificate_mounts(env: dict[str, str]) -> list[Mount]:
    """Return mounts for the certificates that these variables name, so that they are true in a container."""
    paths = dict.fromkeys(env.get(name, "") for name in _CERTIFICATES)
    return [Mount(path, path, read_only=True) for path in paths if path and Path(path).is_file()]


def sweep(data: Path, runner: str = "", *, over: bool = False) -> None:
    """Remove the containers and networks of a runner that was killed; for "", of all of this server that are gone.

    `data` is the data directory: what other servers made in the same engine is theirs. `over` says that all of its
    runners have been ended. Where there is no engine nothing is to be removed. Takes up to some seconds.
    """
    import asyncio

    asyncio.run(_sweep({RUNNER: runner} if runner else {SERVER: server(data), RUNNER: ""}, over=over))


async def _sweep(chosen: dict[str, str], *, over: bool) -> None:
    from windlass.engine.choose import choose_engine, detect

    here = f"{socket.gethostname()}:"  # what runs elsewhere has process numbers of its own

    def is_left(marks: Mapping[str, str]) -> bool:
        return marks.get(SERVER, "").startswith(here) and (over or not _alive(marks[RUNNER]))

    for found in await detect():
        if not found.usable:
            continue
        with contextlib.suppress(EngineError):
            engine = await choose_engine(found.name)
            for container in await engine.list(chosen):
                if is_left(container.labels):
                    await engine.remove(container.id)
            for network in await engine.networks(chosen):
                if is_left(network.labels):
                    await engine.network_remove(network.name)
            await engine.aclose()


def _alive(pid: str) -> bool:
    return Path("/proc", pid).exists()
