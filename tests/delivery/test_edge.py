"""Bad and good versions behind the real HAProxy, with the real node; a client asks all the while."""

from __future__ import annotations

import contextlib
import sys
from collections import Counter
from typing import TYPE_CHECKING

import anyio
import httpx2
import pytest

from windlass.delivery.deliveries import durations

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from delivery.conftest import World

pytestmark = pytest.mark.integration


@contextlib.asynccontextmanager
async def load(world: World, rate: float = 100.0) -> AsyncIterator[Counter[str]]:
    """Ask `/health` at a rate over kept and over new connections."""
    service = await world.objects.get("services", "web", "web")
    address = service["metadata"]["annotations"]["windlass.dev/address"]
    seen: Counter[str] = Counter()

    async def ask(client: httpx2.AsyncClient) -> None:
        while True:
            try:
                seen[str((await client.get(f"{address}/health")).status_code)] += 1
            except httpx2.HTTPError as error:
                seen[repr(error)] += 1
            await anyio.sleep(2 / rate)

    fresh = httpx2.Limits(max_keepalive_connections=0)
    async with (
        httpx2.AsyncClient(trust_env=False) as kept,
        httpx2.AsyncClient(trust_env=False, limits=fresh) as new,
        anyio.create_task_group() as group,
    ):
        group.start_soon(ask, kept)
        group.start_soon(ask, new)
        yield seen
        group.cancel_scope.cancel()


async def test_good_and_bad_versions_come_and_go_and_every_answer_is_a_good_one(real: World) -> None:
    await real.first()
    before = await real.file()
    async with load(real) as seen:
        await real.ends(await real.deploy("v2"), "live", limit=30)
        for mode in ("sick", "crash", "faulty"):
            sha = await real.deploy("v3", mode)
            record = await real.ends(sha, "rolled_back", limit=40)
            assert record.revert_commit is not None
            await real.ends(record.revert_commit, "live", limit=30)
            assert durations(record)["found bad → traffic back"] < 1
    assert set(seen) == {"200"}, seen
    assert seen["200"] > 100
    assert await real.file() != before
    await real.becomes("v2*", "v2*", limit=20)
    logs = [each for each in await real.book.evidence(2 + 1) if each.kind == "log"]
    assert any("BREAK is set" in line for each in logs for line in each.data)
    lines = [f"{name}: {seconds:.2f} s" for name, seconds in (await segments(real)).items()]
    sys.stdout.write("\n".join(lines))


@pytest.mark.parametrize("moment", ["applied_at", "ready_at", "verified_candidate_at", "cut_over_at"])
async def test_a_restart_of_the_whole_server_costs_a_good_version_nothing(real: World, moment: str) -> None:
    await real.first()
    async with load(real, rate=60) as seen:
        sha = await real.deploy("v2")

        async def reached() -> bool:
            return any(each.revision == sha and getattr(each, moment) for each in await real.deliveries())

        await real.until(reached, moment)
        await real.stop()
        real.node.stop()
        await anyio.sleep(0.5)
        real.node.start()
        await real.start()
        await real.ends(sha, "live", limit=40)
        await real.becomes("v2*", "v2*", limit=20)
    assert set(seen) == {"200"}, seen


async def segments(world: World) -> dict[str, float]:
    return {
        f"{each.id} {each.state}: {k}": v
        for each in await world.deliveries()
        for k, v in durations(each).items()
    }
