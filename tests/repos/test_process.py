"""What needs a server process of its own: its memory, and its death."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import pytest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from repos.conftest import Work

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]
SERVE = Path(__file__).parent / "serve.py"


@dataclass
class Server:
    """The server process, which may be killed and started again on the same folder."""

    folder: Path
    process: subprocess.Popen[str] | None = None
    port: int = 0
    unseen: list[list[str]] = field(default_factory=list)

    def start(self) -> None:
        argv = [sys.executable, str(SERVE), str(self.folder)]
        with (self.folder / "errors").open("ab") as errors:
            self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=errors, text=True)
        assert self.process.stdout
        while (words := self.process.stdout.readline().split())[:1] != ["port"]:
            assert words, "the server did not start"
            self.unseen.append(words[1:])
        self.port = int(words[1])

    def kill(self, number: int = signal.SIGKILL) -> None:
        if self.process:
            self.process.send_signal(number)
            self.process.wait(20)
            assert self.process.stdout
            self.process.stdout.close()
            self.process = None

    def url(self) -> str:
        return f"http://x:t@127.0.0.1:{self.port}/acme/x.git"

    def peak(self) -> int:
        """Return the most memory that the server has had, in MiB."""
        assert self.process
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) // 1024

    def pushes(self) -> list[tuple[str, str, str, str]]:
        with sqlite3.connect(self.folder / "windlass.db") as connection:
            query = "SELECT ref, old_sha, new_sha, pusher FROM pushes ORDER BY id"
            rows = connection.execute(query).fetchall()
        connection.close()
        return rows

    def refs(self) -> dict[str, str]:
        argv = [
            "git",
            f"--git-dir={self.folder}/repos/acme/x.git",
            "for-each-ref",
            "--format=%(refname) %(objectname)",
        ]
        lines = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()
        return dict(line.split() for line in lines)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    with tempfile.TemporaryDirectory(prefix="wl-") as folder:
        running = Server(Path(folder))
        await anyio.to_thread.run_sync(running.start)
        yield running
        running.kill()
        errors = (Path(folder) / "errors").read_text()
        assert "Traceback" not in errors, errors


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads memory from /proc")
async def test_a_push_of_200_megabytes_is_not_held_in_memory(
    server: Server, work: Work, tmp_path: Path
) -> None:
    await work.git("push", "-q", server.url(), "main")
    before = server.peak()
    (work.path / "big").write_bytes(os.urandom(200 << 20))
    work.git_sync("config", "core.compression", "0")
    work.commit({})
    await work.git("push", server.url(), "main")
    assert server.peak() - before < 40
    await work.git("clone", "-q", "--bare", server.url(), "copy", cwd=tmp_path)
    assert server.peak() - before < 40
    assert [ref for ref, *_ in server.pushes()] == ["refs/heads/main"] * 2


async def test_every_push_is_recorded_whenever_the_server_is_killed(server: Server, work: Work) -> None:
    """Kill it at random moments of pushes; at last refs and records agree, in one chain for each ref."""
    dice = random.Random(7)
    for number in range(10):
        work.commit({"file": str(number)})
        push = subprocess.Popen(
            ["git", "push", "-q", server.url(), "main", f"main:refs/heads/b{number}"],
            cwd=work.path,
            stderr=subprocess.DEVNULL,
        )
        await anyio.sleep(dice.uniform(0.0, 0.12))
        server.kill()
        push.wait(20)
        await anyio.to_thread.run_sync(server.start)
    await anyio.sleep(0.3)  # a git that outlived its server may still be moving refs
    server.kill()
    await anyio.to_thread.run_sync(server.start)
    chains: dict[str, str] = {}
    for ref, before, after, pusher in server.pushes():
        assert chains.get(ref, "0" * 40) == before
        assert pusher == "anna"
        chains[ref] = after
    assert chains == server.refs()
    await work.git("push", "-q", server.url(), "main")


async def test_a_server_killed_between_ref_and_record_finds_the_push(server: Server, work: Work) -> None:
    assert server.process
    hook = server.folder / "repos" / ".hooks" / "post-receive"
    hook.write_text(f"#!/bin/sh\nkill -9 {server.process.pid}\n")
    broken = await work.git("push", server.url(), "main", "main:side", check=False)
    assert broken.returncode
    assert server.pushes() == []
    refs = server.refs()
    assert set(refs) == {"refs/heads/main", "refs/heads/side"}
    server.kill()
    await anyio.to_thread.run_sync(server.start)
    assert sorted(ref for ref, *_ in server.unseen) == sorted(refs)
    assert {ref: (before, after, who) for ref, before, after, who in server.pushes()} == {
        ref: ("0" * 40, sha, "anna") for ref, sha in refs.items()
    }


async def test_a_push_that_breaks_off_leaves_nothing(server: Server, work: Work) -> None:
    (work.path / "big").write_bytes(os.urandom(30 << 20))
    work.commit({})
    push = subprocess.Popen(
        ["git", "push", "-q", server.url(), "main"], cwd=work.path, start_new_session=True
    )
    objects = server.folder / "repos" / "acme" / "x.git" / "objects"
    while not list(objects.glob("tmp_objdir-*")) and push.poll() is None:
        await anyio.sleep(0.005)
    os.killpg(push.pid, signal.SIGKILL)
    push.wait()
    with anyio.fail_after(10):
        while list(objects.glob("tmp_objdir-*")):
            await anyio.sleep(0.02)
    assert server.pushes() == []
    await work.git("push", "-q", server.url(), "main")


async def test_a_hook_whose_server_is_gone_ends_at_once(server: Server, work: Work) -> None:
    server.kill()
    hook = server.folder / "repos" / ".hooks" / "post-receive"
    env = {
        "WINDLASS_SESSION": "x",
        "WINDLASS_HOOKS": str(server.folder / "run" / "hooks.sock"),
        "PATH": os.environ["PATH"],
    }
    with anyio.fail_after(2):
        done = await anyio.run_process([str(hook)], env=env, input=b"x\n", check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def _orphans(folder: Path) -> list[str]:
    """Processes that serve a repository below the folder."""
    found = []
    for environ in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"GIT_PROJECT_ROOT={folder}".encode() in environ.read_bytes():
                found.append(environ.parent.joinpath("comm").read_text().strip())
        except OSError:
            continue
    return found


async def test_a_server_that_dies_while_a_body_comes_in_leaves_no_process_behind() -> None:
    with tempfile.TemporaryDirectory(prefix="wl") as name:
        server = Server(Path(name))
        server.start()
        try:
            stream = await anyio.connect_tcp("127.0.0.1", server.port)
            async with stream:
                await stream.send(
                    b"POST /acme/x.git/git-receive-pack HTTP/1.1\r\nHost: x\r\nAuthorization: Basic eDp0\r\n"
                    b"Content-Type: application/x-git-receive-pack-request\r\nContent-Length: 100000\r\n\r\n"
                    b"00"  # half a packet: git reads on
                )
                with anyio.fail_after(20):
                    while not _orphans(server.folder):
                        await anyio.sleep(0.02)
                server.kill()
                with anyio.fail_after(10):
                    while _orphans(server.folder):
                        await anyio.sleep(0.05)
        finally:
            server.kill()
