"""A real forge's view: our own git hosting as the forge, its REST API and our webhook address on the loopback."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import anyio
import httpx2
import pytest

from windlass.identity import FixedAuthenticator, Principal, Secrets
from windlass.repos import ZERO, Git, GitHTTP, GitWriter, Identity, Repositories
from windlass.repos.errors import PullStateError
from windlass.repos.forges import Following, Remotes, Standing, Telling, WebhookHTTP
from windlass.repos.pulls import Check, Pulls
from windlass.repos.releases import Releases
from windlass.store import Store

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
    from pathlib import Path

    from windlass.repos import Push, RepoEvent
    from windlass.repos.forges import Remote

pytestmark = pytest.mark.integration

OURS, THEIRS = "acme/x", "octo/hello"
TOKEN, SECRET = "forge-token-of-the-test", "It's a Secret to Everybody"
OCTOCAT = Principal("user", "octocat", ("admin",))
MAIL = Identity("Mallory", "m@example.org")


class NoChecks:
    """Nothing runs."""

    async def of_commit(self, repository: str, sha: str) -> list[Check]:
        assert repository
        assert sha
        return []


class Quiet:
    """Says nothing to who pushes."""

    async def lines(
        self, pushes: Sequence[Push], principal: Principal, *, follow: bool
    ) -> AsyncGenerator[str, None]:
        if not pushes and follow and principal.name:
            yield ""


@dataclass
class Forge:
    """A forge: git over HTTP, and as much REST as we ask for."""

    repositories: Repositories
    git: GitHTTP
    url: str = ""
    refuse: int = 0
    """How many statuses to refuse."""
    asked: list[tuple[str, str, dict[str, str], Any]] = field(default_factory=list)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if not scope["path"].startswith("/api/v3/"):
            await self.git(scope, receive, send)
            return
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.asked.append((scope["method"], scope["path"], headers, json.loads(body) if body else None))
        status, answer, more = await self._answer(scope["path"], headers)
        start = {"type": "http.response.start", "status": status, "headers": more}
        await send(start)
        await send({"type": "http.response.body", "body": answer})

    async def _answer(
        self, path: str, headers: dict[str, str]
    ) -> tuple[int, bytes, list[tuple[bytes, bytes]]]:
        if headers.get("authorization") != f"Bearer {TOKEN}":
            return 401, b"{}", []
        if "/statuses/" in path:
            self.refuse -= 1
            return (503, b"busy", []) if self.refuse >= 0 else (201, b"{}", [])
        folder = path.rpartition("/")[2]
        refs = await Git(self.repositories).refs(THEIRS)
        listed = sorted((ref, sha) for ref, sha in refs.items() if ref.startswith(f"refs/{folder}/"))
        etag = f'"{hashlib.sha256(str(listed).encode()).hexdigest()}"'
        if headers.get("if-none-match") == etag:
            return 304, b"", [(b"etag", etag.encode())]
        return 200, json.dumps(listed).encode(), [(b"etag", etag.encode())]

    async def commit(self, branch: str, files: dict[str, bytes | None], repo: str = THEIRS) -> str:
        return await GitWriter(self.repositories, OCTOCAT).commit_files(repo, branch, files, "change", MAIL)

    async def branch(self, name: str, start: str = "main") -> None:
        tip = await Git(self.repositories).resolve(THEIRS, start)
        assert tip
        await GitWriter(self.repositories, OCTOCAT).move(THEIRS, name, ZERO, tip)

    async def set_ref(self, ref: str, sha: str) -> None:
        path = self.repositories.path(THEIRS)
        await anyio.run_process(["git", f"--git-dir={path}", "update-ref", ref, sha])


@dataclass
class Scene:
    """Our server, and the forge."""

    store: Store
    repositories: Repositories
    remotes: Remotes
    following: Following
    git: Git
    forge: Forge
    hooks: str

    async def look(self) -> Remote:
        async with httpx2.AsyncClient(trust_env=False) as client:
            remote = await self.remote()
            await self.following.look(remote, client)
        return await self.remote()

    async def remote(self) -> Remote:
        found = await self.remotes.get(OURS)
        assert found is not None
        return found

    async def events(self) -> list[RepoEvent]:
        return await self.repositories.events(OURS)

    async def send(
        self, payload: Any, *, path: str = "", delivery: str = "d-1", **headers: str
    ) -> httpx2.Response:
        """Send a webhook as GitHub does; `signature=…` stands in for its own."""
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        mac = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
        signed = {"X-Hub-Signature-256": f"sha256={mac}", "X-GitHub-Delivery": delivery}
        given = headers or signed
        async with httpx2.AsyncClient(trust_env=False) as client:
            url = f"{self.hooks}/hooks/{path or OURS}"
            return await client.post(url, content=body, headers={"Content-Type": "application/json", **given})


@asynccontextmanager
async def forge_at(tmp_path: Path, serve: Callable[[Any], Any]) -> AsyncIterator[Forge]:
    store = Store(tmp_path / "forge.db")
    repositories = Repositories(store, tmp_path / "forge")
    who = FixedAuthenticator({TOKEN: OCTOCAT})
    async with GitHTTP(repositories, who, Quiet(), socket=tmp_path / "f.sock") as git:
        forge = Forge(repositories, git)
        await repositories.create(THEIRS)
        await forge.commit("main", {"a": b"a\n"})
        async with serve(forge) as port:
            forge.url = f"http://127.0.0.1:{port}"
            yield forge
    store.close()


@pytest.fixture
async def scene(store: Store, tmp_path: Path, serve: Callable[[Any], Any]) -> AsyncIterator[Scene]:
    async with forge_at(tmp_path, serve) as forge:
        repositories = Repositories(store, tmp_path / "ours")
        remotes = Remotes(store, repositories, Secrets(store, tmp_path / "key"))
        hooks = WebhookHTTP(store, repositories, remotes, url="http://windlass.test")
        source, credential = f"{forge.url}/{THEIRS}.git", ("x-access-token", TOKEN)
        await repositories.import_(source, OURS, credentials=credential)
        kind, api = "github", f"{forge.url}/api/v3"
        await remotes.keep(OURS, source, credential=credential, forge=kind, api=api)
        await remotes.set_secret(OURS, SECRET, actor="anna")
        following = Following(store, repositories, remotes)
        async with serve(hooks) as port:
            url = f"http://127.0.0.1:{port}"
            yield Scene(store, repositories, remotes, following, Git(repositories), forge, url)


def push_payload(before: str, after: str, ref: str = "refs/heads/main") -> dict[str, Any]:
    """What GitHub's documentation shows of a push."""
    return {
        "ref": ref,
        "before": before,
        "after": after,
        "repository": {"full_name": THEIRS, "clone_url": f"https://github.com/{THEIRS}.git"},
        "pusher": {"name": "monalisa"},
        "sender": {"login": "monalisa"},
    }


