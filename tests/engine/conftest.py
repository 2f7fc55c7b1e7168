"""The bench of the contract suite: the same small programs on every engine, and a Docker daemon of one's own."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
import uuid
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from windlass.engine import ContainerSpec, Engine, ExecResult
from windlass.engine.choose import docker, podman
from windlass.engine.fake import Answer, Behaviour, FakeEngine, Output, Script

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

LABEL = "windlass.test/bench"
BASE = "localhost/windlass-test/python:1"

_TERM = "import signal,sys,time\nsignal.signal(signal.SIGTERM, lambda *a: sys.exit(0))\n"
PROGRAMS = {
    "sleep": _TERM + "print('up', flush=True)\ntime.sleep(600)\n",
    "stubborn": "import signal,time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "print('up', flush=True)\ntime.sleep(600)\n",
    "fails": "import sys\nprint('first', flush=True)\nprint('broken', file=sys.stderr, flush=True)\nsys.exit(3)\n",
    "ends": "print('done', flush=True)\n",
    "pieces": "import os,time\nfor i in range(4):\n"
    " for piece in ('line', ' ', str(i), '\\n'):\n  os.write(1, piece.encode()); time.sleep(0.02)\n",
    "talks": _TERM + "for i in range(6000):\n print('line', i, flush=True)\n time.sleep(0.1)\n",
    "http": _TERM
    + """
from http.server import BaseHTTPRequestHandler as H, ThreadingHTTPServer as S
class A(H):
 protocol_version='HTTP/1.1'
 def do_GET(s):
  s.send_response(200); s.send_header('Content-Length','3'); s.end_headers(); s.wfile.write(b'ok\\n')
 def log_message(s,*a): pass
S(('0.0.0.0',8080),A).serve_forever()
""",
}
GREET = ("python3", "-c", "import sys; print('hello'); print('oh', file=sys.stderr); sys.exit(4)")
BEHAVIOURS = {
    "sleep": Behaviour((Output("up"),), stop_code=0),
    "stubborn": Behaviour((Output("up"),), stop_after=3600),
    "fails": Behaviour((Output("first"), Output("broken", stream="stderr")), exit_after=0.05, exit_code=3),
    "ends": Behaviour((Output("done"),), exit_after=0.05),
    "pieces": Behaviour(tuple(Output(f"line {i}") for i in range(4)), exit_after=0.05),
    "talks": Behaviour((Output("line", every=0.1),), stop_code=0),
    "http": Behaviour(answers=(Answer(body="ok\n"),), stop_code=0),
    "unstartable": Behaviour(start_error="executable file not found in $PATH"),
}


@dataclass
class Bench:
    """An engine with what a test needs of it; everything made through it is gone afterwards."""

    engine: Engine
    token: str = field(default_factory=lambda: uuid.uuid4().hex[:10])
    networks: list[str] = field(default_factory=list)

    @property
    def labels(self) -> dict[str, str]:
        return {LABEL: self.token}

    @property
    def real(self) -> bool:
        return self.engine.name != "fake"

    def spec(self, program: str, **fields: Any) -> ContainerSpec:
        spec = ContainerSpec(
            name=f"wl-test-{self.token}-{program}",
            image=BASE if self.real else f"localhost/windlass-test/{program}:1",
            labels=self.labels,
            # Host networking starts fastest and is what a test without ports needs.
            network="host" if not fields.get("ports") else "",
        )
        if self.real:
            command = ("/not/there",) if program == "unstartable" else ("python3", "-c", PROGRAMS[program])
            spec = replace(spec, command=command)
        return replace(spec, **fields)

    async def network(self, **options: Any) -> str:
        name = f"wl-test-{self.token}-{len(self.networks)}"
        self.networks.append(name)
        await self.engine.network_ensure(name, self.labels, **options)
        return name

    async def until(self, container: str, line: bytes) -> None:
        """Wait until the container has written a line."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            if line in [found async for found in self.engine.logs(container)]:
                return
            await asyncio.sleep(0.05)
        raise AssertionError(f"{container} never wrote {line!r}")

    async def clean(self) -> None:
        for container in await self.engine.list(self.labels):
            await self.engine.remove(container.id)
        for name in self.networks:
            await self.engine.network_remove(name)
        await self.engine.aclose()


@pytest.fixture(scope="session")
def rootfs() -> Iterator[Path]:
    """A root file system of this machine's Python and the libraries it needs, and nothing else."""
    with tempfile.TemporaryDirectory(prefix="windlass-rootfs-") as directory:
        tar = Path(directory) / "rootfs.tar"
        _pack_python(tar)
        yield tar


