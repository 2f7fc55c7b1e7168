"""Building an image with whichever engine is there."""

from __future__ import annotations

import os
import re
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import anyio.to_thread
import structlog

from windlass.engine.cli import CliEngine
from windlass.engine.cli.follow import LineSink
from windlass.engine.cli.process import Command, call
from windlass.engine.errors import EngineError, ImageNotFoundError
from windlass.engine.fake import FakeEngine
from windlass.images import argv, tiny
from windlass.images.base import STAND_IN, ensure_base
from windlass.images.dockerfile import Dockerfile, base_images, before_each_run, parse_dockerfile
from windlass.images.errors import BaseUnavailableError, BuildError
from windlass.images.machine import PLACE, BuildAids, aids, read_machine
from windlass.images.request import BuildResult
from windlass.images.shim import write_shim

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from windlass.engine.port import Engine
    from windlass.images.request import BuildRequest

log = structlog.get_logger()

TIMEOUT = 3600.0
_MAX_DOCKERFILE = 1 << 20
_NO_BUILDKIT = (
    "warning: this docker has no BuildKit (no buildx component): RUN gets neither this machine's certificates "
    "nor its package mirrors; install docker-buildx"
)
_STEP = re.compile(
    r"^(?:\[\d+/\d+\] )?STEP (\d+)/(\d+): |^#\d+ \[(?:[\w.-]+ )?\s*\d+/\d+\] |^Step (\d+)/(\d+) : "
)
_OUT_OF_REACH = re.compile(
    r"pinging container registry|dial tcp|no such host|failed to resolve|connection refused"
)
_RACED = re.compile(r"checking if cached image exists.*: (?:layer|image) not known", re.IGNORECASE)
_RACES = 3
_CACHED = re.compile(r"^--> Using cache |^#\d+ CACHED|^ ---> Using cache")


