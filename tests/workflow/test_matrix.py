from __future__ import annotations

from typing import Any

import pytest

from windlass.workflow.matrix import MatrixError, expand, named


def test_the_product_is_in_the_order_of_the_file() -> None:
    assert expand({"os": ["a", "b"], "v": [1, 2]}) == [
        {"os": "a", "v": 1},
        {"os": "a", "v": 2},
        {"os": "b", "v": 1},
        {"os": "b", "v": 2},
    ]


def test_exclude_matches_on_all_its_keys_loosely_and_deeply() -> None:
    matrix: dict[str, Any] = {
        "os": ["Linux", "mac"],
        "v": [1, {"node": 2, "x": 9}],
        "exclude": [{"os": "linux", "v": "1"}, {"v": {"node": 2}, "os": "mac"}],
    }
    assert expand(matrix) == [{"os": "Linux", "v": {"node": 2, "x": 9}}, {"os": "mac", "v": 1}]


def test_include_as_in_the_documentation() -> None:
    matrix = {
        "fruit": ["apple", "pear"],
        "animal": ["cat", "dog"],
        "include": [
            {"color": "green"},
            {"color": "pink", "animal": "cat"},
            {"fruit": "apple", "shape": "circle"},
            {"fruit": "banana"},
            {"fruit": "banana", "animal": "cat"},
        ],
    }
    assert expand(matrix) == [
        {"fruit": "apple", "animal": "cat", "color": "pink", "shape": "circle"},
        {"fruit": "apple", "animal": "dog", "color": "green", "shape": "circle"},
        {"fruit": "pear", "animal": "cat", "color": "pink"},
        {"fruit": "pear", "animal": "dog", "color": "green"},
        {"fruit": "banana"},
        {"fruit": "banana", "animal": "cat"},
    ]


def test_include_alone_makes_the_legs() -> None:
    assert expand({"include": [{"site": "a"}, {"site": "b"}]}) == [{"site": "a"}, {"site": "b"}]


def test_names_show_the_product_and_not_what_include_added() -> None:
    matrix = {"os": ["a"], "v": [1.5, True], "include": [{"os": "a", "extra": "x"}, {"os": "c", "n": None}]}
    assert [shown for _, shown in named(matrix)] == [["a", "1.5"], ["a", "true"], ["c"]]


@pytest.mark.parametrize(
    ("matrix", "message", "path"),
    [
        ({}, "at least one vector", ()),
        ({"os": []}, "'os' does not contain any values", ("os",)),
        ({"os": "a"}, "'os' is not a list", ("os",)),
        ({"os": ["a"], "exclude": [{"x": 1}]}, "key 'x' does not match", ("exclude", 0, "x")),
        ({"os": ["a"], "exclude": [{}]}, "must not be empty", ("exclude", 0)),
        ({"include": [{}]}, "does not contain any values", ("include", 0)),
        ({"include": ["x"]}, "not a mapping", ("include", 0)),
        ({"a": list(range(20)), "b": list(range(20))}, "400 combinations; 256 are allowed", ()),
        ({name: list(range(1000)) for name in "abcdef"}, "256 are allowed", ()),
    ],
)
def test_what_cannot_be_expanded(matrix: dict[str, Any], message: str, path: tuple[str | int, ...]) -> None:
    with pytest.raises(MatrixError, match=message) as caught:
        expand(matrix)
    assert caught.value.path == path
