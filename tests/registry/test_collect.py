from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import time
from typing import TYPE_CHECKING

import anyio
import pytest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from registry.conftest import Serving


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


async def age(serving: Serving, seconds: float) -> None:
    """Make everything older than it is."""
    then = time.time() - seconds
    for path in serving.root.rglob("*"):
        os.utime(path, (then, then))
    await serving.store.transact(
        lambda tx: tx._connection.execute("UPDATE registry_blobs SET at = at - ?", (seconds,))
    )


def files(root: Path) -> set[str]:
    return {f"sha256:{path.name}" for path in (root / "blobs").rglob("*") if path.is_file()}


async def test_only_what_nobody_needs_and_is_old_goes(serving: Serving) -> None:
    digest = await serving.image("v1")
    kept = files(serving.root)
    loose = await serving.blob(b"loose")
    async with serving.client() as client:
        await client.post("/v2/acme/x/blobs/uploads/")
        young = await serving.registry.collect(grace=3600)
        assert (young.blobs, young.uploads) == (0, 0)
        await age(serving, 7200)
        fresh = await serving.blob(b"fresh")
        old = await serving.registry.collect(grace=3600)
        assert (old.blobs, old.bytes, old.uploads) == (1, 5, 1)
        assert files(serving.root) == {*kept, fresh}
        assert (await client.head(f"/v2/acme/x/blobs/{loose}")).status_code == 404
        assert (await client.get(f"/v2/acme/x/manifests/{digest}")).status_code == 200
        await client.delete(f"/v2/acme/x/manifests/{digest}")
        await age(serving, 7200)
        assert (await serving.registry.collect(grace=3600)).blobs == 4
        assert files(serving.root) == set()


async def test_a_blob_that_was_asked_for_stays(serving: Serving) -> None:
    loose = await serving.blob(b"loose")
    await age(serving, 7200)
    async with serving.client() as client:
        assert (await client.head(f"/v2/acme/x/blobs/{loose}")).status_code == 200
        await serving.registry.collect(grace=3600)
        assert (await client.get(f"/v2/acme/x/blobs/{loose}")).content == b"loose"


async def test_collecting_beside_pushes_loses_nothing(serving: Serving) -> None:
    stop = anyio.Event()

    async def collect() -> None:
        while not stop.is_set():
            await age(serving, 10)
            await serving.registry.collect(grace=5)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(collect)
        for number in range(15):
            content = f"blob {number % 3}".encode()
            # Each is pushed again after it was collected; right after its push it must be there.
            digest = await serving.blob(content)
            path = serving.registry.blobs.path(digest)
            if await serving.registry.blob_size("acme/x", digest) is not None:
                assert path.read_bytes() == content
        stop.set()


async def test_an_upload_that_breaks_off_goes_on_from_where_it_was(serving: Serving) -> None:
    content = os.urandom(3 << 20)
    async with serving.client() as client:
        where = (await client.post("/v2/acme/x/blobs/uploads/")).headers["location"]
        _, writer = await asyncio.open_connection("127.0.0.1", serving.port)
        auth = base64.b64encode(b"x:anna-token").decode()
        head = f"PATCH {where} HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {auth}\r\n"
        writer.write(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content[: 2 << 20])
        await writer.drain()
        await anyio.sleep(0.2)
        writer.transport.abort()
        with anyio.fail_after(5):
            while (at := (await client.get(where)).headers["range"]) != f"0-{(2 << 20) - 1}":
                await anyio.sleep(0.02)
        start = int(at.partition("-")[2]) + 1
        headers = {"content-range": f"{start}-{len(content) - 1}"}
        assert (await client.patch(where, content=content[start:], headers=headers)).status_code == 202
        done = await client.put(f"{where}?digest={digest_of(content)}")
        assert done.status_code == 201


async def test_an_upload_left_alone_goes_and_one_that_goes_on_stays(serving: Serving) -> None:
    rest = anyio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield b"a" * 1000
        await rest.wait()
        yield b"b" * 1000

    async with serving.client() as client:
        idle = (await client.post("/v2/acme/x/blobs/uploads/")).headers["location"]
        busy = (await client.post("/v2/acme/x/blobs/uploads/")).headers["location"]
        answers = []

        async def patch() -> None:
            answers.append(await client.patch(busy, content=slow()))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(patch)
            with anyio.fail_after(5):
                while not serving.registry.blobs.find("acme/x", busy.rpartition("/")[2]).lock.locked():
                    await anyio.sleep(0.01)
            await age(serving, 7200)
            assert (await serving.registry.collect(grace=3600)).uploads == 1
            rest.set()
        assert answers[0].status_code == 202
        assert (await client.get(busy)).headers["range"] == "0-1999"
        gone = await client.patch(idle, content=b"x")
        assert gone.status_code == 404
        assert "Begin again" in gone.text


async def test_two_writers_do_not_mix(serving: Serving) -> None:
    async with serving.client() as client:
        where = (await client.post("/v2/acme/x/blobs/uploads/")).headers["location"]
        results: list[int] = []

        async def patch() -> None:
            headers = {"content-range": "0-99999"}
            results.append((await client.patch(where, content=b"x" * 100_000, headers=headers)).status_code)

        async with anyio.create_task_group() as tasks:
            for _ in range(4):
                tasks.start_soon(patch)
        assert sorted(results) == [202, 416, 416, 416]


async def test_a_full_disk_is_said(serving: Serving) -> None:
    serving.registry.blobs._min_free = 1 << 62
    async with serving.client() as client:
        answer = await client.post("/v2/acme/x/blobs/uploads/")
        assert answer.status_code == 507
        assert "free on the registry's disk" in answer.text


@pytest.mark.parametrize("chunked", [True, False])
async def test_a_blob_over_the_limit_is_refused(serving: Serving, chunked: bool) -> None:
    serving.registry.blobs._max_blob = 1000
    async with serving.client() as client:
        where = (await client.post("/v2/acme/x/blobs/uploads/")).headers["location"]
        if chunked:
            assert (await client.patch(where, content=b"x" * 900)).status_code == 202
        answer = await client.put(
            f"{where}?digest={digest_of(b'x')}", content=b"x" * (200 if chunked else 1001)
        )
        assert answer.status_code == 413
