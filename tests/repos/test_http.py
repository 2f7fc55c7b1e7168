from __future__ import annotations

import asyncio
import base64
import gzip
import os
import signal
from typing import TYPE_CHECKING

import anyio
import httpx2
import pytest

from windlass.identity import Principal
from windlass.repos import ZERO
from windlass.repos.pulls import Check, Protection, Protections, Pulls

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from repos.conftest import Hosting, Work

pytestmark = pytest.mark.integration
ANNA = Principal("user", "anna", ("repo:write:acme/*",))


class NoChecks:
    """Nothing runs."""

    async def of_commit(self, repository: str, sha: str) -> list[Check]:
        assert repository
        assert sha
        return []


async def test_push_is_recorded_with_its_principal_and_answered(hosting: Hosting, work: Work) -> None:
    done = await work.git("push", hosting.url(), "main")
    assert "remote: run http://localhost/runs/1" in done.stderr
    [push] = await hosting.repositories.pushes("acme/x")
    assert (push.ref, push.before, push.branch) == ("refs/heads/main", ZERO, "main")
    assert (push.pusher, push.pusher_kind) == ("anna", "user")
    assert push.after == await hosting.git.resolve("acme/x", "main")
    [entry] = [
        e for e in await hosting.store.read("ledger.of_subject", subject="repo/acme/x") if e["kind"] == "push"
    ]
    assert entry["actor"] == "user/anna"
    assert await hosting.repositories.record_unseen() == []


async def test_clone_fetch_and_partial_clone(hosting: Hosting, work: Work, tmp_path: Path) -> None:
    await work.git("push", hosting.url(), "main")
    await work.git("clone", "-q", hosting.url(token="rita-token"), "full", cwd=tmp_path)
    assert (tmp_path / "full" / "README.md").read_text() == "hello\n"
    await work.git("clone", "-q", "--filter=blob:none", "--no-checkout", hosting.url(), "part", cwd=tmp_path)
    missing = await work.git("rev-list", "--objects", "--missing=print", "HEAD", cwd=tmp_path / "part")
    assert "?" in missing.stdout
    sha = work.commit({"a.txt": "a"})
    await work.git("push", hosting.url(), "main")
    await work.git("fetch", "-q", "--depth=1", "origin", sha, cwd=tmp_path / "full")


