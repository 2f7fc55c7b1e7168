"""Secrets as they are handed over, folders of runs, and what a file says of the event."""

from __future__ import annotations

import fcntl
from pathlib import Path

import pytest

from windlass.server.local.errors import BadSecretError, LocalError
from windlass.server.local.folders import cache_home, forget_old, open_folders
from windlass.server.local.run import read_payload
from windlass.server.local.secrets import GivenSecrets, from_environment, from_file, parse_dotenv


def test_dotenv() -> None:
    text = """
# a comment
PLAIN=value with spaces   # and a comment
export EXPORTED=1
EMPTY=
HASH=a#b
SINGLE='as $it is\\n'
DOUBLE="two\\nlines \\"quoted\\" # kept"
KEY="-----BEGIN-----
abc
-----END-----"
"""
    assert parse_dotenv(text) == {
        "PLAIN": "value with spaces",
        "EXPORTED": "1",
        "EMPTY": "",
        "HASH": "a#b",
        "SINGLE": "as $it is\\n",
        "DOUBLE": 'two\nlines "quoted" # kept',
        "KEY": "-----BEGIN-----\nabc\n-----END-----",
    }


@pytest.mark.parametrize(
    ("text", "where"), [("A=1\nsesame", ":2: not NAME=value"), ('A="sesame', ":1: the value of A")]
)
def test_a_bad_dotenv_line_is_named_without_its_value(text: str, where: str, tmp_path: Path) -> None:
    file = tmp_path / "secrets"
    file.write_text(text)
    with pytest.raises(BadSecretError) as told:
        from_file(file)
    assert where in str(told.value)
    assert "sesame" not in str(told.value)


def test_secrets_come_from_the_environment_never_from_arguments() -> None:
    assert from_environment(["token"], {"token": "x"}) == {"TOKEN": "x"}
    with pytest.raises(BadSecretError) as told:
        from_environment(["TOKEN=sesame"], {})
    assert "every user of this machine sees arguments" in str(told.value)
    assert "sesame" not in str(told.value)
    with pytest.raises(BadSecretError, match="no variable MISSING"):
        from_environment(["MISSING"], {})


async def test_the_token_of_github_is_empty_unless_it_was_given() -> None:
    assert await GivenSecrets({"A": "1"}).reveal("acme/app") == {"GITHUB_TOKEN": "", "A": "1"}
    assert (await GivenSecrets({"GITHUB_TOKEN": "x"}).reveal("acme/app"))["GITHUB_TOKEN"] == "x"


def test_the_cache_folder_is_where_the_user_says() -> None:
    assert cache_home({"XDG_CACHE_HOME": "/somewhere"}) == Path("/somewhere/windlass")
    assert cache_home({"XDG_CACHE_HOME": "relative"}) == Path.home() / ".cache" / "windlass"


def test_runs_that_are_over_are_forgotten_but_for_the_newest_and_those_that_go_on(tmp_path: Path) -> None:
    folders = open_folders(tmp_path)
    assert (folders.run / "caches").resolve() == tmp_path / "run" / "shared" / "caches"
    for number in range(4):
        old = folders.runs / f"2020010{number}-000000-1"
        old.mkdir()
        (old / "lock").write_text("")
    going_on = (folders.runs / "20200100-000000-1" / "lock").open()
    fcntl.flock(going_on, fcntl.LOCK_EX)
    forget_old(folders.runs, keep=1)
    left = sorted(path.name for path in folders.runs.iterdir())
    assert left == ["20200100-000000-1", "20200103-000000-1", folders.run.name]
    going_on.close()
    folders.tidy()


def test_what_only_the_run_needed_is_gone_at_its_end(tmp_path: Path) -> None:
    folders = open_folders(tmp_path)
    (folders.run / "jobs" / "1.a.1").mkdir()
    (folders.run / "windlass.db").write_text("")
    folders.tidy()
    assert sorted(path.name for path in folders.run.iterdir()) == ["jobs", "lock"]
    assert (folders.shared / "caches").is_dir()


@pytest.mark.parametrize(("text", "said"), [("[1]", "no JSON object"), ("{", "is not JSON")])
def test_an_event_file_is_a_json_object(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "event.json"
    file.write_text(text)
    with pytest.raises(LocalError, match=said):
        read_payload(file)