async def build(
    engine: Engine,
    request: BuildRequest,
    on_line: Callable[[str], None],
    *,
    cache_dir: Path,
    mirrors: Mapping[str, str] | None = None,
    auth_file: Path | None = None,
    timeout: float = TIMEOUT,
) -> BuildResult:
    """Build an image, telling each line of output.

    Base images are fetched through `mirrors` and named as the Dockerfile names them; where no registry answers,
    `python` images are stood in for (kept in `cache_dir`). Raises `BuildError`, `BaseUnavailableError`,
    `EngineError`. Cancelling ends the build.
    """
    began = time.monotonic()
    dockerfile = _read(request)
    stand_in, missing = False, []
    for image in base_images(dockerfile, request.build_args, request.target):
        try:
            found = await ensure_base(
                engine, cache_dir, on_line, image, mirrors=mirrors or {}, auth_file=auth_file
            )
            stand_in = stand_in or STAND_IN in found.labels
        except BaseUnavailableError as error:  # the engine may know another way; if not, this is the reason
            on_line(f"warning: {error}")
            missing.append(error)
    if isinstance(engine, FakeEngine):
        return await _pretend(engine, request, began)
    if not isinstance(engine, CliEngine):
        raise BuildError(f"The engine {engine.name} cannot build.", remedy="use podman or docker")
    counter = _Counter(on_line)
    with tempfile.TemporaryDirectory(prefix="windlass-build-") as scratch, engine.auth(auth_file) as auth:
        plan = await _plan(engine, request, dockerfile, Path(scratch), auth)
        if plan.unaided:
            on_line(_NO_BUILDKIT)
        try:
            identity = await persist(lambda: _execute(plan, counter, timeout), on_line)
        except BuildError as error:
            if missing and _OUT_OF_REACH.search("\n".join(error.lines)):
                raise missing[0] from error
            raise
    info = await engine.image(identity)
    if info is None:
        raise ImageNotFoundError("look up the image just built", stderr=identity)
    return BuildResult(
        info.id, info.digest, request.tags, info.size, time.monotonic() - began,
        counter.steps, counter.cached, stand_in,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Plan:
    command: Command
    iid_file: Path
    unaided: bool = False
    """Whether RUN goes without what this machine would lend it, as this docker cannot show it."""


class _Counter:
    """Counts steps and those that came from the cache, and hands lines on."""

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self._on_line = on_line
        self.steps = self.cached = 0

    def __call__(self, line: str) -> None:
        self.steps += bool(_STEP.match(line))
        self.cached += bool(_CACHED.match(line))
        self._on_line(line)


async def _plan(
    engine: CliEngine, request: BuildRequest, dockerfile: Dockerfile, scratch: Path, auth: Path | None
) -> _Plan:
    paths = argv.Paths(request.file, scratch / "iid")
    help_ = aids(read_machine())
    if engine.name == "podman":
        if request.timestamp is not None:
            fixed = {"SOURCE_DATE_EPOCH": str(request.timestamp), "PYTHONDONTWRITEBYTECODE": "1"}
            help_ = replace(help_, env={**help_.env, **fixed})
        if help_.env:
            runtime = (await engine.info()).runtime or "runc"
            paths = replace(paths, runtime=write_shim(scratch, help_, runtime))
        return _Plan(argv.podman(engine.tool, request, paths, auth_file=auth), paths.iid_file)
    kind = await buildkit(engine)
    if help_.files and kind:
        paths = _rewritten(request, dockerfile, scratch, help_, paths)
    proxies = tuple(name for name in argv.PROXIES if os.environ.get(name))
    command = argv.docker(engine.tool, request, paths, buildkit=kind, auth_file=auth, proxies=proxies)
    return _Plan(command, paths.iid_file, unaided=bool(help_.files) and not kind)


def _rewritten(
    request: BuildRequest, dockerfile: Dockerfile, scratch: Path, help_: BuildAids, paths: argv.Paths
) -> argv.Paths:
    """Give BuildKit a copy of the Dockerfile in which RUN mounts the aids as secrets, which it never records."""
    files = {}
    for number, (name, content) in enumerate(sorted(help_.files.items())):
        files[name] = scratch / f"aid-{number}"
        files[name].write_bytes(content)
    copy = scratch / "Dockerfile"
    mounts = argv.secret_mounts(list(files), PLACE)
    copy.write_text(before_each_run(dockerfile, mounts, help_.env), encoding="utf-8")
    for ignore in (request.file.with_name(request.file.name + ".dockerignore"),):
        if ignore.is_file():
            (scratch / "Dockerfile.dockerignore").write_bytes(ignore.read_bytes())
    return replace(paths, dockerfile=copy, aids=files)


async def buildkit(engine: CliEngine) -> str:
    """Tell how this docker client reaches BuildKit: "buildx", "builtin", or "" when it cannot."""
    probe = engine.tool.command("buildx", "version")
    if (await engine.run_tool("look for buildx", probe)).returncode == 0:
        return "buildx"
    done = await engine.ask("ask docker for its version", "version", "--format", "{{.Client.Version}}")
    major = re.match(r"\d+", done.text)
    return "builtin" if major and 18 < int(major[0]) < 23 else ""


async def persist(execute: Callable[[], Awaitable[str]], on_line: Callable[[str], None]) -> str:
    """Execute a build, and again where podman looked at a cached image just as somebody removed that.

    It says so before the first step, and knows no more of it the next time. Raises `BuildError`.
    """
    for _ in range(_RACES):
        try:
            return await execute()
        except BuildError as error:
            if not _RACED.search("\n".join(error.lines)):
                raise
            on_line("an image in the cache was removed meanwhile; looking again")
    return await execute()


async def _execute(plan: _Plan, counter: _Counter, timeout: float) -> str:
    sink = LineSink(counter)
    done = await call(plan.command, attempted="build the image", timeout=timeout, sink=sink)
    sink.close()
    if done.returncode:
        lines = tuple(sink.text.splitlines()[-40:])
        reason = next((line for line in reversed(lines) if re.search("error", line, re.IGNORECASE)), "")
        remedy = what_helps(sink.text, unaided=plan.unaided)
        raise BuildError(f"The build failed. {reason}".strip(), lines=lines, remedy=remedy)
    return plan.iid_file.read_text(encoding="ascii").strip()


def what_helps(output: str, *, unaided: bool = False) -> str:
    """Return what helps against what the output of a failed build tells of; `unaided`: see `_Plan`."""
    if _OUT_OF_REACH.search(output):
        return "a base image or a download is out of reach: see the network, or map its registry to a mirror"
    if re.search(r"CERTIFICATE_VERIFY_FAILED|certificate verify failed|unknown authority", output):
        if unaided:
            return "install docker-buildx: with it builds are given this network's CA bundle"
        return "set SSL_CERT_FILE for the server to this network's CA bundle; builds are given it"
    if re.search(r"no space left", output, re.IGNORECASE):
        return "free disk space (podman system prune)"
    return "the line above names the step; run it by hand in the base image"


def _read(request: BuildRequest) -> Dockerfile:
    try:
        if request.file.stat().st_size > _MAX_DOCKERFILE:
            raise BuildError(f"{request.file} is larger than {_MAX_DOCKERFILE} bytes.")
        return parse_dockerfile(request.file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise BuildError(
            f"The Dockerfile {request.file} cannot be read: {error}.", remedy="check `file:` and `context:`"
        ) from error


async def _pretend(engine: FakeEngine, request: BuildRequest, began: float) -> BuildResult:
    """Make of the context's content an image that does nothing, so that another content has another digest."""
    seed = await anyio.to_thread.run_sync(tiny.content_hash, request)
    image = tiny.TinyImage(seed, dict(request.labels))
    names = request.tags or (f"localhost/windlass/{seed[:12]}:latest",)
    infos = [engine.add_image(name, digest=image.digest, labels=image.labels) for name in names]
    engine.built[image.digest] = image
    return BuildResult(infos[0].id, image.digest, request.tags, 0, time.monotonic() - began, 0, 0)


__all__ = ["BuildError", "EngineError", "build", "buildkit"]