def pull_payload(number: int, head: str, action: str = "opened", fork: str = THEIRS) -> dict[str, Any]:
    """What GitHub's documentation shows of a pull request."""
    return {
        "action": action,
        "number": number,
        "pull_request": {
            "number": number,
            "title": "Improve",
            "merged": False,
            "head": {"ref": "patch", "sha": head, "repo": {"full_name": fork, "fork": fork != THEIRS}},
            "base": {"ref": "main", "sha": "", "repo": {"full_name": THEIRS}},
        },
        "repository": {"full_name": THEIRS, "clone_url": f"https://github.com/{THEIRS}.git"},
        "sender": {"login": "hubot"},
    }


async def test_a_signed_push_is_fetched_and_recorded_as_the_forge_told(scene: Scene) -> None:
    before = await scene.git.resolve(OURS, "main") or ""
    middle = await scene.forge.commit("main", {"b": b"b\n"})
    after = await scene.forge.commit("main", {"c": b"c\n"})
    first = await scene.send(push_payload(before, middle))
    second = await scene.send({**push_payload(middle, after), "pusher": {"name": "hubot"}}, delivery="d-2")
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json() == {"status": "accepted", "delivery": "d-1"}
    remote = await scene.look()
    assert (remote.error, remote.wanted_at) == ("", None)
    assert await scene.git.read_file(OURS, "main", "c") == b"c\n"
    pushes = await scene.repositories.pushes(OURS)
    assert [(p.before, p.after, p.pusher, p.pusher_kind) for p in pushes] == [
        (before, middle, "monalisa", "forge"),
        (middle, after, "hubot", "forge"),
    ]
    assert await scene.repositories.record_unseen() == []


async def test_run_looks_when_a_webhook_asks(scene: Scene) -> None:
    before = await scene.git.resolve(OURS, "main") or ""
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(scene.following.run)
            await anyio.sleep(0.1)
            after = await scene.forge.commit("main", {"b": b"b\n"})
            with scene.store.subscribe("push") as feed:
                await scene.send(push_payload(before, after))
                entry = await feed.next()
            assert (entry.data["after"], entry.data["pusher"]) == (after, "monalisa")
            tasks.cancel_scope.cancel()