async def test_exit_codes_are_those_of_git(
    hosting: Hosting, work: Work, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever ends a git that has just ended must not take its exit code from asyncio ("Unknown child process")."""
    await work.git("push", hosting.url(), "main")
    for _ in range(20):
        await work.git("ls-remote", hosting.url())
    assert [record.message for record in caplog.records if record.name == "asyncio"] == []


async def test_the_address_without_git_suffix_works(hosting: Hosting, work: Work, tmp_path: Path) -> None:
    bare = hosting.url().removesuffix(".git")
    await work.git("push", bare, "main")
    await work.git("clone", "-q", bare, "copy", cwd=tmp_path)


@pytest.mark.parametrize(
    ("token", "status"),
    [("", 401), ("wrong", 401), ("otto-token", 404), ("rita-token", 403), ("anna-token", 200)],
)
async def test_who_may_push(hosting: Hosting, token: str, status: int) -> None:
    url = f"http://127.0.0.1:{hosting.port}/acme/x.git/info/refs?service=git-receive-pack"
    async with httpx2.AsyncClient() as client:
        answer = await client.get(url, auth=("x", token) if token else None)
        assert answer.status_code == status
        assert ("www-authenticate" in answer.headers) == (status == 401)
        if status == 404:
            gone = url.replace("/x.git", "/nothing.git")
            assert (await client.get(gone, auth=("x", token))).text.replace("nothing", "x") == answer.text


async def test_a_cookie_does_not_count(hosting: Hosting) -> None:
    url = f"http://127.0.0.1:{hosting.port}/acme/x.git/info/refs?service=git-upload-pack"
    async with httpx2.AsyncClient(cookies={"windlass_session": "anna-token"}) as client:
        assert (await client.get(url)).status_code == 401


@pytest.mark.parametrize(
    "path",
    [
        "/acme/x.git/HEAD",
        "/acme/x.git/objects/info/packs",
        "/acme/../acme/x.git/info/refs?service=git-upload-pack",
        "/acme/%2e%2e%2fx.git/info/refs?service=git-upload-pack",
        "/acme/x.git%00/info/refs?service=git-upload-pack",
        "/--upload-pack=x/x.git/info/refs?service=git-upload-pack",
        "/acme/x.git/info/refs",
        "/acme/x.git/info/refs?service=git-upload-archive",
        "/acme/x.git/info/refs?service=git-upload-pack&service=git-receive-pack",
    ],
)
async def test_hostile_paths_are_refused(hosting: Hosting, path: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", hosting.port)
    auth = base64.b64encode(b"x:anna-token").decode()
    writer.write(
        f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {auth}\r\nConnection: close\r\n\r\n".encode()
    )
    status = int((await reader.readline()).split()[1])
    writer.close()
    assert status in {400, 403, 404}


async def test_gzip_and_chunked_bodies(hosting: Hosting, work: Work) -> None:
    await work.git("push", hosting.url(), "main")
    sha = (await work.git("rev-parse", "main")).stdout.strip()
    lines = [b"command=fetch", b"0001", f"want {sha}\n".encode(), b"done\n"]
    body = (
        b"".join(line if line == b"0001" else b"%04x%s" % (len(line) + 4, line) for line in lines) + b"0000"
    )

    async def chunks() -> AsyncIterator[bytes]:
        packed = gzip.compress(body)
        for i in range(0, len(packed), 7):
            yield packed[i : i + 7]

    headers = {
        "content-type": "application/x-git-upload-pack-request",
        "content-encoding": "gzip",
        "git-protocol": "version=2",
    }
    url = f"http://127.0.0.1:{hosting.port}/acme/x.git/git-upload-pack"
    async with httpx2.AsyncClient(auth=("x", "anna-token")) as client:
        answer = await client.post(url, headers=headers, content=chunks())
    assert answer.status_code == 200
    assert b"PACK" in answer.content


async def test_several_refs_tags_deletion_and_force(hosting: Hosting, work: Work) -> None:
    first = (await work.git("rev-parse", "HEAD")).stdout.strip()
    second = work.commit({"a": "a"})
    await work.git("tag", "-a", "v1", "-m", "v1")
    await work.git("push", hosting.url(), "main", "main:side", "v1")
    await work.git("push", "-f", hosting.url(), f"{first}:refs/heads/main", ":side")
    pushes = await hosting.repositories.pushes("acme/x")
    assert {(p.ref, p.before, p.after) for p in pushes[3:]} == {
        ("refs/heads/main", second, first),
        ("refs/heads/side", second, ZERO),
    }
    assert {p.ref for p in pushes[:3]} == {"refs/heads/main", "refs/heads/side", "refs/tags/v1"}
    assert await hosting.repositories.record_unseen() == []


async def test_refs_outside_branches_and_tags_are_refused(hosting: Hosting, work: Work) -> None:
    done = await work.git("push", hosting.url(), "main:refs/windlass/x", check=False)
    assert done.returncode
    assert "deny updating a hidden ref" in done.stderr


async def test_a_job_never_waits(hosting: Hosting, work: Work) -> None:
    hosting.news.wait = anyio.sleep_forever
    with anyio.fail_after(10):
        await work.git("push", "-o", "follow=yes", hosting.url(token="job-token"), "main")
    [(_, principal, follow)] = hosting.news.calls
    assert (principal.kind, follow) == ("job", False)


async def test_follow_streams_until_the_end_and_no_ends_at_once(hosting: Hosting, work: Work) -> None:
    gate = anyio.Event()
    hosting.news.wait = gate.wait
    with anyio.fail_after(20):
        await work.git("push", "-o", "follow=no", "-o", "other; x=1", hosting.url(), "main")
        async with anyio.create_task_group() as tasks:
            results = []

            async def push() -> None:
                results.append(await work.git("push", hosting.url(), "main:b"))

            tasks.start_soon(push)
            while len(hosting.news.calls) < 2:
                await anyio.sleep(0.01)
            assert not results
            gate.set()
    assert "remote: the end" in results[0].stderr
    assert [follow for *_, follow in hosting.news.calls] == [False, True]
    assert (await hosting.repositories.pushes())[0].options == ("follow=no", "other; x=1")


async def test_a_client_that_leaves_ends_the_lines_and_the_push_stands(hosting: Hosting, work: Work) -> None:
    hosting.news.wait = anyio.sleep_forever
    process = await anyio.open_process(
        ["git", "push", hosting.url(), "main"], cwd=work.path, start_new_session=True
    )
    while not hosting.news.calls:
        await anyio.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C does
    with anyio.fail_after(5):
        await hosting.news.closed.wait()
        await process.aclose()
    assert len(await hosting.repositories.pushes()) == 1


async def test_control_characters_do_not_reach_the_terminal(hosting: Hosting, work: Work) -> None:
    hosting.news.said = ["safe \x1b[31mred\x1b[0m\r\nforged: line\x9b2J"]
    done = await work.git("push", hosting.url(), "main")
    [line] = [line for line in done.stderr.splitlines() if "safe" in line]
    assert "\x1b[31m" not in line
    assert "[31mred[0mforged: line2J" in line


async def test_a_broken_hook_never_fails_the_push_and_it_is_recorded(hosting: Hosting, work: Work) -> None:
    hosting.app._socket.path.unlink()
    await work.git("push", hosting.url(), "main")
    with anyio.fail_after(5):
        while not (pushes := await hosting.repositories.pushes()):
            await anyio.sleep(0.01)
    assert (pushes[0].pusher, pushes[0].pusher_kind) == ("anna", "user")


async def push_raw(hosting: Hosting, work: Work, options: list[bytes]) -> tuple[bytes, str]:
    """Push HEAD as a client that frames push options itself; returns the answer and the commit."""
    head = (await work.git("rev-parse", "HEAD")).stdout.strip()
    pack = await anyio.run_process(
        ["git", "pack-objects", "--stdout", "--revs"], input=b"HEAD\n", cwd=work.path
    )
    command = f"{'0' * 40} {head} refs/heads/main\0report-status push-options\n".encode()
    lines = [command, None, *(option + b"\n" for option in options), None]
    body = b"".join(b"0000" if line is None else b"%04x%s" % (len(line) + 4, line) for line in lines)
    headers = {"content-type": "application/x-git-receive-pack-request"}
    url = f"http://127.0.0.1:{hosting.port}/acme/x.git/git-receive-pack"
    async with httpx2.AsyncClient(auth=("x", "anna-token")) as client:
        return (await client.post(url, headers=headers, content=body + pack.stdout)).content, head


async def test_push_options_of_a_hostile_client_are_data(hosting: Hosting, work: Work) -> None:
    """CVE-2026-3854: options are framed, not pasted. git itself ends an option at a NUL, and what follows is gone."""
    answer, head = await push_raw(hosting, work, [b"follow=no", b"session\x00forged", b";$(id)"])
    assert b"unpack ok" in answer
    [push] = await hosting.repositories.pushes()
    assert (push.pusher, push.after) == ("anna", head)
    assert push.options == ("follow=no", "session", ";$(id)")


@pytest.mark.parametrize(
    "options",
    [[b"x\nX-Principal: root"], [b"x\rX-Principal: root"], [b"\x1b[2J"], [b"x" * 1025], [b"x"] * 33],
    ids=["line feed", "carriage return", "escape", "long", "many"],
)
async def test_push_options_that_could_be_more_than_options_refuse_the_push(
    hosting: Hosting, work: Work, options: list[bytes]
) -> None:
    """CVE-2026-3854: a line break in an option is no option, and nothing of such a push is taken."""
    answer, _ = await push_raw(hosting, work, [b"follow=no", *options])
    assert b"ng refs/heads/main pre-receive hook declined" in answer
    assert await hosting.repositories.pushes() == []
    assert await hosting.git.refs("acme/x") == {}


async def test_a_protected_branch_is_moved_by_pull_requests_only(hosting: Hosting, work: Work) -> None:
    await work.git("push", hosting.url(), "main", "main:release/1", "main:open/1")
    protections = Protections(hosting.store, hosting.repositories)
    await protections.set("acme/x", Protection("main"), actor="anna")
    await protections.set("acme/x", Protection("release/*"), actor="anna")
    await protections.set("acme/x", Protection("open/*", direct_pushes=True), actor="anna")
    before = await hosting.git.refs("acme/x")
    work.commit({"b": "b"})
    for spec, why in (
        ("main", "main is protected (main): push another branch"),
        ("main:release/1", "release/1 is protected (release/*): push another branch"),
        (":release/1", "release/1 is protected (release/*): it is not deleted"),
        (":open/1", "open/1 is protected (open/*): it is not deleted"),
    ):
        done = await work.git("push", hosting.url(), spec, check=False)
        assert done.returncode == 1
        assert why in done.stderr
    assert await hosting.git.refs("acme/x") == before
    await work.git("push", hosting.url(), "main:feature", "main:open/1", "HEAD:refs/tags/main")
    await protections.remove("acme/x", "main", actor="anna")
    await work.git("push", hosting.url(), "main")


async def test_refs_of_pull_requests_are_fetched_and_never_pushed(hosting: Hosting, work: Work) -> None:
    await work.git("push", hosting.url(), "main")
    await work.git("checkout", "-qb", "feature")
    work.commit({"b": "b"})
    await work.git("push", hosting.url(), "feature")
    pulls = Pulls(hosting.store, hosting.repositories, url="http://windlass.test", checks=NoChecks())
    made = await pulls.create("acme/x", principal=ANNA, head="feature")
    await work.git("fetch", hosting.url(), "+refs/pull/*:refs/remotes/pull/*")
    assert (await work.git("rev-parse", "pull/1/head")).stdout.strip() == made.head_sha
    assert (await work.git("rev-parse", "pull/1/merge")).stdout.strip() == made.merge_sha
    for ref in ("refs/pull/1/head", "refs/pull/1/merge", "refs/pull/2/head"):
        done = await work.git("push", "--force", hosting.url(), f"main:{ref}", check=False)
        assert done.returncode == 1
        assert "deny updating a hidden ref" in done.stderr
    listed = (await work.git("ls-remote", hosting.url())).stdout
    assert f"{made.head_sha}\trefs/pull/1/head" in listed
    assert "refs/pull/2/head" not in listed


@pytest.mark.parametrize(
    "ref", ["refs/heads/../../x", "refs/heads/a..b", "HEAD", "refs/heads/x.lock", "config"]
)
async def test_hostile_refs_are_refused(hosting: Hosting, work: Work, ref: str) -> None:
    head = (await work.git("rev-parse", "HEAD")).stdout.strip()
    pack = await anyio.run_process(
        ["git", "pack-objects", "--stdout", "--revs"], input=b"HEAD\n", cwd=work.path
    )
    command = f"{'0' * 40} {head} {ref}\0report-status\n".encode()
    headers = {"content-type": "application/x-git-receive-pack-request"}
    url = f"http://127.0.0.1:{hosting.port}/acme/x.git/git-receive-pack"
    async with httpx2.AsyncClient(auth=("x", "anna-token")) as client:
        body = b"%04x%s0000" % (len(command) + 4, command) + pack.stdout
        answer = await client.post(url, headers=headers, content=body)
    assert f"ok {ref}".encode() not in answer.content.replace(b"unpack ok", b"")
    assert await hosting.repositories.pushes() == []
    assert await hosting.git.refs("acme/x") == {}


@pytest.mark.parametrize("protected", [False, True])
@pytest.mark.parametrize(
    "name", [b"main\xe2\x80\xa8x", b"main\xc2\x85x", b"main\xff", b"\xe2\x80\xaeniam"], ids=repr
)
async def test_a_branch_that_could_be_read_as_another_is_refused(
    hosting: Hosting, work: Work, name: bytes, protected: bool
) -> None:
    """Where the name's first line is taken for the ref, it moves `main`; what is not UTF-8 no record can hold."""
    await work.git("push", hosting.url(), "main")
    if protected:
        protections = Protections(hosting.store, hosting.repositories)
        await protections.set("acme/x", Protection("other"), actor="anna")
    before = await hosting.git.refs("acme/x")
    work.commit({"b": "b"})
    spec = b"main:refs/heads/" + name
    done = await work.git("push", hosting.url(), "main:refs/heads/fine", os.fsdecode(spec), check=False)
    assert done.returncode == 1
    assert "is no name for a ref here" in done.stderr
    assert "Traceback" not in done.stderr
    assert await hosting.git.refs("acme/x") == before
    assert len(await hosting.repositories.pushes()) == 1
    await work.git("push", hosting.url(), "main:refs/heads/größe/日本")
    assert "refs/heads/größe/日本" in await hosting.repositories.recorded_refs("acme/x")


async def test_broken_objects_and_pushes_over_the_limit_are_refused(hosting: Hosting, work: Work) -> None:
    # A tree with an entry named ".git" (CVE-2014-9390), as no honest client writes it.
    blob = (await work.git("rev-parse", "HEAD:README.md")).stdout.strip()
    tree = await anyio.run_process(
        ["git", "mktree"], input=f"100644 blob {blob}\t.git\n".encode(), cwd=work.path
    )
    sha = (await work.git("commit-tree", "-m", "evil", tree.stdout.decode().strip())).stdout.strip()
    evil = await work.git("push", hosting.url(), f"{sha}:refs/heads/evil", check=False)
    assert "hasDotgit" in evil.stderr
    hosting.app._max_push = 1000
    work.commit({"big": "".join(chr(33 + i * i % 90) for i in range(90_000))})
    big = await work.git("-c", "core.compression=0", "push", hosting.url(), "main", check=False)
    assert big.returncode
    assert await hosting.repositories.pushes() == []


async def test_a_push_that_waits_holds_up_nobody_and_ends_when_the_server_stops(
    hosting: Hosting, work: Work, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hosting.app._turns = anyio.Semaphore(1)
    hosting.news.wait = anyio.sleep_forever
    done: list[str] = []

    async def push() -> None:
        done.append((await work.git("push", hosting.url(), "main")).stderr)

    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(push)
            while not hosting.news.calls:
                await anyio.sleep(0.01)
            await work.git("clone", "-q", hosting.url(), "copy", cwd=tmp_path)
            assert not done
            hosting.app.stop_following()
    assert "main -> main" in done[0]
    # All turns are taken for longer than a request waits.
    monkeypatch.setattr("windlass.repos.http.PATIENCE", 0.05)
    hosting.app._turns.acquire_nowait()
    busy = await work.git("ls-remote", hosting.url(), check=False)
    assert "503" in busy.stderr
