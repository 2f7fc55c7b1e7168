"""Base images, also where no registry can be reached."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import platform
import re
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import httpx2
import structlog

from windlass.engine.cli.follow import LineSink
from windlass.engine.cli.process import Command, call
from windlass.engine.errors import (
    EngineUnavailableError,
    ImageAccessError,
    ImageNotFoundError,
    RegistryUnreachableError,
)
from windlass.engine.references import is_loopback, locate, parse_reference
from windlass.images import stand_in
from windlass.images.apt import read_distribution
from windlass.images.errors import BaseUnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from windlass.engine.port import Engine, ImageInfo

log = structlog.get_logger()

STAND_IN = stand_in.LABEL
PATIENCE = 2.0
"""Seconds for a registry to answer at all."""
RESTART = 30.0
"""Seconds for which our own registry is waited for."""
MEMORY = 300.0
"""Seconds for which a registry that did not answer is not asked again."""

PYTHON_SLIM = "docker.io/library/python:3.11-slim"


async def ensure_base(
    engine: Engine,
    cache_dir: Path,
    on_line: Callable[[str], None],
    reference: str = PYTHON_SLIM,
    *,
    mirrors: Mapping[str, str] | None = None,
    auth_file: Path | None = None,
) -> ImageInfo:
    """Have a base image in the engine under its full name, and return it.

    There already: nothing happens. Else it is pulled, if its registry (or the mirror) answers within `PATIENCE`.
    Else a Python image is stood in for from the distribution's packages, made once and kept in
    `cache_dir`/bases. Raises `BaseUnavailableError` and the engine's errors.
    """
    parsed = parse_reference(reference)
    if present := await engine.image(str(parsed)):
        return present
    for place in dict.fromkeys((locate(reference, mirrors or {}), locate(reference, {}))):
        own = place.registry in (mirrors or {}).values() and is_loopback(place.registry)
        if engine.name != "fake" and not await (
            back(place.registry) if own else reachable(place.registry, cache_dir)
        ):
            continue
        on_line(
            f"Pulling {parsed}" + ("" if place.registry == parsed.registry else f" from {place.registry}")
        )
        try:
            found = await engine.pull(place.reference, auth_file=auth_file, tls_verify=place.tls_verify)
        except RegistryUnreachableError:
            if not own:
                await _remember(cache_dir, place.registry)
        except (ImageNotFoundError, ImageAccessError) as error:
            if place.registry == parsed.registry:
                remedy = "check its name and tag, and log in to its registry if it is private"
                raise BaseUnavailableError(str(parsed), error.stderr, remedy) from error
        else:
            if place.reference != str(parsed) and not parsed.digest:
                await engine.tag(place.reference, str(parsed))
            return found
    return await _stand_in(engine, cache_dir, on_line, reference)


async def reachable(registry: str, cache_dir: Path) -> bool:
    """Tell whether a registry answers the distribution API; a "no" is remembered for `MEMORY` seconds."""
    if await anyio.to_thread.run_sync(_known_silent, cache_dir, registry):
        return False
    if await _answers(registry):
        return True
    await _remember(cache_dir, registry)
    return False


async def back(registry: str) -> bool:
    """Tell whether our own registry answers; where it does not, it restarts, and is waited for."""
    give_up = anyio.current_time() + RESTART
    while anyio.current_time() < give_up:
        if await _answers(registry):
            return True
        await anyio.sleep(0.2)
    return False


async def _answers(registry: str) -> bool:
    """Whether it is a registry that answers, and not nobody or a proxy that refuses."""
    host = {"docker.io": "registry-1.docker.io"}.get(registry, registry)
    scheme = "http" if is_loopback(registry) else "https"
    try:
        with anyio.fail_after(PATIENCE):
            async with httpx2.AsyncClient(timeout=PATIENCE) as client:
                answer = await client.get(f"{scheme}://{host}/v2/")
    except (httpx2.HTTPError, OSError, TimeoutError):
        return False
    return answer.status_code in {200, 401}


async def _stand_in(
    engine: Engine, cache_dir: Path, on_line: Callable[[str], None], reference: str
) -> ImageInfo:
    parsed = parse_reference(reference)
    distribution = await anyio.to_thread.run_sync(read_distribution)
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    version = await _packaged_python() if parsed.name == "docker.io/library/python" else ""
    recipe = stand_in.decide(parsed, distribution, version, machine)
    tar = cache_dir / "bases" / f"{recipe.key}.tar"
    async with _alone(cache_dir / "bases" / f"{recipe.key}.lock"):
        if present := await engine.image(str(parsed)):
            return present
        if not await anyio.Path(tar).exists():
            on_line(
                f"No registry answers for {parsed}: making a stand-in from {recipe.distribution.name} "
                f"{recipe.distribution.codename}'s packages (Python {recipe.version}); this happens once."
            )
            await _make(recipe, tar, on_line)
        on_line(
            f"{parsed} is a stand-in: Python {recipe.version} from {recipe.distribution.name} "
            f"{recipe.distribution.codename}'s packages, not the official image."
        )
        await engine.import_image(tar, str(parsed), stand_in.changes(recipe))
    found = await engine.image(str(parsed))
    if found is None:
        raise BaseUnavailableError(
            str(parsed), "the engine did not keep the import", "see the engine's storage"
        )
    return found


async def _make(recipe: stand_in.Recipe, tar: Path, on_line: Callable[[str], None]) -> None:
    attempted = "make a base image with mmdebstrap"
    with tempfile.TemporaryDirectory(prefix=".making-", dir=tar.parent) as directory:
        scratch = Path(directory)
        sources, image_sources, output = (
            scratch / "build.list",
            scratch / "sources.list",
            scratch / "base.tar",
        )
        await anyio.to_thread.run_sync(_prepare, recipe, scratch, sources, image_sources)
        command = Command(stand_in.mmdebstrap(recipe, sources, image_sources, output))
        sink = LineSink(lambda line: on_line(f"  {line}") if line.startswith(("I: ", "E: ")) else None)
        try:
            done = await call(command, attempted=attempted, timeout=900, sink=sink)
        except EngineUnavailableError as error:
            raise BaseUnavailableError(
                "python", "mmdebstrap is not installed", "apt-get install mmdebstrap"
            ) from error
        if done.returncode:
            words = "; ".join(
                line for line in sink.text.splitlines()[-30:] if line.startswith(("E: ", "Err"))
            )
            raise BaseUnavailableError(
                "python",
                f"mmdebstrap failed: {words or sink.text[-500:]}",
                "see that apt-get update works here",
            )
        await anyio.Path(output).replace(tar)


def _prepare(recipe: stand_in.Recipe, scratch: Path, sources: Path, image_sources: Path) -> None:
    scratch.chmod(0o755)  # apt's own user reads the keys
    keys = _write_keys(recipe, scratch)
    sources.write_text(stand_in.sources_list(recipe, keys), encoding="utf-8")
    image_sources.write_text(recipe.image_sources(), encoding="utf-8")


def _write_keys(recipe: stand_in.Recipe, directory: Path) -> dict[str, Path]:
    """Write out keys that stand in apt's configuration itself."""
    keys: dict[str, Path] = {}
    for source in recipe.distribution.sources:
        if source.signed_by.lstrip().startswith("-----BEGIN"):
            file = directory / f"key-{len(keys)}.asc"
            file.write_text(source.signed_by + "\n", encoding="ascii")
            keys[source.signed_by] = file
    return keys


