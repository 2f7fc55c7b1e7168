"""From a forge's webhook to its commit status, and from a pull request to its merge: all rooms, scripted jobs."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import socket
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import anyio
import httpx2
import pytest
import uvicorn

from windlass.delivery import Deliveries
from windlass.identity import FixedAuthenticator, Identity, Principal, Secrets
from windlass.pipelines import FakeLauncher, Pipelines, Settings
from windlass.repos import ZERO, Git, GitHTTP, GitWriter, Repositories
from windlass.repos import Identity as Mail
from windlass.repos.errors import MergeBlockedError
from windlass.repos.forges import Forges
from windlass.repos.pulls import Protection, Protections, Pulls
from windlass.server.checks import RunChecks
from windlass.server.news import News
from windlass.server.standings import ServerStandings
from windlass.store import Store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from windlass.pipelines import FakeJob

pytestmark = pytest.mark.integration

URL, TOKEN, SECRET = "http://windlass.test", "token-of-the-forge", "It's a Secret to Everybody"
ANNA = Principal("user", "anna", ("admin",))
SPOOFED = Mail("Somebody Else", "else@example.org")
CI = b"""
name: CI
on:
  push: {branches: [main]}
  pull_request:
jobs:
  test:
    runs-on: ubuntu-latest
    steps: [{run: "true"}]
"""


@asynccontextmanager
async def serving(app: Any) -> AsyncIterator[str]:
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off", ws="none"))
    task = asyncio.create_task(server._serve([listener]))
    while not server.started:
        await anyio.sleep(0.005)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    await task
    listener.close()


async def until(check: Callable[[], Awaitable[Any]]) -> Any:
    """Wait for a truthy answer; the limit is far from what is normal."""
    with anyio.fail_after(60):
        while not (answer := await check()):
            await anyio.sleep(0.02)
    return answer


@dataclass
class House:
    """A server's rooms that have to do with repositories and runs."""

    store: Store
    repositories: Repositories
    launcher: FakeLauncher
    runs: Pipelines
    forges: Forges
    pulls: Pulls

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with self.launcher, anyio.create_task_group() as tasks:
            for part in (self.runs.run, self.forges.run, self.pulls.run):
                tasks.start_soon(part)
            yield
            tasks.cancel_scope.cancel()

    async def commit(self, branch: str, files: dict[str, bytes | None]) -> str:
        writer = GitWriter(self.repositories, ANNA)
        return await writer.commit_files("acme/x", branch, files, "change", SPOOFED)


@pytest.fixture
def house(store: Store, tmp_path: Path) -> House:
    repositories = Repositories(store, tmp_path / "repos")
    secrets = Secrets(store, tmp_path / "keys" / "secrets.key")
    launcher = FakeLauncher()
    settings = Settings(tmp_path, capacity=2, resync=0.5, isolation="host", engine="fake", server_url=URL)
    rooms = store, repositories, Git(repositories), Identity(store), secrets, launcher, settings
    runs = Pipelines(*rooms, processes=launcher)
    deliveries = Deliveries(store, cast("Any", None))  # no cluster is asked for deliveries of a commit
    forges = Forges(store, repositories, secrets, ServerStandings(runs, deliveries, URL), url=URL)
    pulls = Pulls(store, repositories, url=URL, checks=RunChecks(store, runs, URL))
    return House(store, repositories, launcher, runs, forges, pulls)


@dataclass
class Forge:
    """Our own git hosting as the forge, and of its REST API what takes statuses."""

    repositories: Repositories
    git: GitHTTP
    told: list[tuple[str, str, str, str]] = field(default_factory=list)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if not scope["path"].startswith("/api/v3/repos/octo/hello/statuses/"):
            await self.git(scope, receive, send)
            return
        body = json.loads((await receive())["body"])
        sha = scope["path"].rpartition("/")[2]
        self.told.append((sha, body["context"], body["state"], body["target_url"]))
        await send({"type": "http.response.start", "status": 201, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})

    async def commit(self, files: dict[str, bytes | None]) -> str:
        writer = GitWriter(self.repositories, ANNA)
        return await writer.commit_files("octo/hello", "main", files, "change", SPOOFED)


