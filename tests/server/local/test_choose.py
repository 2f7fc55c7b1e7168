"""Which workflows and jobs are meant, and what is said where none is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from windlass.server.local.checkout import Checkout
from windlass.server.local.choose import Choice, File, Wish, choose, listing, read
from windlass.server.local.errors import InvalidFilesError, NothingChosenError
from windlass.server.local.events import base_of, build, known
from windlass.server.local.snapshot import Snapshot

if TYPE_CHECKING:
    from windlass.workflow import Event

CHECKOUT = Checkout(
    root=None,  # type: ignore[arg-type]
    repository="acme/app",
    ref="refs/heads/topic",
    default_branch="main",
    actor="ada",
    refs={"refs/remotes/origin/main": "a" * 40, "refs/remotes/origin/topic": "b" * 40},
)
SNAPSHOT = Snapshot("c" * 40, "b" * 40, "Say hello [skip ci]", ("src/app.py",))
STEPS = "    runs-on: ubuntu-latest\n    steps: [{run: 'true'}]\n"
JOBS = f"jobs:\n  one:\n{STEPS}  two:\n    needs: one\n{STEPS}  three:\n    name: The third\n    needs: two\n{STEPS}"


def file(on: str, name: str = "ci", jobs: str = JOBS) -> dict[str, str]:
    return {f".github/workflows/{name}.yml": f"name: The {name}\non: {on}\n{jobs}"}


def event_of(name: str) -> Event:
    before = base_of(known(name), CHECKOUT, SNAPSHOT)
    return build(name, CHECKOUT, SNAPSHOT, before, SNAPSHOT.changed)


def chosen(files: dict[str, str], **wish: Any) -> Choice:
    return choose(read(files), Wish(**wish), event_of)


def names(choice: Choice) -> list[tuple[str, str]]:
    return [(run.file.short, run.event.name) for run in choice.runs]


def test_a_push_is_meant_where_it_starts_something() -> None:
    files = file("push") | file("workflow_dispatch", "by-hand") | file("[push, pull_request]", "both")
    choice = chosen(files)
    assert names(choice) == [("ci.yml", "push"), ("both.yml", "push")]
    assert choice.notes == ("ci.yml, both.yml as push on topic",)


def test_else_what_is_started_by_hand() -> None:
    files = file("{push: {branches: [main]}}") | file("workflow_dispatch", "by-hand")
    assert names(chosen(files)) == [("by-hand.yml", "workflow_dispatch")]


def test_else_all_are_listed_with_the_reason() -> None:
    with pytest.raises(NothingChosenError) as told:
        chosen(file("{push: {branches: [main]}}") | file("{schedule: [{cron: '0 0 * * *'}]}", "nightly"))
    assert "on schedule" in str(told.value)
    assert "ci.yml: the branch 'topic' does not match main" in str(told.value)


def test_skip_ci_in_a_message_is_for_forges() -> None:
    assert names(chosen(file("push"))) == [("ci.yml", "push")]


def test_path_filters_look_at_what_origin_has_not() -> None:
    assert names(chosen(file("{push: {paths: ['src/**']}}")))
    with pytest.raises(NothingChosenError, match="none of the 1 changed files matches docs"):
        chosen(file("{push: {paths: ['docs/**']}}"))


@pytest.mark.parametrize(
    "wanted", ["ci.yml", "ci", "./.github/workflows/ci.yml", ".github/workflows/ci.yml", "the ci"]
)
def test_a_workflow_is_found_by_path_file_and_name(wanted: str) -> None:
    assert names(chosen(file("push", "other") | file("push"), workflow=wanted)) == [("ci.yml", "push")]


def test_one_that_is_not_there_is_guessed_at() -> None:
    with pytest.raises(NothingChosenError, match=r"did you mean build.yml\?"):
        chosen(file("push", "build") | file("push"), workflow="biuld.yml")


def test_one_that_is_asked_for_by_name_runs_whatever_its_filters_say_and_that_is_told() -> None:
    choice = chosen(file("{push: {branches: [main]}}"), workflow="ci")
    assert names(choice) == [("ci.yml", "push")]
    assert "a forge would not start it: the branch 'topic' does not match main" in choice.notes[0]
    assert names(chosen(file("{schedule: [{cron: '0 5 * * *'}]}"), workflow="ci")) == [("ci.yml", "schedule")]


def test_but_not_on_an_event_that_it_does_not_have() -> None:
    with pytest.raises(NothingChosenError, match=r"ci.yml does not run on release, but on push"):
        chosen(file("push"), workflow="ci", event="release")


def test_an_event_that_does_not_exist() -> None:
    with pytest.raises(NothingChosenError, match="there is no event 'pul_request'"):
        chosen(file("push"), event="pul_request")


def test_the_payload_is_completed_by_the_file() -> None:
    [run] = chosen(file("{schedule: [{cron: '0 5 * * *'}]}"), event="schedule").runs
    assert run.event.payload["schedule"] == "0 5 * * *"
    [run] = chosen(file("{pull_request: {types: [labeled]}}"), event="pull_request").runs
    assert run.event.payload["action"] == "labeled"
    assert run.event.payload["pull_request"]["base"] | {"repo": 0, "user": 0} == {
        "ref": "main", "sha": "a" * 40, "label": "acme:main", "repo": 0, "user": 0,
    }  # fmt: skip
    assert run.event.ref == "refs/pull/1/merge"


def test_a_push_tells_what_came_with_it() -> None:
    [run] = chosen(file("push")).runs
    assert (run.event.payload["before"], run.event.payload["after"]) == ("b" * 40, "c" * 40)
    assert run.event.payload["head_commit"]["message"] == "Say hello [skip ci]"


INPUTS = (
    "{workflow_dispatch: {inputs: {level: {type: choice, options: [low, high], required: true}, "
    "count: {type: number, default: 3}, dry: {type: boolean}}}}"
)


def test_inputs_are_typed_and_checked() -> None:
    [run] = chosen(file(INPUTS), inputs={"level": "high", "dry": "true"}).runs
    assert run.inputs == {"level": "high", "count": 3, "dry": True}
    assert run.event.payload["inputs"] == run.inputs


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, r"the input 'level' is required\ngive it with --input level=low|high"),
        ({"level": "middle"}, "one of low, high, not 'middle'"),
        ({"level": "low", "count": "many"}, "'count' is a number"),
        ({"level": "low", "speed": "1"}, "'speed' is not one of its inputs"),
    ],
)
def test_what_is_wrong_with_inputs_is_named(given: dict[str, str], said: str) -> None:
    with pytest.raises(NothingChosenError) as told:
        chosen(file(INPUTS), inputs=given)
    assert said.replace("\\n", "\n") in str(told.value)


def test_inputs_for_an_event_that_takes_none() -> None:
    with pytest.raises(NothingChosenError, match="--input has no meaning for push"):
        chosen(file("push"), event="push", inputs={"a": "b"})


def test_a_job_with_what_it_needs() -> None:
    [run] = chosen(file("push"), job="two").runs
    assert run.settled == {"three": ("skipped", "not asked for")}
    [run] = chosen(file("push"), job="the third", needs=False).runs
    assert {key: how for key, (how, _) in run.settled.items()} == {"one": "success", "two": "success"}


def test_a_job_finds_its_workflow() -> None:
    files = file("push", "other", f"jobs:\n  else:\n{STEPS}") | file("push")
    assert names(chosen(files, job="two")) == [("ci.yml", "push")]
    with pytest.raises(NothingChosenError, match=r"other.yml has no job 'tow'"):
        chosen(files, job="tow")
    with pytest.raises(NothingChosenError, match=r"did you mean two\?"):
        chosen(file("push"), job="tow")


def test_files_with_errors_are_drawn() -> None:
    broken = file("push") | {".github/workflows/bad.yml": "on: push\njobs:\n  a:\n    runs: x\n"}
    with pytest.raises(InvalidFilesError) as told:
        chosen(broken)
    assert "bad.yml:4:5: error" in str(told.value)
    assert "^^^^" in str(told.value)
    assert names(chosen(broken, workflow="ci")) == [("ci.yml", "push")]


def test_the_list_shows_what_starts_what() -> None:
    files: tuple[File, ...] = read(file("[push, pull_request]") | {".github/workflows/bad.yml": "on: ["})
    assert listing(files).splitlines() == [
        "  ci.yml   The ci      on push, pull_request  one, two, three",
        "  bad.yml  has errors                         see `windlass lint`",
    ]
