from __future__ import annotations

import subprocess
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from windlass.identity import FixedAuthenticator, Principal
from windlass.kube import Kube
from windlass.kube.local.api.app import KubernetesAPI
from windlass.kube.local.certificates import ensure_certificates
from windlass.kube.local.gc import GarbageCollector
from windlass.kube.local.kubeconfig import kubeconfig_yaml
from windlass.kube.local.objects import Objects
from windlass.kube.local.serving import serve_tls

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from windlass.store import Store

TOKENS = {
    "admin": Principal("user", "anna", ("admin",)),
    "reader": Principal("user", "rita", ("kube:read:default",)),
    "job": Principal("job", "run/1", ("kube:write:team",)),
}


@dataclass
class ScriptedNode:
    """A node whose pods' logs and addresses a test writes down."""

    lines: dict[str, list[bytes]] = field(default_factory=dict)
    addresses: dict[str, tuple[str, int]] = field(default_factory=dict)
    asked: list[dict[str, Any]] = field(default_factory=list)
    more: anyio.Event = field(default_factory=anyio.Event)

    async def logs(self, namespace: str, pod: str, container: str, **options: Any) -> AsyncIterator[bytes]:
        self.asked.append({"pod": pod, "container": container, **options})
        for line in self.lines[pod]:
            yield line
        if options["follow"]:
            await self.more.wait()
            yield b"the end\n"

    async def address(self, namespace: str, pod: str, port: int) -> tuple[str, int]:
        return self.addresses[f"{pod}:{port}"]


@dataclass
class Cluster:
    objects: Objects
    node: ScriptedNode
    url: str
    folder: Path

    def kubeconfig(self, token: str = "admin", namespace: str = "default") -> Path:
        path = self.folder / f"{token}-{namespace}.yaml"
        ca = (self.folder / "ca.crt").read_text()
        path.write_text(kubeconfig_yaml(self.url, ca, token, namespace))
        return path

    @asynccontextmanager
    async def client(self, token: str = "admin") -> AsyncIterator[Kube]:
        async with Kube.from_kubeconfig(self.kubeconfig(token)) as kube:
            yield kube

    async def kubectl(
        self,
        *arguments: str,
        stdin: str = "",
        ok: bool | None = True,
        token: str = "admin",
        program: str = "kubectl",
    ) -> str:
        """Run kubectl; return what it wrote (both streams)."""
        command = [program, "--kubeconfig", str(self.kubeconfig(token)), *arguments]
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(self.folder), "KUBECTL_EXTERNAL_DIFF": "diff -u"}
        with anyio.fail_after(60):
            done = await anyio.run_process(
                command, input=stdin.encode(), check=False, env=environment, stderr=subprocess.STDOUT
            )
        text = done.stdout.decode()
        if ok is not None:
            assert (done.returncode == 0) is ok, text
        return text


@pytest.fixture
async def objects(store: Store) -> Objects:
    opened = Objects(store)
    await opened.load()
    return opened


@pytest.fixture
def node() -> ScriptedNode:
    return ScriptedNode()


@pytest.fixture
async def cluster(objects: Objects, node: ScriptedNode, tmp_path: Path) -> AsyncIterator[Cluster]:
    certificates = ensure_certificates(tmp_path / "kube")
    api = KubernetesAPI(objects, FixedAuthenticator(TOKENS), node)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(GarbageCollector(objects).run)
        port = await tasks.start(serve_tls, api, "127.0.0.1", 0, certificates)
        yield Cluster(objects, node, f"https://127.0.0.1:{port}", tmp_path / "kube")
        tasks.cancel_scope.cancel()
    await api.close()