async def test_a_signed_webhook_starts_a_run_on_a_clone_and_posts_the_status(
    house: House, tmp_path: Path
) -> None:
    store = Store(tmp_path / "forge.db")
    theirs = Repositories(store, tmp_path / "forge")
    who = FixedAuthenticator({TOKEN: ANNA})
    async with GitHTTP(theirs, who, News(), socket=tmp_path / "f.sock") as git:
        forge = Forge(theirs, git)
        await theirs.create("octo/hello")
        await forge.commit({".github/workflows/ci.yaml": CI})
        async with serving(forge) as url, serving(house.forges.hooks) as hooks, house.running():
            source, credential = f"{url}/octo/hello.git", ("x-access-token", TOKEN)
            await house.repositories.import_(source, "acme/x", credentials=credential)
            remotes = house.forges.remotes
            api = f"{url}/api/v3"
            await remotes.keep("acme/x", source, credential=credential, forge="github", api=api)
            await remotes.set_secret("acme/x", SECRET, actor="anna")
            before = (await house.repositories.recorded_refs("acme/x"))["refs/heads/main"]
            after = await forge.commit({"a": b"a"})
            body = json.dumps(
                {
                    "ref": "refs/heads/main",
                    "before": before,
                    "after": after,
                    "repository": {"full_name": "octo/hello", "clone_url": source},
                    "pusher": {"name": "monalisa"},
                }
            ).encode()
            mac = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
            headers = {
                "X-Hub-Signature-256": f"sha256={mac}",
                "X-GitHub-Delivery": "1",
                "X-GitHub-Event": "push",
            }
            async with httpx2.AsyncClient(trust_env=False) as client:
                for status in (202, 200):
                    answer = await client.post(f"{hooks}/hooks/acme/x", content=body, headers=headers)
                    assert answer.status_code == status

            async def over() -> bool:
                return any(state == "success" for _, _, state, _ in forge.told)

            await until(over)
            (run,) = await house.runs.runs("acme/x")
            assert (run.sha, run.actor, run.conclusion) == (after, "monalisa", "success")
            assert forge.told[-1] == (after, "windlass / CI (push)", "success", f"{URL}/runs/{run.id}")
            assert {sha for sha, *_ in forge.told} == {after}
            assert [state for _, _, state, _ in forge.told].count("success") == 1
    store.close()


async def test_a_pull_request_is_merged_once_its_required_check_is_green(house: House) -> None:
    go = anyio.Event()

    async def slow(job: FakeJob) -> None:
        await go.wait()
        job.begin("Run true")
        job.end()
        job.finish()

    await house.repositories.create("acme/x")
    async with house.running():
        tip = await house.commit("main", {".github/workflows/ci.yaml": CI})

        async def first() -> bool:
            runs = await house.runs.runs_of_commit("acme/x", tip)
            return any(run.status == "completed" for run in runs)

        await until(first)
        rules = Protections(house.store, house.repositories)
        await rules.set("acme/x", Protection("main", checks=("test",)), actor="anna")
        house.launcher.scripts["test"] = slow
        await GitWriter(house.repositories, ANNA).move("acme/x", "patch", ZERO, tip)
        await house.commit("patch", {"p": b"p"})
        pull = await house.pulls.create("acme/x", principal=ANNA, head="patch")
        with pytest.raises(MergeBlockedError, match=r"'test' (has not reported|is not over)"):
            await house.pulls.merge("acme/x", 1, principal=ANNA)

        async def planned() -> bool:
            return bool(await house.runs.runs_of_commit("acme/x", pull.merge_sha))

        await until(planned)
        with pytest.raises(MergeBlockedError, match="'test' is not over"):
            await house.pulls.merge("acme/x", 1, principal=ANNA)
        go.set()

        async def green() -> bool:
            return not (await house.pulls.show("acme/x", 1, principal=ANNA)).blockers

        await until(green)
        merged = await house.pulls.merge("acme/x", 1, principal=ANNA)

        async def after() -> bool:
            return bool(await house.runs.runs_of_commit("acme/x", merged.merged_sha or ""))

        await until(after)
    (run,) = await house.runs.runs_of_commit("acme/x", pull.merge_sha)
    assert (run.event, run.ref, run.actor) == ("pull_request", "refs/pull/1/merge", "anna")


async def test_while_runs_are_not_planned_the_answer_is_pending(house: House) -> None:
    await house.repositories.create("acme/x")
    tip = await house.commit("main", {"a": b"a"})
    checks = RunChecks(house.store, house.runs, URL)
    assert [check.state for check in await checks.of_commit("acme/x", tip)] == ["pending"]
    async with house.running():

        async def planned() -> bool:
            return await checks.of_commit("acme/x", tip) == []

        await until(planned)