async def test_what_nobody_told_is_the_forges(scene: Scene) -> None:
    await scene.forge.commit("main", {"b": b"b\n"})
    await scene.forge.branch("other")
    await scene.look()
    pushes = {push.ref: push for push in await scene.repositories.pushes(OURS)}
    assert set(pushes) == {"refs/heads/main", "refs/heads/other"}
    assert pushes["refs/heads/main"].pusher == "127.0.0.1"


async def test_force_pushes_and_deletions_follow(scene: Scene) -> None:
    await scene.forge.branch("gone")
    old = await scene.forge.commit("main", {"b": b"b\n"})
    await scene.look()
    first = await Git(scene.forge.repositories).log(THEIRS, old, limit=2)
    await scene.forge.set_ref("refs/heads/main", first[1].sha)
    path = scene.forge.repositories.path(THEIRS)
    await anyio.run_process(["git", f"--git-dir={path}", "update-ref", "-d", "refs/heads/gone"])
    assert (await scene.look()).error == ""
    assert await scene.git.refs(OURS) == {"refs/heads/main": first[1].sha}


async def test_commits_of_our_own_are_never_lost(scene: Scene) -> None:
    """As a revert that a rollback commits here, while somebody pushes there."""
    ours = await GitWriter(scene.repositories, OCTOCAT).commit_files(OURS, "main", {"o": b"o"}, "x", MAIL)
    theirs = await scene.forge.commit("main", {"t": b"t\n"})
    await scene.forge.branch("other")
    remote = await scene.look()
    assert "refs/heads/main moved here and on" in remote.error
    assert await scene.git.resolve(OURS, "main") == ours
    assert await scene.git.resolve(OURS, "other") == theirs
    await scene.forge.set_ref("refs/heads/main", theirs)
    path = scene.repositories.path(OURS)
    await anyio.run_process(["git", f"--git-dir={path}", "update-ref", "refs/heads/main", theirs])
    await scene.repositories.record_changes(OURS)
    assert (await scene.look()).error == ""


async def test_nobody_pushes_to_a_repository_that_follows(scene: Scene) -> None:
    assert await scene.repositories.push_rules(OURS) == [f"follows {scene.forge.url}/{THEIRS}.git"]
    await scene.forge.branch("patch")
    await scene.forge.commit("patch", {"p": b"p"})
    await scene.look()
    pulls = Pulls(scene.store, scene.repositories, url="http://windlass.test", checks=NoChecks())
    with pytest.raises(PullStateError, match="open the pull request there"):
        await pulls.create(OURS, principal=OCTOCAT, head="patch")
    with pytest.raises(PullStateError, match="make the tag there"):
        await Releases(scene.store, scene.repositories, url="").create(OURS, "v1", principal=OCTOCAT)
    await scene.remotes.forget(OURS, actor="anna")
    assert await scene.repositories.push_rules(OURS) == []


async def test_the_same_delivery_is_seen_once_and_a_copy_under_another_name_too(scene: Scene) -> None:
    before = await scene.git.resolve(OURS, "main") or ""
    after = await scene.forge.commit("main", {"b": b"b\n"})
    await scene.forge.set_ref("refs/pull/7/head", after)
    payload = pull_payload(7, after)
    assert (await scene.send(payload)).status_code == 202
    again, copy = await scene.send(payload), await scene.send(payload, delivery="d-2")
    assert [(answer.status_code, answer.json()["status"]) for answer in (again, copy)] == [
        (200, "already seen"),
        (200, "already seen"),
    ]
    await scene.look()
    assert [event.action for event in await scene.events()] == ["opened"]
    assert (await scene.send(payload)).status_code == 200
    assert (await scene.send(push_payload(before, after), delivery="d-3")).status_code == 202
    await scene.look()
    assert len(await scene.events()) == 1


