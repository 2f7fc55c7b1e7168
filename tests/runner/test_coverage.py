from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from windlass.runner.actions.coverage import Gate, Lines, gate, read, together
from windlass.runner.errors import StepError

if TYPE_CHECKING:
    from runner.conftest import Forge, Server

XML = '<?xml version="1.0" ?>\n<!DOCTYPE coverage>\n<coverage version="7.1" lines-valid="200" lines-covered="150">'


@pytest.mark.parametrize(
    ("name", "text", "percent"),
    [
        ("coverage.xml", XML, 75.0),
        ("coverage.xml", '<coverage line-rate="0.875" branch-rate="0">', 87.5),
        ("coverage.json", '{"totals": {"covered_lines": 9, "num_statements": 12}}', 75.0),
        ("coverage.json", '{"totals": {"percent_covered": 66.5}}', 66.5),
        ("lcov.info", "SF:a\nLF:10\nLH:9\nend_of_record\nSF:b\nLF:10\nLH:1\nend_of_record\n", 50.0),
    ],
)
def test_reports_are_read(name: str, text: str, percent: float) -> None:
    found = read(name, text)
    assert found is not None
    assert found.percent == percent


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("coverage.xml", "<html>"),
        ("coverage.xml", '<coverage lines-valid="many">'),
        ("coverage.json", "[]"),
        ("coverage.json", '{"totals": 3}'),
        ("coverage.json", "{"),
        ("notes.txt", "LF:10\nLH:9\n"),
    ],
)
def test_what_is_no_report_is_none(name: str, text: str) -> None:
    assert read(name, text) is None


def test_several_reports_count_by_their_lines() -> None:
    assert together([Lines(150, 200), Lines(0, 100)]).percent == 50.0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("coverage: {status: {project: {default: {target: 80%, threshold: 2%}}}}", Gate(78.0, "x")),
        (
            "coverage: {status: {project: {default: {target: 80, informational: true}}}}",
            Gate(80.0, "x", True),
        ),
        ("coverage: {status: {project: {target: 90%}}}", Gate(90.0, "x")),
        ("coverage: {status: {project: {default: {target: auto}}}}", None),
        ("coverage: {status: {project: {default: {target: 80%, enabled: false}}}}", None),
        ("coverage: {status: {project: true}}", None),
        ("comment: false", None),
        ("", None),
    ],
)
def test_the_gate_of_a_codecov_file(text: str, expected: Gate | None) -> None:
    found = gate("codecov.yml", text)
    assert (found is None) == (expected is None)
    if found is not None and expected is not None:
        assert (found.minimum, found.informational) == (expected.minimum, expected.informational)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: &a [1]\nb: *a", "aliases"),
        ("a: [", "cannot be read"),
        ("coverage: {status: {project: {default: {target: high}}}}", "neither a number"),
    ],
)
def test_a_codecov_file_that_cannot_be_read_is_said(text: str, message: str) -> None:
    with pytest.raises(StepError, match=message):
        gate("codecov.yml", text)


def codecov(forge: Forge, script: str, **inputs: Any) -> Any:
    return forge.run({"run": script}, {"uses": "codecov/codecov-action@v5", "id": "c", "with": inputs})


def test_reports_are_found_kept_and_judged(forge: Forge, server: Server) -> None:
    script = f"mkdir -p api/node_modules/x\nprintf '%s' '{XML}' > api/coverage.xml\n"
    script += "printf 'LF:100\\nLH:0\\n' > api/node_modules/x/lcov.info\n"
    ran = codecov(forge, script, flags="unit tests")
    assert ran.conclusion == "success", ran.everything
    assert ran.step(2)["outputs"]["percent"] == "75.0"
    assert [event["percent"] for event in ran.of("coverage")] == [75.0]
    assert list(server.artifacts) == ["coverage-test-unit-tests"]
    gated = script + "echo 'coverage: {status: {project: {default: {target: 76%}}}}' > codecov.yml\n"
    failed = codecov(forge, gated)
    assert failed.conclusion == "failure"
    assert "75.0 % is less than the 76.0 % of codecov.yml" in failed.wait()["reason"]


def test_what_is_not_found_fails_only_where_it_is_to(forge: Forge, server: Server) -> None:
    warned = codecov(forge, "true", files="cov/coverage.xml")
    assert warned.conclusion == "success"
    messages = [event["message"] for event in warned.of("annotation", level="warning")]
    assert messages[0] == "cov/coverage.xml is not there"
    failed = codecov(forge, "true", fail_ci_if_error="true")
    assert "No coverage reports were found" in failed.wait()["reason"]
    quiet = codecov(forge, "true", fail_ci_if_error="true", handle_no_reports_found="true")
    assert quiet.conclusion == "success"
    assert server.artifacts == {}


def test_inputs_that_would_change_the_figure_are_refused(host_forge: Forge) -> None:
    ran = codecov(host_forge, "true", gcov_args="-x")
    assert "input gcov_args" in ran.wait()["reason"]
