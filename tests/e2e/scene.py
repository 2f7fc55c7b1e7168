"""The scene of the crash tests: a real server that is killed and started again, people who push, users who ask."""

from __future__ import annotations

import os
import signal
import ssl
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import anyio
import httpx2

from e2e import tiny
from e2e.ledger import Ledger
from ports import free_block
from windlass.cli.client import NoServerError, ServerRefusedError, connect
from windlass.cli.demonstration.traffic import Traffic
from windlass.cli.demonstration.world import Checkout, DemoError
from windlass.server.datadir import DataDirectory
from windlass.server.machine import prepare_base_image
from windlass.server.teardown import end_everything

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RATE = 40
START_SECONDS = 30.0
REST = 60.0
"""Seconds within which everything must have come to rest after a restart: the promise that is tested."""
MARK = "WINDLASS_TEST_SCENE"


class ServerProcess:
    """`windlass up` as a process that can be killed. Everything it starts inherits `mark` in its environment."""

    def __init__(self, data: Path) -> None:
        data.mkdir()
        first = free_block()[0]
        self.data = data
        self.mark = f"{MARK}={uuid4().hex}"
        self._command = [sys.executable, "-m", "windlass", "up", "--data", str(data), "--engine", "podman"]
        self._command += ["--port", str(first), "--kubernetes-port", str(first + 1)]
        self._command += ["--edge-port", str(first + 2), "--service-ports", str(first + 10), str(first + 99)]
        self._process: subprocess.Popen[bytes] | None = None
        self.log = data / "server.log"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> float:
        """Start it and wait until it answers; returns the seconds."""
        begun = time.monotonic()
        name, _, value = self.mark.partition("=")
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                self._command,
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env={**os.environ, name: value},
            )
        while DataDirectory(self.data).read_contact().get("pid") != self.pid:
            if self._process.poll() is not None or time.monotonic() - begun > START_SECONDS:
                raise AssertionError(f"the server did not come up:\n{self.last_words()}")
            time.sleep(0.01)
        return time.monotonic() - begun

    def kill(self) -> None:
        """SIGKILL, and nothing but the server."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()

    def stop(self) -> float:
        """SIGTERM; returns the seconds until it was gone."""
        assert self._process is not None
        begun = time.monotonic()
        self._process.terminate()
        self._process.wait(30)
        return time.monotonic() - begun

    def last_words(self, count: int = 60) -> str:
        """Return the end of its log."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(lines[-count:])


