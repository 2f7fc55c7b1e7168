from __future__ import annotations

from typing import Any

import pytest

from windlass.workflow import JobResult, Leg, PlannedJob, combine, conclude, next_legs, parse


def leg(
    key: str, state: Any, conclusion: str | None = None, outputs: dict[str, str] | None = None, **job: Any
) -> Leg:
    planned = PlannedJob(key, "a", key, {}, [], {}, {}, **job)
    return Leg(planned, state, conclusion, outputs or {})


def test_all_legs_start_at_once_without_a_limit() -> None:
    assert next_legs([leg("1", "queued"), leg("2", "queued")]).start == ("1", "2")


def test_max_parallel_counts_those_that_run() -> None:
    found = next_legs(
        [leg(str(n), state, max_parallel=2) for n, state in enumerate(["running", "queued", "queued"])]
    )
    assert found.start == ("1",)
    assert list(found.waiting) == ["2"]
    assert "max-parallel is 2" in found.waiting["2"]
    full = next_legs([leg(str(n), state, max_parallel=1) for n, state in enumerate(["running", "queued"])])
    assert full.start == ()


@pytest.mark.parametrize("conclusion", ["failure", "timed_out"])
def test_fail_fast_ends_the_others(conclusion: str) -> None:
    legs = [leg("1", "completed", conclusion), leg("2", "running"), leg("3", "queued")]
    found = next_legs(legs)
    assert (found.start, found.cancel) == ((), ("2", "3"))
    assert "'1' failed" in found.reason


def test_without_fail_fast_or_with_tolerance_the_others_go_on() -> None:
    tolerant: tuple[dict[str, Any], ...] = ({"fail_fast": False}, {"continue_on_error": True})
    for options in tolerant:
        legs = [
            leg("1", "completed", "failure", **options),
            leg("2", "running"),
            leg("3", "queued", **options),
        ]
        assert next_legs(legs).cancel == ()
        assert next_legs(legs).start == ("3",)
    assert next_legs([leg("1", "completed", "cancelled"), leg("2", "queued")]).cancel == ()


@pytest.mark.parametrize(
    ("conclusions", "result"),
    [
        (["success", "success"], "success"),
        (["success", "failure", "cancelled"], "failure"),
        (["success", "cancelled"], "cancelled"),
        (["success", "timed_out"], "cancelled"),
        (["skipped", "skipped"], "skipped"),
        (["skipped", "success"], "success"),
    ],
)
def test_the_result_of_a_job(conclusions: list[str], result: str) -> None:
    combined = combine([leg(str(n), "completed", item) for n, item in enumerate(conclusions)])
    assert combined is not None
    assert combined.result == result


def test_a_tolerated_failure_counts_as_success() -> None:
    assert combine([leg("1", "completed", "failure", continue_on_error=True)]) == JobResult("success")


def test_no_result_before_the_last_leg() -> None:
    assert combine([leg("1", "completed", "failure"), leg("2", "running")]) is None


def test_outputs_of_the_last_leg_that_set_them() -> None:
    combined = combine(
        [
            leg("1", "completed", "success", {"x": "1", "y": "1", "z": ""}),
            leg("2", "completed", "success", {"x": "2", "y": ""}),
        ]
    )
    assert combined is not None
    assert combined.outputs == {"x": "2", "y": "1", "z": ""}


def test_the_end_of_a_run() -> None:
    one = parse("on: push\njobs:\n  a: {runs-on: x}\n  b: {runs-on: x}\n", "ci.yaml").workflow
    assert one is not None
    assert conclude(one, {"a": JobResult("success")}) is None
    assert conclude(one, {"a": JobResult("success"), "b": JobResult("skipped")}) == "success"
    assert conclude(one, {"a": JobResult("skipped"), "b": JobResult("skipped")}) == "skipped"
    assert conclude(one, {"a": JobResult("failure"), "b": JobResult("cancelled")}) == "failure"
    assert (
        conclude(one, {"a": JobResult("success"), "b": JobResult("success")}, cancelled=True) == "cancelled"
    )
