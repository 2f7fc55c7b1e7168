"""A push that is followed while the server stops, through real processes."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from windlass.server.datadir import DataDirectory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.integration
WORKFLOW = """\
name: ci
on: push
jobs:
  test:
    runs-on: ubuntu-latest
    steps: [{run: sleep 600}]
"""


def ports() -> list[str]:
    """Arguments for ports that are free now."""
    for start in range(25000, 32000, 53):
        try:
            for port in range(start, start + 8):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        names = {"--port": start, "--kubernetes-port": start + 1, "--edge-port": start + 2}
        found = [word for name, port in names.items() for word in (name, str(port))]
        return [*found, "--service-ports", str(start + 3), str(start + 7)]
    raise AssertionError("no free ports")


def until(look: Callable[[], bool], what: str, limit: float = 60.0) -> None:
    end = time.monotonic() + limit
    while not look():
        assert time.monotonic() < end, f"never: {what}"
        time.sleep(0.05)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Path, subprocess.Popen[bytes]]]:
    """`windlass up` with the scripted engine: its address, its data directory and its process."""
    data, chosen = tmp_path / "data", ports()
    url = f"http://127.0.0.1:{chosen[1]}"
    options = ["--data", str(data), "--engine", "fake", "--isolation", "host", *chosen]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "windlass", "up", *options], stdout=log, stderr=log, start_new_session=True
        )

    def answers() -> bool:
        assert process.poll() is None, (tmp_path / "log").read_text()
        return DataDirectory(data).contact.exists()

    try:
        until(answers, "the server answers")
        yield url, data, process
    finally:
        subprocess.run(
            [sys.executable, "-m", "windlass", "down", "--data", str(data), "--engine", "fake"], check=False
        )
        process.wait(30)


def test_who_follows_a_push_is_told_that_the_server_stops(
    server: tuple[str, Path, subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    url, data, process = server
    create = [sys.executable, "-m", "windlass", "repo", "create", "acme/app", "--data", str(data)]
    subprocess.run(create, check=True, capture_output=True)
    token = DataDirectory(data).admin_token.read_text().strip()
    work = tmp_path / "work"
    (work / ".github" / "workflows").mkdir(parents=True)
    (work / ".github" / "workflows" / "ci.yaml").write_text(WORKFLOW)
    address = url.replace("://", f"://x:{token}@") + "/acme/app.git"
    git = ["git", "-C", str(work), "-c", "user.name=anna", "-c", "user.email=anna@example.org"]
    environment = {
        **os.environ,
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_SYSTEM": os.devnull,
        "LC_ALL": "C",
    }
    for words in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-qm", "first"]):
        subprocess.run([*git, *words], check=True, env=environment)
    push = subprocess.Popen([*git, "push", address, "main"], stderr=subprocess.PIPE, env=environment)
    assert push.stderr is not None
    os.set_blocking(push.stderr.fileno(), False)
    said = b""

    def step_runs() -> bool:
        nonlocal said
        said += push.stderr.read() or b"" if push.stderr else b""
        return bool(list(data.glob("jobs/*/events.jsonl"))) and b"remote:" in said

    until(step_runs, "the job runs and the person is told")
    sha = subprocess.run(
        [*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True
    ).stdout.strip()
    process.send_signal(signal.SIGTERM)
    assert push.wait(60) == 0  # the push itself is in
    said += push.stderr.read() or b""
    push.stderr.close()
    text = said.decode()
    assert f"the server stops; what it does goes on when it is back: {url}/commits/{sha}" in text, text
    assert re.search(r"remote: run 1 ci: (in_progress|queued|pending) so far", text), text
