"""Jobs that run for as long as a test needs them, and clients that bear their tokens."""

from __future__ import annotations

import io
import zipfile
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import httpx2
from starlette.applications import Starlette

from windlass.pipelines import job_routes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pipelines.conftest import House
    from windlass.pipelines import FakeJob, Pipelines

FILE = ".github/workflows/ci.yaml"
TEXT = "on: push\njobs:\n  test:\n    runs-on: ubuntu-latest\n    steps: [{run: 'true'}]\n"


def zipped(files: dict[str, bytes]) -> bytes:
    """Return a zip of these files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


GOOD = zipped({"report/index.html": b"<h1>hi</h1>", "a.txt": b"a"})


@asynccontextmanager
async def jobs(
    house: House, *branches: str, base: str
) -> AsyncIterator[tuple[Pipelines, list[httpx2.AsyncClient]]]:
    """One running job for each of the branches, and a client with its token whose addresses begin with `base`."""

    async def test(job: FakeJob) -> None:
        await job.term.wait()
        job.finish()

    house.settle(capacity=9, **({"cache_limit": 4000} if house.settings.cache_limit == 4000 else {}))
    house.launcher.scripts["test"] = test
    await house.repository()
    async with house.running() as pipelines:
        transport = httpx2.ASGITransport(app=Starlette(routes=job_routes(pipelines, house.identity)))
        clients = []
        for number, branch in enumerate(branches, 1):
            await house.push({FILE: TEXT, "n": str(number)}, branch=branch)

            async def begun(job: str = f"{number}.test.1") -> bool:
                row = await house.store.one("jobs.job", id=job)
                return row is not None and row["status"] == "in_progress"

            await house.until(begun)
            token = house.launcher.jobs[f"{number}.test.1"].secrets.token
            headers = {"Authorization": f"Bearer {token}"}
            clients.append(httpx2.AsyncClient(transport=transport, base_url=base, headers=headers))
        yield pipelines, clients
        for client in clients:
            await client.aclose()
        for job in house.launcher.jobs.values():
            job.term.set()
