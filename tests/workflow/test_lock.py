from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windlass.workflow import WorkflowError, parse
from windlass.workflow.lint import lint
from windlass.workflow.lock import PATH, differences, read_lock, reference, used_by, write_lock

A, B = "a" * 40, "b" * 40
TEXT = """
on: push
jobs:
  a:
    runs-on: x
    steps:
      - uses: third/party/sub/path@v1
      - uses: ./local
      - uses: $/own
      - uses: docker://alpine:3
      - parallel:
          - uses: third/inner@main
      - uses: third/party@v1
  b:
    uses: acme/flows/.github/workflows/x.yml@v2
  c:
    uses: ./.github/workflows/y.yml
"""

NAMES = st.from_regex(r"[a-z][a-z0-9-]{0,8}/[a-z][a-z0-9._-]{0,8}@[a-z0-9][a-z0-9./-]{0,8}", fullmatch=True)
COMMITS = st.from_regex(r"[0-9a-f]{40}", fullmatch=True) | st.just("built-in")


@given(st.dictionaries(NAMES, COMMITS, max_size=6))
def test_what_is_written_is_read_and_the_same_is_written_the_same(entries: dict[str, str]) -> None:
    text = write_lock(entries)
    assert read_lock(text) == entries
    assert write_lock(dict(reversed(entries.items()))) == text
    assert text.splitlines()[1:] == sorted(text.splitlines()[1:])


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a/b@v1\n", 1),
        (f"# x\na/b@v1 {A[:39]}\n", 2),
        (f"a/b {A}\n", 1),
        (f"a/b@v1 {A}\na/b@v1 {B}\n", 2),
        ("a/b@v1 main\n", 1),
    ],
)
def test_what_cannot_be_read_is_named_by_its_line(text: str, line: int) -> None:
    with pytest.raises(WorkflowError, match=f"{PATH}:{line}: "):
        read_lock(text)


def test_everything_of_third_parties_is_found() -> None:
    workflow = parse(TEXT, "ci.yml").workflow
    assert workflow is not None
    assert used_by(workflow) == {"third/party@v1", "third/inner@main", "acme/flows@v2"}
    assert reference("a/b@v1@x") is None


def test_differences_say_what_is_stale() -> None:
    assert differences({"a/a@1": A, "b/b@1": A}, {"a/a@1": B, "c/c@1": A}) == [
        f"c/c@1 is missing: it is {A}",
        "b/b@1 is used nowhere any more",
        f"a/a@1 has moved: {A} is locked, it is {B} now",
    ]
    assert differences({"a/a@1": A}, {"a/a@1": A}) == []


def test_lint_takes_the_lock_for_a_pin() -> None:
    def found(lock: str | None) -> list[str]:
        linted = lint(TEXT, ".github/workflows/ci.yml", {PATH: lock}.get)
        return [item.message for item in linted.diagnostics if item.code == "unpinned-action"]

    assert len(found(None)) == 5
    whole = write_lock({"third/party@v1": A, "third/inner@main": A, "acme/flows@v2": A})
    assert [text for text in found(whole) if "docker" not in text] == []
    partly = found(write_lock({"third/party@v1": A}))
    assert len([text for text in partly if "docker" not in text]) == 2
    assert len(found("broken")) == 5
