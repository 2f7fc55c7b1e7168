from __future__ import annotations

import math
from typing import Any

import pytest

from windlass.syntax import Limits, Mapping, Scalar, plain, read, read_all


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on", "on"),
        ("yes", "yes"),
        ("0755", 755),
        ("0o10", 8),
        ("0xfF", 255),
        ("+1", 1),
        ("1.10", 1.1),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("-.inf", -math.inf),
        ("12_345", "12_345"),
        ("1:30", "1:30"),
        ("2020-01-01", "2020-01-01"),
        ("~", None),
        ("Null", None),
        ("nULL", "nULL"),
        ("TRUE", True),
        ("'1'", "1"),
        ("!!str 1", "1"),
        ("!!int 0x10", 16),
        ("!!null", None),
    ],
)
def test_scalars_follow_the_core_schema(text: str, value: Any) -> None:
    found = plain(read(f"a: {text}", "f").root)["a"]
    assert found == value
    assert type(found) is type(value)


def test_nodes_know_where_they_stand() -> None:
    root = read("on:\n  push: {branches: [main]}\n", "f").root
    assert isinstance(root, Mapping)
    push = root.get("on")
    assert isinstance(push, Mapping)
    key, value = push.entries[0]
    assert (key.line, key.column) == (2, 3)
    assert (value.span.line, value.span.column, value.span.end_line, value.span.end_column) == (2, 9, 2, 27)


def test_duplicates_are_kept_for_the_reader_above() -> None:
    root = read("a: 1\na: 2\n", "f").root
    assert isinstance(root, Mapping)
    assert [key.text for key, _ in root.entries if isinstance(key, Scalar)] == ["a", "a"]


@pytest.mark.parametrize(
    ("text", "code", "place"),
    [
        ("a: [", "yaml-syntax", (2, 1)),
        ("a: *b", "yaml-syntax", (1, 4)),
        ("a: !!bool maybe", "yaml-tag", (1, 4)),
        ("a: !mine x", "yaml-tag", (1, 4)),
        ("a: &x [*x]", "yaml-recursion", (1, 4)),
        ("a: 1\n---\nb: 1", "yaml-documents", (3, 1)),
    ],
)
def test_what_is_wrong_has_a_place(text: str, code: str, place: tuple[int, int]) -> None:
    document = read(text, "f")
    assert document.root is None
    (found,) = document.diagnostics
    assert found.code == code
    assert found.span is not None
    assert (found.span.line, found.span.column) == place


@pytest.mark.parametrize("opening", ["[", "- ", "? ", "{a: ", "[[], ", "- ? ", '["]", '])
def test_deep_nesting_ends_in_a_diagnostic_and_not_in_a_crash(opening: str) -> None:
    document = read(opening * 100_000, "f")
    assert document.root is None
    assert document.diagnostics[0].code in {"yaml-depth", "yaml-syntax"}


def test_aliases_cannot_multiply() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    document = read("\n".join(lines), "f")
    assert [item.code for item in document.diagnostics] == ["yaml-nodes"]


def test_size_is_limited() -> None:
    assert read("a: " + "x" * 100, "f", Limits(size=50)).diagnostics[0].code == "yaml-size"


def test_all_documents_of_a_stream() -> None:
    nodes, diagnostics = read_all("a: 1\n---\n---\nb: 2\n", "f")
    assert [plain(node) for node in nodes] == [{"a": 1}, None, {"b": 2}]
    assert not diagnostics
