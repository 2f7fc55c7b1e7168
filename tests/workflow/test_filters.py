from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from windlass.workflow.filters import _atoms, _Matcher, _written, included, matches


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("feature/*", ["feature/a"], ["feature/a/b", "feature"]),
        ("feature/**", ["feature/a", "feature/a/b"], ["feature"]),
        ("**", ["main", "a/b"], []),
        ("*", ["main"], ["a/b"]),
        ("v2*", ["v2", "v2.0"], ["v1", "a/v2"]),
        ("v[12].[0-9]+.[0-9]+", ["v1.10.1", "v2.0.0"], ["v3.0.0", "v1.x.0"]),
        ("*.jsx?", ["page.js", "page.jsx"], ["page.jsy"]),
        ("**.js", ["index.js", "src/js/app.js"], ["index.ts"]),
        ("**/docs/**", ["docs/hello.md", "dir/docs/a.txt"], ["docs"]),
        ("docs/*", ["docs/a.md"], ["docs/x/a.md"]),
        ("**/*src/**", ["a/src/app.js", "my-src/code/x"], ["src"]),
        ("a.b", ["a.b"], ["axb"]),
        ("\\*", ["*"], ["a"]),
        ("mona/octocat", ["mona/octocat"], ["mona/octocat2"]),
        ("[a-", ["[a-"], ["a"]),
    ],
)
def test_patterns(pattern: str, yes: list[str], no: list[str]) -> None:
    assert [name for name in yes if not matches(name, pattern)] == []
    assert [name for name in no if matches(name, pattern)] == []


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("*a" * 40, "a" * 200 + "b"),
        ("a?" * 100 + "a" * 100, "a" * 99),
        ("**/" * 40 + "x", "a/" * 100),
        ("a+" * 50, "a" * 90 + "b"),
    ],
)
@pytest.mark.timeout(5)
def test_matching_takes_no_time_to_speak_of(pattern: str, name: str) -> None:
    assert not matches(name, pattern)


@settings(max_examples=300)
@given(st.text(alphabet="ab/", max_size=8), st.text(alphabet="ab*/?", max_size=8))
def test_both_ways_of_matching_agree(name: str, pattern: str) -> None:
    fast, slow = _Matcher(pattern), _Matcher(pattern)
    slow.fast, slow.steps = None, [(re.compile(atom.regex, re.DOTALL), atom) for atom in _atoms(pattern)]
    fast.fast = re.compile(_written(_atoms(pattern)), re.DOTALL)
    assert slow.matches(name) == fast.matches(name)


def test_the_last_match_decides() -> None:
    patterns = ["releases/**", "!releases/**-alpha", "releases/keep-alpha"]
    assert included("releases/10", patterns)
    assert not included("releases/10-alpha", patterns)
    assert included("releases/keep-alpha", patterns)
    assert not included("main", ["!main"])
    assert not included("other", ["!main"])


@given(st.text(max_size=12), st.text(alphabet="ab*?+[]!\\/-^.", max_size=12))
def test_no_pattern_breaks(name: str, pattern: str) -> None:
    assert matches(name, pattern) in {True, False}
