from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from windlass.syntax import Diagnostic, Span
from windlass.workflow.lint import (
    RULES,
    Chosen,
    as_github,
    as_json,
    as_sarif,
    as_text,
    choose,
    lint,
    summary,
)
from workflow.lint.cases import workflow

SOURCE = workflow(
    "issues", "run: echo ${{ github.event.issue.title }}", "uses: acme/x@v1", "uses: actions/checkout@v4"
)
PATH = ".github/workflows/ä b.yml"


def chosen(
    severity: Any = "info", ignore: frozenset[str] = frozenset(), source: str = SOURCE
) -> list[Chosen]:
    return [choose(lint(source, PATH), severity, ignore)]


def plain(text: str, role: str) -> str:
    return text


def test_what_is_shown_is_chosen_and_the_rest_is_counted() -> None:
    assert summary(chosen()) == "1 error, 1 warning, 1 note in 1 file"
    assert summary(chosen("warning")) == "1 error, 1 warning in 1 file (1 milder not shown: --severity info)"
    assert summary(chosen("error")) == "1 error in 1 file (2 milder not shown: --severity info)"
    ignored = chosen("error", frozenset({"script-injection"}))
    assert (summary(ignored), ignored[0].errors()) == (
        "1 file, nothing wrong (2 milder not shown: --severity info, 1 ignored)",
        0,
    )


def test_text_has_a_caret_under_the_expression() -> None:
    lines = as_text(chosen("error"), plain).splitlines()
    assert lines[0].startswith(
        f"{PATH}:6:19: error: `github.event.issue.title` is text that anyone can write"
    )
    assert lines[0].endswith("[script-injection]")
    assert lines[1] == " 6 |       - run: echo ${{ github.event.issue.title }}"
    assert lines[2] == "   |                   ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^"


def test_text_is_painted_by_role() -> None:
    painted = as_text(chosen("error"), lambda text, role: f"<{role}>{text}</{role}>")
    assert "<error>error</error>" in painted
    assert "<code>[script-injection]</code>" in painted
    assert painted.count("<error>   | ") == 1


def test_a_file_cannot_steer_the_terminal() -> None:
    text = as_text(chosen(source="on: push\njobs: \x1b[2J\x9b31m\u202e\n"), plain)
    assert "yaml-syntax" in text
    assert all(char.isprintable() or char == "\n" for char in text)


def test_annotations_escape_as_github_reads_them() -> None:
    span = Span(1, 2, 1, 4)
    item = Diagnostic("some-code", "info", "50% of\r\na: b, c::d", "a,b:c%.yml", span)
    written = as_github([Chosen("a", "abcdef", (item,))])
    assert written == (
        "::notice file=a%2Cb%3Ac%25.yml,line=1,endLine=1,col=2,endColumn=3,title=some-code::50%25 of%0D%0Aa: b, c::d"
    )


def test_annotations_without_a_place_have_no_line() -> None:
    item = Diagnostic("empty-file", "error", "m", "a.yml")
    assert as_github([Chosen("a.yml", "", (item,))]) == "::error file=a.yml,title=empty-file::m"


def test_json_has_all_that_the_text_has() -> None:
    made = json.loads(as_json(chosen()))
    assert made["files"] == [PATH]
    assert made["summary"] == {"error": 1, "warning": 1, "info": 1, "milder": 0, "ignored": 0}
    first = made["diagnostics"][0]
    assert (first["code"], first["line"], first["column"], first["end_column"]) == (
        "script-injection",
        6,
        19,
        50,
    )
    assert first["link"] == "lint.md#script-injection"


def check_sarif(text: str) -> dict[str, Any]:
    """Check what the schema of SARIF 2.1.0 asks of the properties that are written here."""
    log: dict[str, Any] = json.loads(text)
    assert set(log) <= {"$schema", "version", "runs"}
    assert log["version"] == "2.1.0"
    run: dict[str, Any]
    (run,) = log["runs"]
    assert set(run) <= {"tool", "columnKind", "artifacts", "results"}
    assert run["columnKind"] in {"utf16CodeUnits", "unicodeCodePoints"}
    driver = run["tool"]["driver"]
    assert driver["name"]
    rules = driver["rules"]
    assert len({rule["id"] for rule in rules}) == len(rules)
    for rule in rules:
        assert set(rule) <= {"id", "shortDescription", "help", "defaultConfiguration", "properties"}
        assert rule["shortDescription"]["text"]
        assert rule["help"]["text"]
        assert rule.get("defaultConfiguration", {"level": "none"})["level"] in {
            "none",
            "note",
            "warning",
            "error",
        }
        assert all(isinstance(tag, str) for tag in rule.get("properties", {}).get("tags", []))
        assert 0 <= float(rule.get("properties", {}).get("security-severity", "0.0")) <= 10
    for result in run["results"]:
        assert set(result) == {"ruleId", "ruleIndex", "level", "message", "locations", "partialFingerprints"}
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["level"] in {"note", "warning", "error"}
        assert result["message"]["text"]
        (location,) = result["locations"]
        physical = location["physicalLocation"]
        assert set(physical) <= {"artifactLocation", "region"}
        assert " " not in physical["artifactLocation"]["uri"]
        if region := physical.get("region"):
            assert set(region) == {"startLine", "startColumn", "endLine", "endColumn"}
            assert all(isinstance(value, int) and value >= 1 for value in region.values())
            assert (region["endLine"], region["endColumn"]) > (region["startLine"], region["startColumn"])
        assert all(isinstance(value, str) for value in result["partialFingerprints"].values())
    return run