class Scene:
    """The server, its people and its users. Made by `stage`."""

    def __init__(self, root: Path, server: ServerProcess) -> None:
        self.root = root
        self.data = server.data
        self.server = server
        self.client = connect(self.data)
        self.ledger = Ledger(self.data / "windlass.db")
        self.instance = (self.data / "keys" / "instance").read_text(encoding="ascii").strip()
        self.version = 0
        self.rounds = 0
        self.address = ""
        self.traffic: Traffic | None = None
        self.accepted: set[tuple[str, str]] = set()
        """Repository and commit of each push that git said was accepted."""
        person = self.client.call(
            "POST", "/tokens", json={"name": "dana", "scopes": ["repo:write:acme/*", "api:read:*"]}
        )
        self.service = Checkout(root / "service", tiny.SERVICE, self.client, person["token"])
        self.gitops = Checkout(root / "gitops", tiny.GITOPS, self.client, person["token"])

    def first(self) -> None:
        """Create the repositories and bring the first version live."""
        self.client.call("POST", "/repositories", json={"name": tiny.SERVICE})
        self.client.call(
            "POST", "/repositories", json={"name": tiny.GITOPS, "applications": "argocd/applications"}
        )
        robot = {"name": "gitops-writer", "scopes": [f"repo:write:{tiny.GITOPS}"], "ttl": 86400}
        token = self.client.call("POST", "/tokens", json=robot)["token"]
        secret = {"scope": tiny.SERVICE, "name": "GITOPS_REPO_TOKEN", "value": token}
        self.client.call("PUT", "/secrets", json=secret)
        for checkout in (self.service, self.gitops):
            checkout.root.mkdir()
            checkout.git("init", "--quiet", "--initial-branch=main")
            checkout.git("remote", "add", "origin", checkout.url)
        tiny.write_gitops(self.gitops.root)
        self.gitops.commit("Begin")
        self.push(self.gitops)
        sha = self.change()
        self.push(self.service)
        chain = self.settled(sha, time.monotonic() + 120)
        assert chain["state"] == "live", chain
        apps = self.client.call("GET", "/applications")
        self.address = next(app["addresses"][0] for app in apps if app["name"] == tiny.APPLICATION)

    # -- what people do

    def change(self) -> str:
        """Commit the next version of the service."""
        self.version += 1
        tiny.write_service(self.service.root, f"v{self.version}")
        return self.service.commit(f"Version {self.version}")

    def configure(self, **values: str) -> str:
        """Commit other variables in the GitOps repository; each time a pod template that never was before."""
        self.rounds += 1
        self.gitops.pull()
        tiny.set_variables(self.gitops.root, ROUND=str(self.rounds), **values)
        return self.gitops.commit(f"Round {self.rounds}: {values}")

    def push(self, checkout: Checkout, limit: float = 30.0) -> None:
        """Push without following, again and again as a person would while the server is away.

        One that was accepted after all, and followed by somebody else's commit, is found on the server's branch.
        """
        deadline = time.monotonic() + limit
        while True:
            try:
                checkout.git("fetch", "--quiet", "origin")
                if not checkout.git("branch", "--remotes", "--contains", "HEAD"):
                    checkout.git("push", "--quiet", "-o", "follow=no", "origin", "main")
            except DemoError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)
            else:
                self.accepted.add((checkout.name, checkout.git("rev-parse", "HEAD")))
                return

    def begin_push(self, checkout: Checkout) -> subprocess.Popen[bytes]:
        """Begin a push that follows, as a person does, and do not wait for it."""
        command = ["git", "push", "--quiet", "origin", "main"]
        return subprocess.Popen(
            command,
            cwd=checkout.root,
            env=checkout._environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    # -- looking

    def settled(self, sha: str, deadline: float) -> dict[str, Any]:
        """Wait until the chain of a commit has come to rest, and return it."""
        chain: dict[str, Any] = {"state": "unknown"}
        while time.monotonic() < deadline:
            try:
                chain = self.client.call("GET", f"/commits/{sha}")
            except (NoServerError, ServerRefusedError):
                time.sleep(0.05)
                continue
            if chain["settled"]:
                return chain
            time.sleep(0.05)
        raise AssertionError(f"{sha[:7]} is not at rest: {chain}\n{self.server.last_words()}")

    def kubernetes(self, path: str) -> Any:
        """GET from the Kubernetes API as the administrator."""
        contact = DataDirectory(self.data).read_contact()
        token = (self.data / "keys" / "admin.token").read_text(encoding="utf-8").strip()
        context = ssl.create_default_context(cafile=str(self.data / "kube" / "ca.crt"))
        answer = httpx2.get(
            f"https://127.0.0.1:{contact['kubernetes']}{path}",
            headers={"Authorization": f"Bearer {token}"},
            verify=context,
            trust_env=False,
        )
        answer.raise_for_status()
        return answer.json()


@contextmanager
def stage(root: Path) -> Iterator[Scene]:
    """Make a scene with the first version live and users asking; ends all of it, whatever happens."""
    anyio.run(prepare_base_image, "podman", root / "bases", lambda _: None)
    with ExitStack() as stack:
        stack.callback(anyio.run, end_everything, DataDirectory(root / "data"), "podman")
        server = ServerProcess(root / "data")
        stack.callback(server.kill)
        server.start()
        scene = Scene(root, server)
        stack.callback(scene.client._http.close)
        scene.first()
        scene.traffic = stack.enter_context(Traffic(f"{scene.address}/health", RATE))
        yield scene
