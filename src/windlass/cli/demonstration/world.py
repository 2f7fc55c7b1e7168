"""The demo's surroundings: a server in a data directory of its own, checkouts, and git as a user runs it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from windlass.cli.client import Client, connect
from windlass.server.datadir import DataDirectory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

KEPT = ("caches",)
"""What survives from one demo to the next: nothing is rebuilt that is there."""
START_SECONDS = 60


class DemoError(Exception):
    """The demo cannot go on, or saw something that must not be."""


@contextmanager
def server(data: Path, options: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run `windlass up` and wait until it answers; ends it when the block ends.

    Raises DemoError with the end of the server's own log when it does not come up.
    """
    log = data / "server.log"
    command = [sys.executable, "-m", "windlass", "up", "--data", str(data), *options]
    with log.open("ab") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
    try:
        _await_ready(data, process, log)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await_ready(data: Path, process: subprocess.Popen[bytes], log: Path) -> None:
    directory = DataDirectory(data)
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if directory.read_contact().get("pid") == process.pid:
            return
        if process.poll() is not None:
            break
        time.sleep(0.02)
    tail = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-20:])
    raise DemoError(f"the server did not come up; the end of {log}:\n{tail}")


def purge(data: Path, *, keep: Sequence[str] = KEPT) -> None:
    """Remove everything of an earlier demo but its caches."""
    if data.exists():
        for child in data.iterdir():
            if child.name not in keep:
                shutil.rmtree(child) if child.is_dir() and not child.is_symlink() else child.unlink()
    data.mkdir(parents=True, exist_ok=True)


@dataclass(frozen=True, slots=True)
class Pushed:
    """A push that was made. `at` is the moment before git started (seconds since the epoch)."""

    sha: str
    at: float
    seconds: float


class Checkout:
    """A working copy of a hosted repository, as a person has it."""

    def __init__(self, root: Path, name: str, client: Client, token: str) -> None:
        self.root = root
        self.name = name
        self.url = f"{client.url}/{name}.git"
        self._environment = {
            **os.environ,
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": f"http.{client.url}/.extraHeader",
            "GIT_CONFIG_VALUE_0": f"Authorization: Bearer {token}",
            "GIT_AUTHOR_NAME": "Dana Demo",
            "GIT_AUTHOR_EMAIL": "dana@acme.example",
            "GIT_COMMITTER_NAME": "Dana Demo",
            "GIT_COMMITTER_EMAIL": "dana@acme.example",
        }

    def git(self, *arguments: str) -> str:
        """Run git here and return what it printed.

        Raises DemoError with git's own words.
        """
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.root,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise DemoError(f"git {' '.join(arguments)} in {self.root}: {done.stderr.strip()}")
        return done.stdout.strip()

    def begin(self, source: Path) -> None:
        """Make the working copy from an example folder."""
        shutil.copytree(source, self.root, ignore=shutil.ignore_patterns(".venv", "__pycache__", ".*_cache"))
        self.git("init", "--quiet", "--initial-branch=main")
        self.git("remote", "add", "origin", self.url)

    def commit(self, message: str) -> str:
        """Commit everything and return the commit."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)
        return self.git("rev-parse", "HEAD")

    def pull(self) -> None:
        """Take what others pushed."""
        self.git("pull", "--quiet", "--rebase", "origin", "main")

    def push(self, show: Callable[[str], None], *options: str) -> Pushed:
        """Push as a person does, showing the `remote:` lines as they come."""
        at = time.time()
        command = ["git", "push", "--progress", *options, "origin", "main"]
        process = subprocess.Popen(
            command,
            cwd=self.root,
            env=self._environment,
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        said: list[str] = []
        for line in process.stderr or ():
            text = line.rstrip()
            said.append(text)
            if text.startswith("remote:"):
                show(text.removeprefix("remote:").strip())
        if process.wait():
            raise DemoError(f"git push to {self.url} failed:\n" + "\n".join(said[-10:]))
        return Pushed(self.git("rev-parse", "HEAD"), at, time.time() - at)


def await_settled(client: Client, sha: str, seconds: float = 120) -> Any:
    """Wait until the chain of a commit has come to rest, and return it.

    Raises DemoError with the last state when it takes longer than `seconds`.
    """
    deadline = time.monotonic() + seconds
    state = "unknown"
    while time.monotonic() < deadline:
        chain = client.call("GET", f"/commits/{sha}")
        if chain["settled"]:
            return chain
        state = chain["state"]
        time.sleep(0.1)
    raise DemoError(f"commit {sha[:7]} did not come to rest within {seconds:g} s; last seen: {state}")


__all__ = ["Checkout", "DemoError", "Pushed", "await_settled", "connect", "purge", "server"]
