from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windlass.syntax import EditError, plain, read, replace

TEXT = """\
# the release
images:
  - name: shop   # ours
    newTag: 'abc'
  - {name: web, newTag: "1.0"}
on: push
spec:
  tag: &t old
  again: *t
  typed: !!str 5
  note: |
    two
    lines
  long: a
    b
  empty:
"""


def test_only_the_scalar_changes() -> None:
    assert replace(TEXT, ["images", 0, "newTag"], "def") == TEXT.replace("'abc'", "'def'")
    assert replace(TEXT, ["images", 1, "newTag"], "1.1") == TEXT.replace('"1.0"', '"1.1"')
    assert replace(TEXT, ["images", 0, "name"], "it") == TEXT.replace(
        "name: shop   # ours", "name: it   # ours"
    )
    assert replace(TEXT, ["spec", "empty"], "x") == TEXT.replace("empty:\n", "empty: x\n")


@pytest.mark.parametrize(
    "value", ["yes", "on", "010", "1.0", "null", "a: b", "# c", "", "2020-01-01", "1e3", "- x"]
)
def test_a_string_stays_a_string(value: str) -> None:
    edited = replace(TEXT, ["on"], value)
    assert plain(read(edited, "f").root)["on"] == value
    assert f'on: "{value}"' in edited


@pytest.mark.parametrize(
    ("path", "why"),
    [
        (["spec", "tag"], "anchor"),
        (["spec", "again"], "anchor"),
        (["spec", "typed"], "tag"),
        (["spec", "note"], "several lines"),
        (["spec", "long"], "several lines"),
        (["spec"], "not a scalar"),
        (["spec", "nothing"], "there is no spec.nothing"),
        (["images", 7], r"there is no images\[7\]"),
    ],
)
def test_what_would_change_more_is_refused(path: list[str | int], why: str) -> None:
    with pytest.raises(EditError, match=why):
        replace(TEXT, path, "x")


@given(st.text(max_size=20))
def test_any_text_comes_back(value: str) -> None:
    paths: list[list[str | int]] = [
        ["images", 0, "newTag"],
        ["images", 1, "newTag"],
        ["images", 1, "name"],
        ["on"],
    ]
    for path in paths:
        try:
            edited = replace(TEXT, path, value)
        except EditError:
            assert not value.isprintable()
            continue
        found = plain(read(edited, "f").root)
        for step in path:
            found = found[step]
        assert found == value
        assert len(edited.split("\n")) == len(TEXT.split("\n"))
