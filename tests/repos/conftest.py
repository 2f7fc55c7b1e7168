from __future__ import annotations

import asyncio
import os
import socket
import subprocess
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import pytest
import uvicorn

from windlass.identity import FixedAuthenticator, Principal
from windlass.repos import Git, GitHTTP, Repositories

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
    from pathlib import Path

    from windlass.repos import Push
    from windlass.store import Store

PRINCIPALS = {
    "anna-token": Principal("user", "anna", ("repo:write:acme/*",)),
    "rita-token": Principal("user", "rita", ("repo:read:acme/*",)),
    "otto-token": Principal("user", "otto", ("repo:write:other/*",)),
    "job-token": Principal("job", "run/12/test/1", ("repo:write:acme/x",)),
}


@dataclass
class News:
    """A `PushNews` that says what it was told to say."""

    said: list[str] = field(default_factory=lambda: ["run http://localhost/runs/1"])
    calls: list[tuple[tuple[Push, ...], Principal, bool]] = field(default_factory=list)
    wait: Callable[[], Awaitable[object]] | None = None
    closed: anyio.Event = field(default_factory=anyio.Event)

    async def lines(
        self, pushes: Sequence[Push], principal: Principal, *, follow: bool
    ) -> AsyncGenerator[str, None]:
        self.calls.append((tuple(pushes), principal, follow))
        try:
            for line in self.said:
                yield line
            if follow and self.wait:
                await self.wait()
                yield "the end"
        finally:
            self.closed.set()


@dataclass
class Hosting:
    """A running server with hosted repositories."""

    repositories: Repositories
    git: Git
    app: GitHTTP
    news: News
    port: int
    store: Store

    def url(self, name: str = "acme/x", token: str = "anna-token") -> str:
        return f"http://x:{token}@127.0.0.1:{self.port}/{name}.git"


@asynccontextmanager
async def serving(app: Any) -> AsyncIterator[int]:
    """Serve an ASGI app on a free port of the loopback."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_level="warning", lifespan="off", ws="none", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    task = asyncio.create_task(server._serve([listener]))
    while not server.started:
        await anyio.sleep(0.005)
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        await task
        listener.close()


@pytest.fixture
async def hosting(store: Store, tmp_path: Path) -> AsyncIterator[Hosting]:
    repositories = Repositories(store, tmp_path / "repos")
    news = News()
    async with (
        GitHTTP(
            repositories, FixedAuthenticator(PRINCIPALS), news, socket=tmp_path / "run" / "hooks.sock"
        ) as app,
        serving(app) as port,
    ):
        await repositories.create("acme/x")
        yield Hosting(repositories, Git(repositories), app, news, port, store)


CLIENT_ENV = {
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_AUTHOR_NAME": "Mallory",
    "GIT_AUTHOR_EMAIL": "mallory@example.org",
    "GIT_COMMITTER_NAME": "Mallory",
    "GIT_COMMITTER_EMAIL": "mallory@example.org",
}


@dataclass(frozen=True)
class Work:
    """A client's working copy."""

    path: Path

    def git_sync(
        self, *words: str, cwd: Path | None = None, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run a client's git."""
        argv = ["git", "-c", "init.defaultBranch=main", "-c", "advice.detachedHead=false", *words]
        done = subprocess.run(
            argv,
            cwd=cwd or self.path,
            env=CLIENT_ENV,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        assert not (check and done.returncode), f"git {' '.join(words)}: {done.stderr}"
        return done

    async def git(
        self, *words: str, cwd: Path | None = None, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run a client's git beside the server on this event loop."""
        return await anyio.to_thread.run_sync(lambda: self.git_sync(*words, cwd=cwd, check=check))

    def commit(self, files: dict[str, str | None], message: str = "change") -> str:
        """Commit files (None deletes) and return the commit's id."""
        for name, content in files.items():
            target = self.path / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if content is None:
                target.unlink()
            else:
                target.write_text(content)
        self.git_sync("add", "-A")
        self.git_sync("commit", "-qm", message)
        return self.git_sync("rev-parse", "HEAD").stdout.strip()


@pytest.fixture
def work(tmp_path: Path) -> Work:
    """A client's working copy with one commit."""
    copy = Work(tmp_path / "work")
    copy.path.mkdir()
    copy.git_sync("init", "-q")
    copy.commit({"README.md": "hello\n"}, "First")
    return copy


@pytest.fixture
def serve() -> Callable[[Any], Any]:
    """`serving`, for tests in other files."""
    return serving
