"""Built-in actions in real jobs against the real API for jobs: what one side says, the other understands."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio
import pytest
from starlette.applications import Starlette

from windlass.pipelines import Pipelines, SystemProcesses, job_routes
from windlass.runner.bubblewrap import survey
from windlass.runner.client import ZygoteClient
from windlass.runner.errors import SandboxUnavailableError
from windlass.server.listen import bind, listening

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pipelines.conftest import House

pytestmark = pytest.mark.integration
FILE = ".github/workflows/ci.yaml"


def works() -> bool:
    try:
        survey()
    except SandboxUnavailableError:
        return False
    return True


@asynccontextmanager
async def serving(house: House) -> AsyncIterator[Pipelines]:
    """A server that real jobs reach; they run in the sandbox where there is one."""
    listener = bind("127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    house.settle(server_url=url, isolation="bubblewrap" if works() else "host")
    zygote = ZygoteClient(house.data / "run")
    await zygote.warm()
    pipelines = Pipelines(
        house.store, house.repositories, house.git, house.identity, house.secrets, zygote, house.settings,
        processes=SystemProcesses(),
    )  # fmt: skip
    app = Starlette(routes=job_routes(pipelines, house.identity))
    try:
        async with listening(app, listener, lambda: None), anyio.create_task_group() as tasks:
            tasks.start_soon(pipelines.run)
            yield pipelines
            tasks.cancel_scope.cancel()
    finally:
        await zygote.close()
        listener.close()


async def text_of(pipelines: Pipelines, run: int, job: str) -> str:
    return b"".join([block async for block in pipelines.logs(run, job)]).decode()


ARTIFACTS = """
on: push
jobs:
  make:
    runs-on: ubuntu-latest
    outputs: {number: "${{ steps.up.outputs.artifact-id }}"}
    steps:
      - run: mkdir -p out/deep && echo one > out/deep/a.txt && echo two > out/.hidden && echo three > out/c.log
      - {id: up, uses: actions/upload-artifact@v4, with: {name: part-1, path: "out\\n!**/*.log"}}
      - {uses: actions/upload-artifact@v4, with: {name: part-2, path: out/**/c.log, retention-days: 3}}
      - {uses: actions/upload-artifact@v4, with: {name: part-2, path: out/deep/*.txt, overwrite: true}}
      - {uses: actions/upload-artifact/merge@v4, with: {name: all, pattern: "part-{1,2}", separate-directories: true}}
      - {uses: actions/upload-artifact/merge@v4, with: {name: flat, pattern: "part-*", delete-merged: false}}
  take:
    needs: make
    runs-on: ubuntu-latest
    steps:
      - {uses: actions/download-artifact@v4, with: {name: all, path: all}}
      - {uses: actions/download-artifact@v4, with: {artifact-ids: "${{ needs.make.outputs.number }}", path: one}}
      - {uses: actions/download-artifact@v4, with: {pattern: "!*l*", path: each}}
      - uses: actions/download-artifact@v4
        with: {run-id: 1, pattern: "{all,flat}", merge-multiple: true, path: m}
      - run: find . -type f | sort; cat all/part-2/a.txt
      - {uses: actions/upload-artifact/merge@v4, with: {name: last, pattern: "part-*", delete-merged: true}}
"""


async def test_artifacts_of_real_jobs(house: House) -> None:
    await house.repository()
    async with serving(house) as pipelines:
        await house.push({FILE: ARTIFACTS})
        detail = await house.over(pipelines, seconds=60)
        log = await text_of(pipelines, 1, "take")
        assert detail.run.conclusion == "success", log + await text_of(pipelines, 1, "make")
        listed = {item.name: item for item in await pipelines.artifacts.list(1)}
    files = [
        "./all/part-1/deep/a.txt", "./all/part-2/a.txt", "./each/part-1/deep/a.txt", "./each/part-2/a.txt",
        "./m/a.txt", "./m/deep/a.txt", "./m/part-1/deep/a.txt", "./m/part-2/a.txt", "./one/deep/a.txt", "one",
    ]  # fmt: skip
    found = [line.partition(" ")[2] for line in log.splitlines()]
    assert [line for line in found if line.startswith("./") or line == "one"] == files
    assert sorted(listed) == ["all", "flat", "last"]
    assert len({item.id for item in listed.values()}) == 3
    assert listed["all"].files == 2


CACHES = """
on: push
jobs:
  save:
    runs-on: ubuntu-latest
    steps:
      - {id: c, uses: actions/cache@v4, with: {path: kept, key: "deps-${{ github.ref_name }}", restore-keys: deps-}}
      - run: 'echo "was: $(cat kept/x 2>/dev/null || echo nothing) hit: ${{ steps.c.outputs.cache-hit }}"'
      - run: mkdir -p kept; echo "${{ github.ref_name }}" > kept/x
"""


async def test_caches_of_real_jobs_are_those_of_the_own_branch_and_the_default_one(house: House) -> None:
    """Cache poisoning: what a branch stores, no other one and not the default branch restores."""
    await house.repository()
    async with serving(house) as pipelines:
        logs = []
        for number, branch in enumerate(("evil", "main", "other", "evil"), 1):
            await house.push({FILE: CACHES, "n": str(number)}, branch=branch)
            detail = await house.over(pipelines, number, seconds=60)
            logs.append(await text_of(pipelines, number, "save"))
            assert detail.run.conclusion == "success", logs[-1]
        caches = await pipelines.caches.list("acme/app")
    said = [next(line.partition("was: ")[2] for line in log.splitlines() if " was: " in line) for log in logs]
    assert said == ["nothing hit: ", "nothing hit: ", "main hit: false", "evil hit: true"]
    assert sorted((cache.scope, cache.key) for cache in caches) == [
        ("refs/heads/evil", "deps-evil"), ("refs/heads/main", "deps-main"), ("refs/heads/other", "deps-other"),
    ]  # fmt: skip
    assert "not saving cache" in logs[-1]
