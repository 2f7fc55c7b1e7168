from __future__ import annotations

import pytest

from windlass.runner.commands import Command, candidates, parse
from windlass.runner.errors import FileCommandError
from windlass.runner.filecommands import parse_pairs
from windlass.runner.logs import stamp
from windlass.runner.matchers import (
    Findings,
    FirstErrors,
    Matcher,
    coverage_of_report,
    coverage_of_xml,
    read_matchers,
)


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("::error::bad", Command("error", "bad")),
        (
            "   ::notice title=a%3Ab,file=x%2Cy::m%25",
            Command("notice", "m%", {"title": "a:b", "file": "x,y"}),
        ),
        ("::set-output name=x::a::b", Command("set-output", "a::b", {"name": "x"})),
        ("::error FILE=a,line=::x", Command("error", "x", {"file": "a", "line": ""})),
        ("##[group]Name", Command("group", "Name")),
        ("##[error file=a;line=3]bad%3B", Command("error", "bad;", {"file": "a", "line": "3"})),
        ("text ::error::bad", None),
        ("std::vector::push", None),
        ("::", None),
        ("::: :::", None),
        ("::error no end", None),
        ("##[nonsense]x", None),
    ],
)
def test_parse(line: str, command: Command | None) -> None:
    found = parse(line)
    assert found == command or (
        found is not None and command is None and found.name not in {"error", "notice"}
    )


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        (b"a\nb\n", []),
        (b"tests/x.py::test_a PASSED\ntests/x.py::test_b PASSED\n", []),
        (b"a\n  ::error::x\n", [b"  ::error::x\n"]),
        (b"::error::x\n", [b"::error::x\n"]),
        (b"::a::x\n::b::y\nz", [b"::a::x\n", b"::b::y\n"]),
        (b"a::b\n\t::group::c\n", [b"\t::group::c\n"]),
        (b"x ##[group]c\n# ##[endgroup]\n::a::\n", [b"x ##[group]c\n", b"# ##[endgroup]\n", b"::a::\n"]),
        (b"\n\n ::a::##[group]\nb\n##[x]", [b" ::a::##[group]\n", b"##[x]"]),
    ],
)
def test_lines_that_may_be_commands(block: bytes, expected: list[bytes]) -> None:
    assert [block[begin:end] for begin, end in candidates(block)] == expected


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("a=1\nb=x=y\n", {"a": "1", "b": "x=y"}),
        ("a<<END\n1\n\n2\nEND\nb=2", {"a": "1\n\n2", "b": "2"}),
        ("a<<E\r\nx\r\nE\r\n", {"a": "x"}),
        ("a=b<<c\n", {"a": "b<<c"}),
        ("a<<E=\nx\nE=\n", {"a": "x"}),
        ("a<<E\nE\n", {"a": ""}),
        ("\n\n", {}),
        ("a=1\na=2", {"a": "2"}),
    ],
)
def test_pairs(text: str, pairs: dict[str, str]) -> None:
    assert parse_pairs(text, file="GITHUB_OUTPUT") == pairs


@pytest.mark.parametrize("text", ["nothing", "=x", "a<<END\nno end\n", "a<<\nx\n", "<<E\nE\n"])
def test_pairs_that_are_none(text: str) -> None:
    with pytest.raises(FileCommandError, match="GITHUB_ENV: "):
        parse_pairs(text, file="GITHUB_ENV")


def test_stamp() -> None:
    assert stamp(1_767_225_600_123_456_789) == b"2026-01-01T00:00:00.1234567Z "


PYTEST = b"""\
    def test_create() -> None:
>       assert response.status_code == 201
E       assert 500 == 201
E        +  where 500 = <Response [500]>.status_code

tests/test_app.py:31: AssertionError
=========================== short test summary info ===========================
FAILED tests/test_app.py::test_create - assert 500 == 201
"""
RUFF = b"""\
F401 [*] `os` imported but unused
 --> src/app.py:3:8
  |
3 | import os
"""


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        (PYTEST, ("tests/test_app.py", 31, "assert 500 == 201")),
        (RUFF, ("src/app.py", 3, "F401 `os` imported but unused")),
        (
            b"src/app.py:3:8: F401 [*] `os` imported but unused\n",
            ("src/app.py", 3, "F401 [*] `os` imported but unused"),
        ),
        (
            b"src/a.py:4: error: Incompatible types  [assignment]\n",
            ("src/a.py", 4, "Incompatible types  [assignment]"),
        ),
        (b"main.c:7:3: error: expected ';'\n", ("main.c", 7, "expected ';'")),
        (
            b'Traceback (most recent call last):\n  File "x.py", line 2, in <module>\n    f()\nKeyError: 1\n',
            ("x.py", 2, "KeyError: 1"),
        ),
        (
            b"\x1b[31mERROR tests/test_b.py - ImportError: x\x1b[0m\n",
            ("tests/test_b.py", 0, "ImportError: x"),
        ),
        (b"ok\nerror: Failed to fetch: http://x\nmore\n", ("", 0, "error: Failed to fetch: http://x")),
    ],
)
def test_the_first_error_is_found(block: bytes, expected: tuple[str, int, str]) -> None:
    first = FirstErrors().read([block])[0]
    assert (first.file, first.line, first.message) == expected


def test_coverage() -> None:
    report = b"Name  Stmts Miss Cover\nsrc/a.py 10 1 90%\nTOTAL   120    9    20   2   92.5%\n"
    assert coverage_of_report(report) == 92.5
    assert coverage_of_report(b"TOTAL of 3 files: 20 % done\n") is None
    assert (
        coverage_of_xml(b'<?xml version="1.0" ?>\n<coverage version="7" line-rate="0.8713" x="1">') == 87.13
    )


def test_matcher_of_several_lines_with_a_loop() -> None:
    matcher = Matcher(
        "eslint",
        "",
        [
            {"regexp": r"^(\S+\.js)$", "file": 1},
            {"regexp": r"^\s+(\d+):(\d+)\s+(error|warning)\s+(.*)$", "line": 1, "column": 2, "severity": 3, "message": 4,  # noqa: E501
             "loop": True},
        ],
    )  # fmt: skip
    lines = ["a.js", "  1:2  error  one", "  3:4  warning  two", "", "b.js", "  5:6  error  three"]
    found = [made for line in lines if (made := matcher.feed(line))]
    assert [(one.file, one.line, one.column, one.level, one.message) for one in found] == [
        ("a.js", 1, 2, "error", "one"),
        ("a.js", 3, 4, "warning", "two"),
        ("b.js", 5, 6, "error", "three"),
    ]


def test_a_matcher_of_several_lines_sees_no_line_where_a_piece_of_the_output_ends() -> None:
    matcher = Matcher("x", "", [{"regexp": r"^(\S+\.js)$", "file": 1}, {"regexp": r"^  (.*)$", "message": 1}])
    findings = Findings({"x": matcher})
    findings.scan(b"a.js\n")
    findings.scan(b"  one\nb.js\n\n  none\n")
    assert [(one.file, one.message) for one in findings.matched] == [("a.js", "one")]


@pytest.mark.parametrize(
    "text", ["{}", "[]", '{"problemMatcher": [{"owner": "x", "pattern": [{"regexp": "("}]}]}', "x"]
)
def test_matchers_that_are_none(text: str) -> None:
    with pytest.raises(ValueError):
        read_matchers(text)
