from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from windlass.kube import TimedOutError, UnavailableError

if TYPE_CHECKING:
    from delivery.conftest import World

pytestmark = pytest.mark.integration
WRITES = {"apply", "create", "patch", "delete", "transact", "revert_paths", "commit_files"}


class Killer:
    """Lets each life of the deliveries do a few writes, then ends it before it can do anything else."""

    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        self.random = random.Random(seed)
        self.left = self.random.randint(1, 4)
        self.lives = 1
        self.dead = anyio.Event()

    def wrap(self, part: Any) -> Any:
        killer = self

        class Mortal:
            def __getattr__(self, name: str) -> Any:
                found = getattr(part, name)
                return killer.mortal(found) if name in WRITES else found

        return Mortal()

    def mortal(self, call: Any) -> Any:
        async def one(*words: Any, **named: Any) -> Any:
            if self.left <= 0:
                await anyio.sleep_forever()
            self.left -= 1
            with anyio.CancelScope(shield=True):
                result = await call(*words, **named)
            if self.left <= 0:
                self.dead.set()
                await anyio.sleep_forever()
            return result

        return one

    async def run(self) -> None:
        while True:
            await self.dead.wait()
            await self.world.stop()
            self.left, self.dead = self.random.randint(1, 4), anyio.Event()
            self.lives += 1
            await self.world.start(wait=False)


@pytest.mark.parametrize(("mode", "seed"), [("faulty", 1), ("faulty", 2), ("crash", 3), ("", 4), ("", 5)])
async def test_killed_again_and_again_it_comes_to_the_same_end(world: World, mode: str, seed: int) -> None:
    world.deadline = 45  # it is ended again and again, on a machine that may be slow
    await world.first()
    before = await world.file()
    await world.stop()
    killer = Killer(world, seed)
    world.wrap = killer.wrap
    async with anyio.create_task_group() as group, world.load():
        group.start_soon(killer.run)
        await world.start(wait=False)
        sha = await world.deploy("v2", mode)
        record = await world.ends(sha, "rolled_back" if mode else "live", limit=60)
        await world.becomes(*(["v1*"] * 2 if mode else ["v2*"] * 2), limit=30)
        if mode:
            assert await world.file() == before
            assert record.revert_commit is not None
            await world.ends(record.revert_commit, "live", limit=60)
        group.cancel_scope.cancel()
    assert killer.lives > 3
    world.wrap = lambda part: part
    await world.stop()
    await world.start()
    sets = (await world.objects.list("replicasets.apps", "web")).items
    assert len(sets) == 2
    assert len(await world.book.holds(record.uid)) == (1 if mode else 0)
    commits = await world.git.log("acme/gitops-repo", "main")
    assert len(commits) == (3 if mode else 2)


async def test_a_cluster_that_is_slow_at_first_is_asked_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that comes back after an outage: nothing else must end for it."""
    await world.stop()
    find, refused = world.kube.find, iter([TimedOutError("no answer within 30 s"), UnavailableError("busy")])

    async def slow(name: str) -> Any:
        if (error := next(refused, None)) is not None:
            raise error
        return await find(name)

    monkeypatch.setattr(world.kube, "find", slow)
    with anyio.fail_after(30):
        await world.start()
    assert next(refused, None) is None
