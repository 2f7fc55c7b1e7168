"""`windlass lock` against real repositories, without a server."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from windlass.cli.lock import answered, commands, lock

if TYPE_CHECKING:
    from pathlib import Path

WORKFLOW = """
on: push
jobs:
  a:
    runs-on: x
    steps:
      - uses: acme/act/sub@v1
      - uses: actions/checkout@v4
      - uses: ./.github/actions/mine
"""
MINE = "name: m\nruns:\n  using: composite\n  steps: [{uses: acme/act@main}]\n"
WHO = {
    **os.environ,
    **{f"GIT_{role}_{part}": "anna" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")},
}


def git(place: Path, *argv: str) -> str:
    done = subprocess.run(["git", *argv], cwd=place, env=WHO, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def commit(place: Path, text: str) -> str:
    (place / "action.yml").write_text(text)
    git(place, "add", "-A")
    git(place, "commit", "-q", "-m", text)
    return git(place, "rev-parse", "HEAD")


@pytest.fixture
def act(tmp_path: Path) -> Path:
    place = tmp_path / "forge" / "acme" / "act"
    place.mkdir(parents=True)
    git(place, "init", "-q", "-b", "main")
    return place


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "app"
    (root / ".github/workflows").mkdir(parents=True)
    (root / ".github/actions/mine").mkdir(parents=True)
    (root / ".github/workflows/ci.yml").write_text(WORKFLOW)
    (root / ".github/actions/mine/action.yml").write_text(MINE)
    monkeypatch.chdir(root)
    return root


def call(tmp_path: Path, *argv: str) -> Result:
    given = ["--data", str(tmp_path / "none"), "--from", f"file://{tmp_path}/forge", *argv]
    return CliRunner().invoke(lock, given)


def test_references_become_commits_and_stale_ones_are_told(act: Path, checkout: Path, tmp_path: Path) -> None:
    first = commit(act, "one")
    git(act, "tag", "-a", "v1", "-m", "annotated")
    second = commit(act, "two")
    assert call(tmp_path, "--check").exit_code == 1
    done = call(tmp_path)
    assert done.exit_code == 0, done.output
    file = checkout / ".windlass/actions.lock"
    lines = file.read_text().splitlines()[1:]
    assert lines == [f"acme/act@main {second}", f"acme/act@v1 {first}", "actions/checkout@v4 built-in"]
    assert call(tmp_path, "--check").exit_code == 0
    written = file.read_bytes()
    assert call(tmp_path).exit_code == 0
    assert file.read_bytes() == written
    third = commit(act, "three")
    stale = call(tmp_path, "--check")
    assert stale.exit_code == 1
    assert f"acme/act@main has moved: {second} is locked, it is {third} now" in stale.output
    assert file.read_bytes() == written


def test_programs_read_what_stands_for_what(act: Path, checkout: Path, tmp_path: Path) -> None:
    first = commit(act, "one")
    git(act, "tag", "v1")
    stale = call(tmp_path, "--check", "--json")
    assert stale.exit_code == 1
    told = json.loads(stale.stdout)
    assert told["actions"] == {
        "acme/act@main": first, "acme/act@v1": first, "actions/checkout@v4": "built-in"
    }  # fmt: skip
    assert f"acme/act@v1 is missing: it is {first}" in told["differences"]
    assert call(tmp_path).exit_code == 0
    fresh = call(tmp_path, "--check", "--json")
    assert (fresh.exit_code, json.loads(fresh.stdout)["differences"]) == (0, [])


def test_what_nobody_knows_is_named_and_nothing_is_written(act: Path, checkout: Path, tmp_path: Path) -> None:
    commit(act, "one")
    done = call(tmp_path)
    assert done.exit_code == 1
    assert "acme/act@v1 cannot be resolved" in done.output
    assert "it has no v1" in done.output
    assert not (checkout / ".windlass").exists()


def test_a_broken_lock_file_fails_the_check(act: Path, checkout: Path, tmp_path: Path) -> None:
    commit(act, "one")
    git(act, "tag", "v1")
    (checkout / ".windlass").mkdir()
    (checkout / ".windlass/actions.lock").write_text("nonsense\n")
    done = call(tmp_path, "--check")
    assert (done.exit_code, ".windlass/actions.lock:1" in done.output) == (1, True)
    assert call(tmp_path).exit_code == 0


def test_the_question_and_its_answer() -> None:
    asked = commands("http://127.0.0.1:1/", "acme/act", "--upload-pack=x")
    assert asked == [
        "git", "ls-remote", "--quiet", "--", "http://127.0.0.1:1/acme/act", "--upload-pack=x", "--upload-pack=x^{}",
    ]  # fmt: skip
    said = "a\trefs/heads/v1\nb\trefs/tags/v1\nc\trefs/tags/v1^{}\nd\trefs/heads/x/v1\n"
    assert answered(said, "v1") == "c"
    assert answered("d\trefs/heads/x/v1\n", "v1") is None