def test_sarif_is_what_the_schema_says() -> None:
    run = check_sarif(as_sarif(chosen(), "1.2.3"))
    assert [result["level"] for result in run["results"]] == ["error", "warning", "note"]
    location = run["results"][0]["locations"][0]["physicalLocation"]
    assert location["artifactLocation"] == {
        "uri": ".github/workflows/%C3%A4%20b.yml",
        "uriBaseId": "%SRCROOT%",
    }
    assert location["region"] == {"startLine": 6, "startColumn": 19, "endLine": 6, "endColumn": 50}
    assert {rule["id"] for rule in run["tool"]["driver"]["rules"]} == set(RULES)


def test_sarif_has_the_parsers_codes_too_and_tells_equal_lines_apart() -> None:
    source = workflow("push", "uses: acme/x@v1", "uses: acme/x@v1") + "oops: 1\n"
    run = check_sarif(as_sarif(chosen(source=source), "1"))
    assert [result["ruleId"] for result in run["results"]] == ["unpinned-action"] * 2 + ["unexpected-key"]
    prints = [result["partialFingerprints"]["line/v1"] for result in run["results"]]
    assert len(set(prints)) == 3


SAMPLE = (
    SOURCE
    + """  b:
    needs: [a]
    if: ${{ github.event_name == 'x' }} && y
    runs-on: ${{ matrix.os }}
    strategy: {matrix: {os: [a, b], include: [{os: c}]}}
    outputs: {x: "${{ steps.s.outputs.x }}"}
    steps:
      - &anchor {id: s, run: "echo ::set-output name=a::${{ env.X }}", env: {X: "${{ inputs.y }}"}}
      - *anchor
      - parallel: [{run: ls}]
  c: {uses: ./.github/workflows/x.yml, with: {a: 1}, secrets: inherit}
"""
)
PIECES = ["${{", "}}", "\n", "  ", "- ", ": ", "'", '"', "|", ">", "&a ", "*a", "#", "\r\n", "\t"]
PIECES += ["\ufeff", "\x00", "💥", "[", "{", "]", "}"]


@st.composite
def damaged(draw: st.DrawFn) -> str:
    """Return the sample with some stretches cut out, doubled or replaced."""
    text = SAMPLE
    for _ in range(draw(st.integers(1, 6))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 12)))
        text = text[:start] + draw(st.sampled_from(["", text[start:end] * 2, *PIECES])) + text[end:]
    return text


def files(name: str) -> str | None:
    return SAMPLE if name.endswith("x.yml") else None


def check(source: str, path: str) -> None:
    linted = lint(source, path, files)
    lines = source.splitlines()
    for item in linted.diagnostics:
        assert item.message
        assert item.link
        if item.span and lines:
            assert 1 <= item.span.line <= len(lines) + 1
            assert item.span.column >= 1
    shown = [choose(linted, "info", frozenset())]
    as_text(shown, plain)
    as_github(shown)
    json.loads(as_json(shown))
    check_sarif(as_sarif(shown, "1"))


@settings(max_examples=150, deadline=None)
@given(damaged(), st.sampled_from([PATH, "action.yml", "<stdin>"]))
def test_no_damage_makes_it_crash(source: str, path: str) -> None:
    check(source, path)


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=200), st.sampled_from([PATH, "action.yml"]))
def test_no_text_makes_it_crash(source: str, path: str) -> None:
    check(source, path)


def test_depth_and_size_are_bounded() -> None:
    for source in ("runs: " + "[" * 5000, "runs: " + "{a: " * 90 + "1" + "}" * 90, "on: " + "x" * 2_000_000):
        for path in (PATH, "action.yml"):
            check(source, path)
