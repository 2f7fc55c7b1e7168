"""Followers of a log learn of new lines by datagrams: at once, and not too often."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING

import pytest

from windlass.runner.events import HINT_INTERVAL, Nudge

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from runner.conftest import Forge


@pytest.fixture
def ear(tmp_path: Path) -> Iterator[socket.socket]:
    (tmp_path / "data" / "run").mkdir(parents=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "data" / "run" / "jobs.sock"))
        listener.settimeout(20)
        yield listener


def test_a_line_is_known_while_its_step_still_runs(host_forge: Forge, ear: socket.socket) -> None:
    print_times = 'for i in 1 2 3 4 5; do echo "at $EPOCHREALTIME"; sleep 0.12; done; sleep 0.4'
    ran = host_forge.start([{"run": print_times}])
    delays: list[float] = []
    while len(delays) < 5:
        assert ear.recv(512).decode() == ran.directory.name
        seen = time.time()
        printed = [float(line.split()[1]) for line in ran.printed().splitlines() if line.startswith("at ")]
        delays += [seen - moment for moment in printed[len(delays) :]]
    assert not ran.of("step.finished", step=1), "all lines were known before the step ended"
    assert sorted(delays)[2] < HINT_INTERVAL + 0.02, delays
    assert ran.conclusion == "success"


def test_many_lines_are_few_datagrams(tmp_path: Path, ear: socket.socket) -> None:
    nudge = Nudge(str(tmp_path / "data" / "run" / "jobs.sock"), "1.test.1")
    began = time.monotonic()
    while time.monotonic() < began + 0.5:
        nudge.hint()
    heard = 0
    ear.settimeout(3 * HINT_INTERVAL)
    try:
        while True:
            ear.recv(512)
            heard += 1
    except TimeoutError:
        nudge.close()
    assert 3 <= heard <= 0.5 / HINT_INTERVAL + 2


def test_the_last_line_of_a_burst_is_told(tmp_path: Path, ear: socket.socket) -> None:
    nudge = Nudge(str(tmp_path / "data" / "run" / "jobs.sock"), "1.test.1")
    nudge.hint()
    assert ear.recv(512)
    nudge.hint()
    began = time.monotonic()
    assert ear.recv(512)
    assert time.monotonic() - began < 5 * HINT_INTERVAL
    nudge.close()
    nudge.hint()
    ear.settimeout(2 * HINT_INTERVAL)
    with pytest.raises(TimeoutError):
        ear.recv(512)
