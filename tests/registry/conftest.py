from __future__ import annotations

import asyncio
import hashlib
import json
import socket
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anyio
import httpx2
import pytest
import uvicorn

from windlass.identity import FixedAuthenticator, Principal
from windlass.registry import Registry, RegistryHTTP

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from windlass.store import Store

PRINCIPALS = {
    "anna-token": Principal("user", "anna", ("registry:write:acme/*", "registry:read:library/*")),
    "rita-token": Principal("robot", "rita", ("registry:read:acme/*",)),
    "otto-token": Principal("user", "otto", ("registry:write:other/*",)),
    "root-token": Principal("user", "root", ("admin",)),
}
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@dataclass
class Serving:
    """A running registry, and clients of it by token."""

    registry: Registry
    store: Store
    port: int
    root: Path

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def client(self, token: str | None = "anna-token") -> httpx2.AsyncClient:
        auth = ("x", token) if token else None
        return httpx2.AsyncClient(base_url=f"http://{self.host}", auth=auth)

    async def blob(self, content: bytes, name: str = "acme/x") -> str:
        """Push a blob and return its digest."""
        digest = sha256(content)
        async with self.client("root-token") as client:
            answer = await client.post(f"/v2/{name}/blobs/uploads/?digest={digest}", content=content)
            assert answer.status_code == 201, answer.text
        return digest

    async def image(self, tag: str = "v1", name: str = "acme/x", **more: Any) -> str:
        """Push an image of one layer and return its digest."""
        config = json.dumps({"architecture": "amd64", "os": "linux", "tag": tag}).encode()
        layer = f"layer of {tag}".encode()
        document = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": await self.blob(config, name),
                "size": len(config),
            },
            "layers": [
                {
                    "mediaType": "application/vnd.oci.image.layer.v1.tar",
                    "digest": await self.blob(layer, name),
                    "size": len(layer),
                }
            ],
            **more,
        }
        body = json.dumps(document).encode()
        async with self.client("root-token") as client:
            headers = {"content-type": OCI_MANIFEST}
            answer = await client.put(f"/v2/{name}/manifests/{tag}", content=body, headers=headers)
            assert answer.status_code == 201, answer.text
        return sha256(body)


@asynccontextmanager
async def listening(app: Any) -> AsyncIterator[int]:
    """Serve an ASGI app on a free port of the loopback."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_level="warning", lifespan="off", ws="none", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    task = asyncio.create_task(server._serve([listener]))
    while not server.started:
        await anyio.sleep(0.005)
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        await task
        listener.close()


@pytest.fixture
async def serving(store: Store, tmp_path: Path) -> AsyncIterator[Serving]:
    registry = Registry(store, tmp_path / "registry", min_free=0)
    async with listening(RegistryHTTP(registry, FixedAuthenticator(PRINCIPALS))) as port:
        yield Serving(registry, store, port, tmp_path / "registry")


@pytest.fixture
def listen() -> Any:
    return listening