def _pack_python(tar: Path) -> None:
    python = shutil.which("python3", path="/usr/bin:/usr/local/bin") or sys.executable
    told = subprocess.run(
        [python, "-c", "import sysconfig as s, sys; print(sys.executable); print(s.get_path('stdlib'))"],
        check=True, capture_output=True, text=True,
    ).stdout.split("\n")  # fmt: skip
    stdlib = Path(told[1])
    files = {Path(python).resolve(), *_libraries(Path(python).resolve())}
    for module in (stdlib / "lib-dynload").glob("*.so"):
        files |= set(_libraries(module))
    unwanted = {
        "test",
        "__pycache__",
        "site-packages",
        "dist-packages",
        "idlelib",
        "ensurepip",
        "tkinter",
        "lib2to3",
    }

    def wanted(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
        parts = set(Path(entry.name).parts)
        return None if parts & unwanted or any(part.startswith("config-") for part in parts) else entry

    with tarfile.open(tar, "w") as archive:
        for file in sorted(files):
            archive.add(file.resolve(), arcname=str(file).lstrip("/"), recursive=False)
        link = tarfile.TarInfo("usr/bin/python3")
        link.type, link.linkname = tarfile.SYMTYPE, str(Path(python).resolve())
        archive.addfile(link)
        archive.add(stdlib, arcname=str(stdlib).lstrip("/"), filter=wanted)
        for name in ("tmp", "run", "etc", "proc", "sys", "dev"):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755
            archive.addfile(entry)


def _libraries(binary: Path) -> list[Path]:
    listed = subprocess.run(["ldd", str(binary)], check=False, capture_output=True, text=True).stdout
    words = [word for line in listed.splitlines() for word in line.split()]
    return [Path(word) for word in words if word.startswith("/")]


class Dockerd:
    """A Docker daemon with its own socket and state, that leaves the machine's firewall and bridges alone."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.socket = directory / "docker.sock"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def host(self) -> str:
        return f"unix://{self.socket}"

    def start(self) -> None:
        with (self.directory / "dockerd.log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    "dockerd",
                    f"--host={self.host}",
                    f"--data-root={self.directory / 'data'}",
                    f"--exec-root={self.directory / 'exec'}",
                    f"--pidfile={self.directory / 'docker.pid'}",
                    # podman's rules stay as they are: published ports go through docker-proxy.
                    "--iptables=false",
                    "--ip6tables=false",
                    "--bridge=none",
                    "--live-restore",
                ],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and self.process.poll() is None:
            asked = subprocess.run(
                ["docker", "--host", self.host, "version"], check=False, capture_output=True
            )
            if asked.returncode == 0:
                return
            time.sleep(0.1)
        raise AssertionError((self.directory / "dockerd.log").read_text()[-3000:])

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(30)
            self.process = None

    def clean(self) -> None:
        """Take away what a daemon with live-restore leaves mounted, then its files."""
        for mounted in ("exec/netns/default", "data"):
            subprocess.run(["umount", str(self.directory / mounted)], check=False, capture_output=True)
        shutil.rmtree(self.directory, ignore_errors=True)


@pytest.fixture(scope="session")
def dockerd() -> Iterator[Dockerd]:
    if not shutil.which("dockerd") or not shutil.which("docker"):
        pytest.skip("dockerd is not installed (apt-get install docker.io)")
    if os.geteuid() != 0:
        pytest.skip("starting dockerd needs root")
    directory = Path(tempfile.mkdtemp(prefix="wld-", dir="/tmp"))
    daemon = Dockerd(directory)
    try:
        daemon.start()
        yield daemon
    finally:
        daemon.stop()
        daemon.clean()


@pytest.fixture(
    params=[
        "fake",
        pytest.param("podman", marks=pytest.mark.integration),
        pytest.param("docker", marks=[pytest.mark.integration, pytest.mark.docker]),
    ]
)
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    """One engine after the other, each with the programs."""
    made = Bench(await _engine(request.param, request))
    yield made
    await made.clean()


async def _engine(name: str, request: pytest.FixtureRequest) -> Engine:
    if name == "fake":
        greet = {" ".join(GREET): ExecResult(4, b"hello\n", b"oh\n")}
        return FakeEngine(_with_images({k: replace(b, execs=greet) for k, b in BEHAVIOURS.items()}))
    if name == "podman" and not shutil.which("podman"):
        pytest.skip("podman is not installed")
    engine = podman() if name == "podman" else docker(request.getfixturevalue("dockerd").host)
    if await engine.image(BASE) is None:
        await engine.import_image(request.getfixturevalue("rootfs"), BASE)
    return engine


def _with_images(behaviours: dict[str, Behaviour]) -> Script:
    return Script(
        {f"localhost/windlass-test/{name}:1": (behaviour,) for name, behaviour in behaviours.items()}
    )