async def test_bad_signatures_and_unknown_repositories_get_the_same_answer(scene: Scene) -> None:
    payload = push_payload(ZERO, ZERO)
    await scene.repositories.create("acme/plain")
    bad = {"X-Hub-Signature-256": "sha256=" + "0" * 64}
    answers = [
        await scene.send(payload, **bad),
        await scene.send(payload, **{"X-Hub-Signature": "sha1=" + "0" * 40}),
        await scene.send(payload, **{"X-Nothing": "x"}),
        await scene.send(payload, path="acme/nowhere"),
        await scene.send(payload, path="acme/plain"),
        await scene.send(payload, path="acme/x/y/z"),
        await scene.send(payload, path="acme/nowhere/dispatch/deploy"),
        await scene.send(payload, path=f"{OURS}/dispatch/deploy", **bad),
    ]
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.content for answer in answers}) == 1
    headers = [{name for name in answer.headers if name != "date"} for answer in answers]
    assert all(one == headers[0] for one in headers)
    assert await scene.store.read("remotes.open_deliveries", repository=OURS) == []


async def test_a_signature_of_another_body_is_refused(scene: Scene) -> None:
    good = json.dumps(push_payload(ZERO, "1" * 40)).encode()
    mac = hmac.new(SECRET.encode(), good, hashlib.sha256).hexdigest()
    answer = await scene.send(good + b" ", **{"X-Hub-Signature-256": f"sha256={mac}"})
    assert answer.status_code == 401


async def test_bodies_are_capped_before_anything_else(scene: Scene) -> None:
    async with httpx2.AsyncClient(trust_env=False) as client:
        url = f"{scene.hooks}/hooks/{OURS}/dispatch/deploy"
        announced = await client.post(url, content=b" " * ((64 << 10) + 1))
        assert announced.status_code == 413

        async def chunks() -> AsyncGenerator[bytes, None]:
            for _ in range(65):
                yield b" " * 1024

        assert (await client.post(url, content=chunks())).status_code == 413
        assert (await client.get(url)).status_code == 405


async def test_pings_are_answered_and_what_means_nothing_is_told_so(scene: Scene) -> None:
    ping = {"zen": "Design for failure.", "hook_id": 1, "repository": {"full_name": THEIRS}}
    assert (await scene.send(ping)).json() == {"status": "pong"}
    star = {"action": "created", "repository": {"full_name": THEIRS}, "sender": {"login": "x"}}
    ignored = await scene.send(star)
    assert (ignored.status_code, ignored.json()["status"]) == (202, "ignored")
    assert (await scene.send(b"not json")).json()["status"] == "ignored"


async def test_a_pull_request_of_the_forge_is_fetched_and_told(scene: Scene) -> None:
    await scene.forge.branch("patch")
    head = await scene.forge.commit("patch", {"p": b"p\n"})
    base = await scene.forge.commit("main", {"m": b"m\n"})
    await scene.forge.set_ref("refs/pull/3/head", head)
    await scene.send(pull_payload(3, head))
    assert (await scene.look()).error == ""
    (event,) = await scene.events()
    assert (event.name, event.action, event.ref) == ("pull_request", "opened", "refs/pull/3/merge")
    assert (event.actor, event.actor_kind, event.paths) == ("hubot", "forge", ("p",))
    merge = await scene.git.commit_info(OURS, "refs/pull/3/merge")
    assert (event.sha, merge.parents) == (merge.sha, (base, head))
    assert await scene.git.resolve(OURS, "refs/pull/3/head") == head
    assert event.payload["windlass"] == {"fork": False, "head": head, "merge": merge.sha}
    assert event.payload["pull_request"]["base"]["sha"] == base


async def test_the_forges_own_merge_is_taken_if_it_is_of_that_head(scene: Scene) -> None:
    await scene.forge.branch("patch")
    head = await scene.forge.commit("patch", {"p": b"p\n"})
    path, git = scene.forge.repositories.path(THEIRS), Git(scene.forge.repositories)
    main = await git.resolve(THEIRS, "main") or ""
    argv = ["git", "-c", "user.name=f", "-c", "user.email=f@f", f"--git-dir={path}"]
    done = await anyio.run_process(
        [*argv, "commit-tree", f"{head}^{{tree}}", "-p", main, "-p", head, "-m", "merge"]
    )
    merge = done.stdout.decode().strip()
    await scene.forge.set_ref("refs/pull/3/head", head)
    await scene.forge.set_ref("refs/pull/3/merge", merge)
    await scene.send(pull_payload(3, head))
    await scene.look()
    assert [event.sha for event in await scene.events()] == [merge]


async def test_a_fork_is_marked(scene: Scene) -> None:
    head = await scene.forge.commit("main", {"p": b"p\n"})
    await scene.forge.set_ref("refs/pull/4/head", head)
    await scene.send(pull_payload(4, head, fork="mallory/hello"))
    await scene.look()
    (event,) = await scene.events()
    assert event.payload["windlass"]["fork"] is True


