"""What `windlass run` draws, from events alone."""

from __future__ import annotations

from typing import Any

import pytest

from windlass.cli.running.model import Model, clean, said
from windlass.cli.running.plain import Plain
from windlass.cli.running.tree import final, frame

NOW = 1000.0


def begun(jobs: int) -> list[dict[str, Any]]:
    listed = [
        {"job": f"1.j{n}.1", "key": f"j{n}", "name": f"job {n}", "needs": [], "asked": True}
        for n in range(jobs)
    ]
    head = {"kind": "run.started", "at": NOW, "run": 1, "workflow": "CI", "path": "ci.yml", "event": "push"}
    return [head | {"jobs": listed}]


def started(job: str) -> list[dict[str, Any]]:
    step = {"job": job, "step": 1, "at": NOW, "name": "Test"}
    return [{"kind": "job.started", "job": job, "at": NOW}, {"kind": "step.started", **step}]


def ended(job: str, conclusion: str) -> dict[str, Any]:
    return {"kind": "job.finished", "job": job, "conclusion": conclusion, "seconds": 1.0, "reason": None}


def model_of(*events: Any) -> Model:
    model = Model()
    for group in events:
        for event in group if isinstance(group, list) else [group]:
            model.apply(event)
    return model


@pytest.mark.parametrize("height", [4, 8, 20, 100])
def test_the_tree_never_exceeds_the_screen_and_what_runs_or_failed_is_on_it(height: int) -> None:
    events: list[Any] = [begun(60)]
    events += [ended(f"1.j{n}.1", "success") for n in range(50)]
    events += [ended("1.j50.1", "failure"), started("1.j51.1")]
    lines = [line.plain for line in frame(model_of(*events), height, 60, NOW + 2)]
    assert len(lines) <= height
    assert max(map(len, lines)) <= 60
    shown = "\n".join(lines)
    assert "✗ job 50" in shown
    assert "job 51  2.00 s" in shown
    assert ("✓ 50 success" in shown) == (height < 60)


def test_what_stays_is_folded_where_it_is_too_much() -> None:
    events = [begun(60), [ended(f"1.j{n}.1", "failure" if n == 7 else "success") for n in range(60)]]
    assert [line.plain for line in final(model_of(*events), 30)] == [
        "CI  ci.yml on push", "  ✓ 59 success   ", "  ✗ job 7  1.00 s",
    ]  # fmt: skip
    assert len(final(model_of(*events), 100)) == 61


def test_legs_take_the_place_of_their_job_and_called_jobs_come_behind_their_caller() -> None:
    legs = [{"job": f"1.j0~{n}.1", "key": f"j0~{n}", "name": f"job 0 ({n})"} for n in (1, 2)]
    ready = {"kind": "job.ready", "run": 1, "job": "1.j0.1", "legs": legs}
    inner = [{"job": "1.j1.a.1", "key": "j1.a", "name": "job 1 / a"}]
    called = {"kind": "job.called", "at": NOW, "run": 1, "job": "1.j1.1", "jobs": inner}
    model = model_of(begun(3), ready, called)
    assert [job.name for job in model.runs[1].jobs.values()] == [
        "job 0 (1)", "job 0 (2)", "job 1", "job 1 / a", "job 2",
    ]  # fmt: skip
    assert model.runs[1].jobs["1.j1.a.1"].depth == 1


def test_output_of_a_step_below_it_without_what_the_file_says() -> None:
    lines = ["##[group]Run x", "x", "##[endgroup]", "one", "two\x1b[31m red", "a\rb", "three", "four"]
    logs = [{"kind": "log", "job": "1.j0.1", "step": 1, "line": line} for line in lines]
    shown = [line.plain for line in frame(model_of(begun(1), started("1.j0.1"), logs), 50, 80, NOW)]
    assert [line.strip() for line in shown[3:]] == ["│ b", "│ three", "│ four"]


def test_logs_cannot_move_the_cursor() -> None:
    assert clean("##[error]a\x07b\x9bc") == "abc"
    assert said(["##[group]Run a", "a", "##[endgroup]", "b"]) == ["b"]
    assert said(["a", "##[group]mine", "b", "##[endgroup]", "c"]) == [
        "a",
        "##[group]mine",
        "b",
        "##[endgroup]",
        "c",
    ]


def test_plain_lines_begin_with_job_and_step() -> None:
    said_lines: list[str] = []
    plain = Plain(said_lines.append)
    for event in [*begun(1), *started("1.j0.1")]:
        plain.tell(event)
    plain.tell({"kind": "log", "job": "1.j0.1", "step": 1, "line": "hello"})
    plain.tell(ended("1.j0.1", "failure") | {"reason": {"text": "no luck"}})
    assert said_lines == ["job 0 | started", "job 0 | Test | hello", "job 0 | FAILED 1.00 s: no luck"]
