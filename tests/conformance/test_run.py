from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

RUN = Path(__file__).parent / "run.py"
WORKFLOW = """\
include-source: false
---
on: push
jobs:
  a:
    runs-on: x
    steps:
      - ran: y
---
{"errors": [{"Message": "%s"}]}
"""


def test_the_runner_counts_shows_and_records(tmp_path: Path) -> None:
    cases = [
        {"expr": "1 == '1'", "result": {"kind": "Boolean", "value": True}},
        {"expr": "1 == 2", "result": {"kind": "Boolean", "value": True}},
        {"expr": "nope", "err": {"kind": "parsing", "value": "Unrecognized named-value: 'nope'"}},
        {"expr": "NaN", "result": {"kind": "Number", "value": "NaN"}},
    ]
    (tmp_path / "expressions").mkdir()
    (tmp_path / "expressions" / "own.json").write_text(json.dumps({"group": cases}))
    (tmp_path / "workflows").mkdir()
    (tmp_path / "workflows" / "own.yml").write_text(WORKFLOW % "another message")
    result = tmp_path / "out" / "result.json"
    done = subprocess.run(
        [sys.executable, RUN, tmp_path, result], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 1
    assert "expressions: 3/4\n  own.json/group/1\n" in done.stdout
    assert "workflows: 0/1\n  own.yml\n" in done.stdout
    assert "another message" in done.stdout
    rows = json.loads(result.read_text())
    assert [(row["suite"], row["id"], row["passed"]) for row in rows] == [
        ("expressions", "own.json/group/0", True),
        ("expressions", "own.json/group/1", False),
        ("expressions", "own.json/group/2", True),
        ("expressions", "own.json/group/3", True),
        ("workflows", "own.yml", False),
    ]


def test_a_case_that_crashes_is_one_failure_and_hides_no_other(tmp_path: Path) -> None:
    (tmp_path / "workflows").mkdir()
    (tmp_path / "workflows" / "a.yml").write_text("include-source: false\n---\nnot even three parts")
    (tmp_path / "workflows" / "b.yml").write_text(WORKFLOW % "another message")
    result = tmp_path / "result.json"
    done = subprocess.run(
        [sys.executable, RUN, tmp_path, result], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 1
    assert "workflows: 0/2\n" in done.stdout
    assert "2 of 2 cases failed" in done.stderr
    first, second = json.loads(result.read_text())
    assert (first["id"], first["passed"]) == ("a.yml", False)
    assert "Error" in first["result"]
    assert second["id"] == "b.yml"


def test_all_that_passes_ends_with_0_and_nothing_at_all_with_1(tmp_path: Path) -> None:
    (tmp_path / "expressions").mkdir()
    case = {"expr": "1 == '1'", "result": {"kind": "Boolean", "value": True}}
    (tmp_path / "expressions" / "own.json").write_text(json.dumps({"group": [case]}))
    command = [sys.executable, str(RUN), str(tmp_path), str(tmp_path / "out.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (0, "expressions: 1/1\n")
    (tmp_path / "empty").mkdir()
    command[2] = str(tmp_path / "empty")
    assert subprocess.run(command, capture_output=True, check=False, timeout=60).returncode == 1


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, RUN, tmp_path / "nowhere"], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 2
    assert "name a folder by DIR=" in done.stderr
