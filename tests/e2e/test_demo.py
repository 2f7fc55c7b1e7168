"""The whole demo, as a user runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ports import free_block
from windlass.cli.down import end_everything

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]


def test_from_push_to_verified_and_back(tmp_path: Path) -> None:
    data, figures = tmp_path / "demo", tmp_path / "figures.json"
    command = [sys.executable, "-m", "windlass", "demo", "--data", str(data), "--json", str(figures)]
    done = subprocess.run(
        [*command, "--port", str(free_block()[0])], capture_output=True, text=True, timeout=850, check=False
    )
    log = data / "server.log"
    tail = log.read_text(encoding="utf-8", errors="replace")[-4000:] if log.exists() else ""
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n--- server.log\n{tail}"

    found = json.loads(figures.read_text())
    assert found["lines"]["first"]["total"] > 0
    assert all(value is not None for value in found["lines"]["repeated"].values())
    assert set(found["faults"]) == {"needs a variable", "BREAK=1", "/tasks fails"}
    for name, fault in found["faults"].items():
        assert all(value is not None for value in fault.values()), name
    for name, seen in found["seen"].items():
        assert seen["bad"] == 0, (name, seen["why"])
        assert seen["slowest"] <= 2.0, name
        assert seen["answers"] >= 500, name

    # Nothing is left behind.
    assert end_everything(data) == {"servers": 0, "jobs": 0, "containers": 0, "edges": 0}
