from __future__ import annotations

import math
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windlass.workflow.expressions import (
    ExpressionError,
    Scope,
    condition,
    evaluate,
    interpolate,
    normalised,
    resolve,
    status_functions,
)

CONTEXTS: dict[str, Any] = {
    "github": {
        "ref": "refs/heads/main",
        "event": {"Number": 7, "labels": [{"name": "bug"}, {"name": "docs"}, 5]},
    },
    "matrix": None,
    "inputs": {"deploy": True, "count": 3},
}


def value(text: str, **functions: Any) -> Any:
    return evaluate(text, Scope(CONTEXTS, functions))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 == '1'", True),
        ("'0x10' == 16", True),
        ("'' == 0", True),
        ("null == false", True),
        ("'ABC' == 'abc'", True),
        ("NaN == NaN", False),
        ("'b' > 'A'", True),
        ("null >= null", True),
        ("null > null", False),
        ("fromJSON('[]') == fromJSON('[]')", False),
        ("1 || 2 && 0", 1),
        ("!1 == false", True),
        ("1 < 2 == true", True),
        ("github.EVENT.number", 7),
        ("github['ref']", "refs/heads/main"),
        ("github.missing.deeper", None),
        ("matrix.os", None),
        ("github.event.labels.*.name", ["bug", "docs"]),
        ("github.event.labels[1].name", "docs"),
        ("github.event.labels['1'].name", "docs"),
        ("join(github.event.labels.*.name, '/')", "bug/docs"),
        ("contains(github.event.labels.*.name, 'BUG')", True),
        ("contains('Hello', 'ELL')", True),
        ("startsWith(github.ref, 'refs/tags/')", False),
        ("endsWith('abc', '')", True),
        ("format('{0}-{1}{{}}', inputs.count, inputs.deploy)", "3-true{}"),
        ("toJSON(inputs)", '{\n  "deploy": true,\n  "count": 3\n}'),
        ("fromJSON('{\"a\": [1]}').a[0]", 1),
        ("case(inputs.count == 3, 'three', fromJSON('broken'))", "three"),
        ("'it''s'", "it's"),
        ("1e3", 1000.0),
        ("format('{0}', 0.1)", "0.1"),
        ("format('{0}', 1e20)", "1E+20"),
        ("format('{0}', 12345678901)", "12345678901"),
        ("", None),
    ],
)
def test_values(text: str, expected: Any) -> None:
    found = value(text)
    assert found == expected
    assert isinstance(found, bool) == isinstance(expected, bool)


@pytest.mark.parametrize(
    ("text", "message", "position"),
    [
        ("1 +", "Unexpected symbol: '+'. Located at position 3 within expression: 1 +", 3),
        ("github.", "Unexpected end of expression: '.'. Located at position 7 within expression: github.", 7),
        ("(1", "Unexpected end of expression: '1'. Located at position 2 within expression: (1", 2),
        ("github.ref == secrets.X", "Unrecognized named-value: 'secrets'", 15),
        ("hashFiles('x')", "Unrecognized function: 'hashFiles'", 1),
        ("contains('x')", "Too few parameters supplied: 'contains'", 1),
        ("case(true, 1, false, 2)", "Even number of parameters supplied", 1),
        ("'x", "Unexpected symbol: ''x'", 1),
        ("x" * 21_001, "Exceeded max expression length 21000", 0),
        ("(" * 300 + "1" + ")" * 300, "Exceeded max expression depth 50", 0),
        ("!" * 20_000 + "1", "Exceeded max expression depth 50", 0),
    ],
)
def test_errors_name_the_symbol_and_its_place(text: str, message: str, position: int) -> None:
    with pytest.raises(ExpressionError) as caught:
        value(text)
    assert caught.value.message.startswith(message)
    assert caught.value.position == position
    assert caught.value.expression == text


def test_keys_of_json_that_differ_in_case_are_one_key() -> None:
    made = value('fromJSON(\'{"b": 1, "a": 2, "B": 3, "c": 4}\')')
    assert list(made.items()) == [("b", 3), ("a", 2), ("c", 4)]


def test_positions_in_messages_count_as_github_does() -> None:
    with pytest.raises(ExpressionError) as caught:
        value("'\U0001f600' == nope")
    assert "Located at position 9 within" in caught.value.message
    assert caught.value.position == 8