async def test_a_pull_request_whose_head_is_not_there_is_tried_again_and_given_up(scene: Scene) -> None:
    await scene.send(pull_payload(5, "1" * 40))
    remote = await scene.look()
    assert "Pull request 5: its head 111111111111 cannot be fetched" in remote.error
    assert remote.next_at
    assert remote.next_at > time.time()
    for _ in range(8):
        remote = await scene.look()
    assert remote.error == ""
    (row,) = await scene.remotes.arrived(OURS)
    assert (row["done_at"] is not None, "cannot be fetched" in row["error"]) == (True, True)
    assert await scene.events() == []


async def test_a_release_of_the_forge_is_an_event(scene: Scene) -> None:
    head = await scene.git.resolve(OURS, "main") or ""
    await scene.forge.set_ref("refs/tags/v1", head)
    release = {"tag_name": "v1", "name": "One", "prerelease": False}
    sent = {"action": "published", "release": release, "repository": {"full_name": THEIRS}}
    await scene.send({**sent, "sender": {"login": "hubot"}})
    await scene.look()
    (event,) = await scene.events()
    assert (event.name, event.action, event.ref, event.sha) == ("release", "published", "refs/tags/v1", head)


async def test_anything_may_dispatch_with_the_secret(scene: Scene) -> None:
    path = f"{OURS}/dispatch/deploy"
    signed = await scene.send({"to": "production"}, path=path)
    assert (signed.status_code, signed.json()["status"]) == (202, "accepted")
    assert (await scene.send({"to": "production"}, path=path, delivery="d-2")).status_code == 200
    for _ in range(2):  # who shows the secret itself may say the same thing twice
        bearer = {"Authorization": f"Bearer {SECRET}"}
        assert (await scene.send({"to": "production"}, path=path, **bearer)).status_code == 202
    named = {"Authorization": f"Bearer {SECRET}", "Idempotency-Key": "k"}
    assert [(await scene.send({}, path=path, **named)).status_code for _ in range(2)] == [202, 200]
    events = await scene.events()
    assert [(event.name, event.action, event.actor_kind) for event in events] == [
        ("repository_dispatch", "deploy", "forge")
    ] * 4
    assert events[0].payload["client_payload"] == {"to": "production"}
    assert (events[0].ref, events[0].sha) == ("refs/heads/main", await scene.git.resolve(OURS, "main"))
    assert (await scene.send(b"[1]", path=path)).status_code == 422


async def test_polling_asks_with_conditions_and_fetches_only_what_changed(scene: Scene) -> None:
    await scene.remotes.set_poll(OURS, 30.0, actor="anna")
    first = await scene.look()
    assert first.next_at
    assert first.looked_at
    assert 29.0 < first.next_at - first.looked_at <= 30.0
    second = await scene.look()
    asked = [headers.get("if-none-match") for _, path, headers, _ in scene.forge.asked if "matching" in path]
    assert asked[:2] == [None, None]
    assert all(asked[2:])
    assert second.changed_at is None
    await scene.forge.commit("main", {"b": b"b\n"})
    assert (await scene.look()).changed_at
    assert len(await scene.repositories.pushes(OURS)) == 1


async def test_plain_git_is_polled_too(scene: Scene) -> None:
    credential = ("x", TOKEN)
    await scene.remotes.keep(OURS, f"{scene.forge.url}/{THEIRS}.git", credential=credential, poll=5.0)
    assert (await scene.remote()).forge == "git"
    await scene.look()
    assert scene.forge.asked == []
    await scene.forge.commit("main", {"b": b"b\n"})
    await scene.look()
    assert len(await scene.repositories.pushes(OURS)) == 1


async def test_a_forge_that_does_not_answer_is_asked_less_often_and_it_shows(scene: Scene) -> None:
    await scene.remotes.keep(OURS, "http://127.0.0.1:9/octo/hello.git", poll=5.0)
    waits = []
    for _ in range(4):
        remote = await scene.look()
        assert "cannot be read" in remote.error
        waits.append(round((remote.next_at or 0.0) - (remote.looked_at or 0.0)))
    assert waits == [5, 10, 20, 40]
    assert remote.public()["error"] == remote.error


