"""Real engines, a real registry, and a cache of base images that outlives the test run."""

from __future__ import annotations

import asyncio
import base64
import importlib.util
import json
import os
import shutil
import socket
import sys
import tempfile
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest
import uvicorn

from windlass.engine.choose import docker, podman
from windlass.identity import FixedAuthenticator, Principal
from windlass.images.base import _packaged_python
from windlass.registry import Registry, RegistryHTTP
from windlass.store import Store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from windlass.engine import Engine


@dataclass
class Bench:
    """An engine that builds, and what its images are tagged with, so that they can be taken away again."""

    engine: Engine
    cache: Path
    network: str
    token: str

    def tag(self, name: str = "svc") -> str:
        return f"ghcr.io/wl-test-{self.token}/{name}:1"


def _engine_bench() -> Any:
    """The engine suite's conftest, for its Docker daemon."""
    file = Path(__file__).parent.parent / "engine" / "conftest.py"
    spec = importlib.util.spec_from_file_location("windlass_engine_bench", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def base_cache() -> Path:
    """Stand-ins take half a minute to make: keep them between runs."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    cache = home / "windlass-tests"
    cache.mkdir(parents=True, exist_ok=True)
    return cache


@pytest.fixture(scope="session")
def build_dockerd() -> Iterator[Any]:
    if not shutil.which("dockerd") or not shutil.which("docker"):
        pytest.skip("dockerd is not installed (apt-get install docker.io)")
    if os.geteuid() != 0:
        pytest.skip("starting dockerd needs root")
    directory = Path(tempfile.mkdtemp(prefix="wlb-", dir="/tmp"))
    daemon = _engine_bench().Dockerd(directory)
    try:
        daemon.start()
        yield daemon
    finally:
        daemon.stop()
        daemon.clean()


@pytest.fixture(
    params=[
        pytest.param("podman", marks=pytest.mark.integration),
        pytest.param("docker", marks=[pytest.mark.integration, pytest.mark.docker]),
    ]
)
async def bench(request: pytest.FixtureRequest, base_cache: Path) -> AsyncIterator[Bench]:
    token = uuid.uuid4().hex[:8]
    if request.param == "podman":
        made = Bench(podman(), base_cache, "", token)
    else:
        # The distribution's own client has BuildKit in it; a newer one found first on PATH may lack buildx.
        daemon = request.getfixturevalue("build_dockerd")
        program = "/usr/bin/docker" if Path("/usr/bin/docker").exists() else "docker"
        made = Bench(docker(daemon.host, program=program), base_cache, "host", token)
    yield made
    for name in ("svc", "again", "small"):
        await made.engine.image_remove(made.tag(name))
    await made.engine.aclose()


@pytest.fixture(scope="session")
def python_image() -> str:
    """The official image's name that this machine's Python can stand in for."""
    version = asyncio.run(_packaged_python())
    if not version:
        pytest.skip("no apt here to make a base image from")
    return f"python:{'.'.join(version.split('.')[:2])}-slim"


@dataclass
class Serving:
    host: str
    auth_file: Path
    registry: Registry


@pytest.fixture
async def registry(tmp_path: Path) -> AsyncIterator[Serving]:
    """Our own registry on a free port of loopback, and credentials for it."""
    with_store = Store(tmp_path / "registry.db")
    backend = Registry(with_store, tmp_path / "registry", min_free=0)
    known = {"push-token": Principal("job", "run/1/build/1", ("registry:write:*",))}
    listener = socket.create_server(("127.0.0.1", 0))
    host = f"127.0.0.1:{listener.getsockname()[1]}"
    app = RegistryHTTP(backend, FixedAuthenticator(known))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off", ws="none"))
    task = asyncio.create_task(server._serve([listener]))
    while not server.started:
        await anyio.sleep(0.005)
    auth = tmp_path / "auth.json"
    login = base64.b64encode(b"job:push-token").decode()
    auth.write_text(json.dumps({"auths": {host: {"auth": login}}}))
    auth.chmod(0o600)
    yield Serving(host, auth, backend)
    server.should_exit = True
    await task
    listener.close()
    with_store.close()