async def _packaged_python() -> str:
    """Ask apt which Python it has: from its lists, else what is installed here."""
    probes = (("apt-cache", "show", "--no-all-versions", "python3"), ("dpkg-query", "--show", "python3"))
    for probe in probes:
        with contextlib.suppress(EngineUnavailableError):
            done = await call(Command(probe), attempted="ask apt for its Python", timeout=10)
            if found := re.search(r"(?:^Version: |^python3\t)(3\.\d+(?:\.\d+)?)", done.text, re.MULTILINE):
                return found[1]
    return ""


@contextlib.asynccontextmanager
async def _alone(lock: Path) -> AsyncIterator[None]:
    """Hold a lock between processes: two builds that begin together make one stand-in."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(lock, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        while True:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            await anyio.sleep(0.2)
        yield
    finally:
        os.close(handle)


def _known_silent(cache_dir: Path, registry: str) -> bool:
    with contextlib.suppress(OSError, ValueError, TypeError):
        return time.time() - float(json.loads(_silent(cache_dir).read_text())[registry]) < MEMORY
    return False


async def _remember(cache_dir: Path, registry: str) -> None:
    def write() -> None:
        file = _silent(cache_dir)
        known: dict[str, float] = {}
        with contextlib.suppress(OSError, ValueError):
            known = json.loads(file.read_text())
        file.parent.mkdir(parents=True, exist_ok=True)
        draft = file.with_suffix(f".{os.getpid()}")
        draft.write_text(json.dumps({**known, registry: time.time()}))
        draft.replace(file)

    with contextlib.suppress(KeyError, OSError):
        await anyio.to_thread.run_sync(write)


def _silent(cache_dir: Path) -> Path:
    return cache_dir / "bases" / "silent-registries.json"