async def test_credentials_are_sealed_and_shown_to_nobody(scene: Scene) -> None:
    remote = await scene.remote()
    assert remote.credential is not None
    assert TOKEN not in str(await scene.store.read("remotes.list"))
    assert SECRET not in str(await scene.store.read("remotes.list"))
    assert TOKEN not in json.dumps(remote.public())
    assert await scene.remotes.credential(remote) == ("x-access-token", TOKEN)
    await scene.remotes.keep(OURS, f"http://x:{TOKEN}@127.0.0.1:9/octo/hello.git", poll=5.0)
    failed = await scene.look()
    assert TOKEN not in failed.url + failed.error
    assert TOKEN not in str(await scene.store.read("ledger.of_subject", subject=f"repo/{OURS}"))


@dataclass
class Said:
    """`Standings` that say what a test tells them to."""

    standings: list[Standing] = field(default_factory=list)

    async def of_repository(self, repository: str) -> Sequence[Standing]:
        return [standing for standing in self.standings if standing.repository == repository]


def standing(sha: str, state: str) -> Standing:
    return Standing(OURS, sha, "windlass / CI (push)", state, "It runs", "http://windlass.test/runs/1")


def statuses(forge: Forge) -> list[tuple[str, dict[str, Any]]]:
    return [(path.rpartition("/")[2], body) for _, path, _, body in forge.asked if "/statuses/" in path]


async def test_statuses_go_back_each_once_and_the_newest(scene: Scene) -> None:
    sha = await scene.git.resolve(OURS, "main") or ""
    said = Said([standing(sha, "pending")])
    telling = Telling(scene.store, scene.remotes, said)
    async with httpx2.AsyncClient(trust_env=False) as client:
        await telling.tell(client)
        await telling.tell(client)
        assert statuses(scene.forge) == [
            (
                sha,
                {
                    "target_url": "http://windlass.test/runs/1",
                    "description": "It runs",
                    "state": "pending",
                    "context": "windlass / CI (push)",
                },
            )
        ]
        said.standings = [standing(sha, "success")]
        await telling.tell(client)
        # Another process, as after a restart, knows what was said.
        await Telling(scene.store, scene.remotes, said).tell(client)
    assert [body["state"] for _, body in statuses(scene.forge)] == ["pending", "success"]


async def test_a_status_that_is_not_taken_is_told_again_later(scene: Scene) -> None:
    sha = await scene.git.resolve(OURS, "main") or ""
    said = Said([standing(sha, "pending")])
    telling = Telling(scene.store, scene.remotes, said)
    scene.forge.refuse = 1
    async with httpx2.AsyncClient(trust_env=False) as client:
        next_at = await telling.tell(client)
        (row,) = await scene.remotes.told(OURS)
        assert (row["told_at"], row["attempts"], "503 busy" in row["error"]) == (None, 1, True)
        assert next_at == row["next_at"] > time.time()
        await telling.tell(client)
        assert len(statuses(scene.forge)) == 1
        said.standings = [standing(sha, "failure")]  # news do not wait for the old
        await telling.tell(client)
    assert [body["state"] for _, body in statuses(scene.forge)] == ["pending", "failure"]


async def test_run_tells_again_by_itself(scene: Scene) -> None:
    sha = await scene.git.resolve(OURS, "main") or ""
    scene.forge.refuse = 1
    telling = Telling(scene.store, scene.remotes, Said([standing(sha, "success")]))
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(telling.run)
            while len(statuses(scene.forge)) < 2:
                await anyio.sleep(0.05)
            tasks.cancel_scope.cancel()


async def test_a_run_on_a_merge_is_told_of_its_head(scene: Scene) -> None:
    await scene.forge.branch("patch")
    head = await scene.forge.commit("patch", {"p": b"p\n"})
    await scene.forge.set_ref("refs/pull/3/head", head)
    await scene.send(pull_payload(3, head))
    await scene.look()
    (event,) = await scene.events()
    async with httpx2.AsyncClient(trust_env=False) as client:
        await Telling(scene.store, scene.remotes, Said([standing(event.sha, "success")])).tell(client)
    assert [sha for sha, _ in statuses(scene.forge)] == [head]


async def test_without_a_credential_nothing_is_told(scene: Scene) -> None:
    await scene.remotes.keep(
        OURS, f"{scene.forge.url}/{THEIRS}.git", forge="github", api=f"{scene.forge.url}/api/v3"
    )
    sha = await scene.git.resolve(OURS, "main") or ""
    async with httpx2.AsyncClient(trust_env=False) as client:
        await Telling(scene.store, scene.remotes, Said([standing(sha, "success")])).tell(client)
    assert scene.forge.asked == []