@pytest.mark.parametrize(
    "text", ["fromJSON('{')", "fromJSON('NaN')", "fromJSON('')", "format('{1}', 1)", "format('{0')"]
)
def test_errors_of_evaluation(text: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        value(text)
    assert caught.value.kind == "evaluation"
    assert caught.value.expression == text


def test_memory_is_bounded() -> None:
    big = {"text": "x" * 1000}
    wide = "format('" + "{0}" * 100 + "', github.text)"
    assert len(evaluate(wide, Scope({"github": big}))) == 100_000
    with pytest.raises(ExpressionError, match="maximum allowed memory"):
        evaluate(wide, Scope({"github": big}, limit=100_000))
    deeper = f"format('{'{0}' * 100}', {wide})"
    with pytest.raises(ExpressionError, match="maximum allowed memory"):
        evaluate(f"format('{'{0}' * 100}', {deeper})", Scope({"github": big}))


def test_deep_json_ends_in_an_error() -> None:
    deep = "[" * 900 + "]" * 900
    for text in ("toJSON(fromJSON(x))", "fromJSON(y)"):
        with pytest.raises(ExpressionError):
            evaluate(text, Scope({"x": deep, "y": "[" * 100_000}))


@pytest.mark.timeout(5)
def test_hostile_texts_take_no_time_to_speak_of() -> None:
    huge = "1" * 1_000_000 + "x"
    assert evaluate("x == 1", Scope({"x": huge})) is False
    with pytest.raises(ExpressionError, match="maximum allowed memory"):
        evaluate("join(fromJSON(list), x)", Scope({"x": huge, "list": "[" + "1," * 100_000 + "1]"}))
    with pytest.raises(ExpressionError):
        evaluate("1" * 20_000 + "x", Scope({}))


def test_functions_come_from_the_caller() -> None:
    assert value("hashFiles('a', 'b')", hashFiles=lambda *patterns: "-".join(patterns)) == "a-b"
    with pytest.raises(ExpressionError, match="Too few"):
        value("HASHFILES()", hashFiles=lambda *_: "")


def test_a_context_that_may_be_named_but_has_no_value_is_null() -> None:
    assert evaluate("steps.x.outputs.y", Scope({}, allowed=["steps"])) is None


def test_a_scope_can_be_extended_without_changing_it() -> None:
    scope = Scope({"env": {"A": "1"}}, status_functions("success"))
    wider = scope.extended({"ENV": {"A": "2"}}, status_functions("failure"))
    assert (evaluate("env.A", scope), evaluate("env.A", wider)) == ("1", "2")
    assert (evaluate("success()", scope), evaluate("success()", wider)) == (True, False)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("${{ inputs.count }}", "3"),
        ("a ${{ inputs.count }}-${{ inputs.deploy }} b", "a 3-true b"),
        ("${{ '}}' }}", "}}"),
        ("${{ github.missing }}", ""),
        ("$ {{ x }}", "$ {{ x }}"),
        ("${{ '${{ x }}' }}", "${{ x }}"),
    ],
)
def test_interpolation(text: str, expected: str) -> None:
    assert interpolate(text, Scope(CONTEXTS)) == expected


@pytest.mark.parametrize("text", ["${{ 1", "a ${{ '}}", "${{ }}", "${{ 1 }} ${{ x }}"])
def test_interpolation_refuses(text: str) -> None:
    with pytest.raises(ExpressionError):
        interpolate(text, Scope(CONTEXTS))


def test_resolving_keeps_kinds_where_the_whole_value_is_one_expression() -> None:
    data = {
        "n": "${{ inputs.count }}",
        "s": "n=${{ inputs.count }}",
        "list": ["${{ github.event.labels.*.name }}", 1],
        "${{ inputs.count }}": None,
        "${{ insert }}": "${{ fromJSON('{\"x\": 1}') }}",
    }
    assert resolve(data, Scope(CONTEXTS)) == {
        "n": 3,
        "s": "n=3",
        "list": [["bug", "docs"], 1],
        "3": None,
        "x": 1,
    }


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        (None, "success()"),
        ("", "success()"),
        ("${{ github.ref == 'x' }}", "success() && (github.ref == 'x')"),
        ("always()", "always()"),
        ("true || 'success()'", "success() && (true || 'success()')"),
        ("a || FAILURE()", "a || FAILURE()"),
        ("x[success()]", "x[success()]"),
    ],
)
def test_conditions_imply_success(text: str | None, whole: str) -> None:
    assert normalised(text) == whole
    assert normalised(whole) == whole


@pytest.mark.parametrize(
    ("text", "status", "expected"),
    [
        (None, "success", True),
        (None, "failure", False),
        ("true", "failure", False),
        (True, "success", True),
        ("always()", "cancelled", True),
        ("failure()", "failure", True),
        ("failure()", "cancelled", False),
        ("!cancelled()", "cancelled", False),
        ("${{ inputs.deploy && failure() }}", "failure", True),
        ("github.ref == 'refs/heads/dev'", "success", False),
    ],
)
def test_conditions(text: str | bool | None, status: str, expected: bool) -> None:
    assert condition(text, Scope(CONTEXTS, status_functions(status))) is expected


@given(st.text(alphabet="()[].,!&|=<>*'\" ab1-+{}$\t\n0x", max_size=40))
def test_any_text_gives_a_value_or_an_expression_error(text: str) -> None:
    with suppress(ExpressionError):
        evaluate(text, Scope({"a": {"b": [1]}}))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(10**12), 10**12) | st.text(), st.lists, max_leaves=8
    )
)
def test_json_there_and_back(data: Any) -> None:
    assert evaluate("fromJSON(toJSON(x))", Scope({"x": [data]})) == [data]


def test_numbers_are_doubles() -> None:
    assert evaluate("x == 9007199254740993", Scope({"x": 9007199254740992})) is True
    assert evaluate("x", Scope({"x": math.inf})) == math.inf
    assert evaluate("x > 1", Scope({"x": 10**400})) is True
