from __future__ import annotations

from windlass.syntax import Diagnostic, Span, render


def test_carets_stand_under_the_span() -> None:
    found = Diagnostic(
        "unknown-key", "error", "no such key", "ci.yaml", Span(2, 3, 2, 7), "https://example.test/k"
    )
    assert render(found, "on: push\n  jbos: {}\n") == (
        "ci.yaml:2:3: error: no such key [unknown-key]\n"
        " 2 |   jbos: {}\n"
        "   |   ^^^^\n"
        "   = see https://example.test/k"
    )


def test_wide_characters_and_tabs_do_not_shift_the_carets() -> None:
    text = "\tname: 日本 x\n"
    drawn = render(Diagnostic("c", "warning", "m", "f", Span(1, 11, 1, 12)), text).splitlines()
    assert drawn[1] == " 1 |  name: 日本 x"
    assert drawn[2] == "   | " + " " * 12 + "^"


def test_a_span_outside_the_text_draws_no_line() -> None:
    assert render(Diagnostic("c", "error", "m", "f", Span(9, 1, 9, 2)), "a") == "f:9:1: error: m [c]"
