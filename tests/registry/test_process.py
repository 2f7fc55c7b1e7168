"""A registry in a process of its own: its memory, and its death in the middle of an upload."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
import httpx2
import pytest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

pytestmark = pytest.mark.integration
SERVE = Path(__file__).parent.parent / "repos" / "serve.py"


@dataclass
class Server:
    folder: Path
    process: subprocess.Popen[str] | None = None
    port: int = 0

    def start(self) -> None:
        argv = [sys.executable, str(SERVE), str(self.folder)]
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout
        words = self.process.stdout.readline().split()
        assert words[:1] == ["port"]
        self.port = int(words[1])

    def kill(self) -> None:
        if self.process:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait(20)
            assert self.process.stdout
            self.process.stdout.close()
            self.process = None

    def client(self) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(base_url=f"http://127.0.0.1:{self.port}", auth=("x", "t"), timeout=60)

    def peak(self) -> int:
        """Return the most memory that the server has had, in MiB."""
        assert self.process
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) // 1024


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    with tempfile.TemporaryDirectory(prefix="wl-") as folder:
        running = Server(Path(folder))
        await anyio.to_thread.run_sync(running.start)
        yield running
        running.kill()


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads memory from /proc")
async def test_a_blob_of_100_megabytes_is_not_held_in_memory(server: Server) -> None:
    part = os.urandom(1 << 20)
    digest = f"sha256:{hashlib.sha256(part * 100).hexdigest()}"

    def parts() -> Iterator[bytes]:
        for _ in range(100):
            yield part

    async def sent() -> AsyncIterator[bytes]:
        for chunk in parts():
            yield chunk

    async with server.client() as client:
        await client.get("/v2/")
        before = server.peak()
        done = await client.post(f"/v2/acme/x/blobs/uploads/?digest={digest}", content=sent())
        assert done.status_code == 201
        received = hashlib.sha256()
        async with client.stream("GET", done.headers["location"]) as answer:
            async for chunk in answer.aiter_bytes():
                received.update(chunk)
        assert f"sha256:{received.hexdigest()}" == digest
        assert server.peak() - before < 30


async def test_an_upload_goes_on_after_the_server_was_killed_in_the_middle(server: Server) -> None:
    content = os.urandom(8 << 20)
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    async with server.client() as client:
        where = (await client.post("/v2/acme/x/blobs/uploads/")).headers["location"]

    async def slowly() -> AsyncIterator[bytes]:
        for start in range(0, len(content), 1 << 16):
            yield content[start : start + (1 << 16)]
            await anyio.sleep(0.005)

    async def send() -> None:
        async with server.client() as client:
            with pytest.raises(httpx2.HTTPError):
                await client.patch(where, content=slowly())

    data = server.folder / "registry" / "uploads" / where.rpartition("/")[2] / "data"
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(send)
        while data.stat().st_size < 3 << 20:
            await anyio.sleep(0.005)
        server.kill()
    await anyio.to_thread.run_sync(server.start)
    async with server.client() as client:
        assert (await client.head(f"/v2/acme/x/blobs/{digest}")).status_code == 404
        arrived = int((await client.get(where)).headers["range"].partition("-")[2]) + 1
        assert 3 << 20 <= arrived < len(content)
        headers = {"content-range": f"{arrived}-{len(content) - 1}"}
        done = await client.put(f"{where}?digest={digest}", content=content[arrived:], headers=headers)
        assert done.status_code == 201
        assert (await client.get(f"/v2/acme/x/blobs/{digest}")).content == content
