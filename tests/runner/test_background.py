"""Steps in the background, on host and in the sandbox, by the real runner."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest

from windlass.runner.background import plan_all
from windlass.runner.errors import RunnerError

if TYPE_CHECKING:
    from runner.conftest import Forge, Ran


def background(text: str, id: str, **fields: Any) -> dict[str, Any]:  # noqa: A002
    return {"id": id, "run": text, "background": True, **fields}


def names(ran: Ran) -> dict[str, dict[str, Any]]:
    """Steps by their names, with how they ended."""
    ran.wait()
    ended = {event["step"]: event for event in ran.of("step.finished")}
    return {event["name"]: ended[event["step"]] | event for event in ran.of("step.started")}


def test_the_next_step_begins_at_once_and_wait_waits(forge: Forge) -> None:
    ran = forge.run(
        background("until test -e go; do sleep 0.02; done; echo done > done", "one", name="one"),
        {"run": "test ! -e done; touch go", "name": "beside"},
        {"id": "__wait", "wait": ["one"], "name": "Wait"},
        {"run": "cat done", "name": "after"},
    )
    assert ran.conclusion == "success", ran.everything
    assert ran.printed(4) == "done\n"
    assert "one: success" in ran.log(3)
    steps = names(ran)
    assert steps["one"]["at"] < steps["beside"]["at"]


def test_what_it_did_is_seen_after_the_wait_and_not_before(forge: Forge) -> None:
    show = 'echo "${X-unset} ${{ steps.one.outputs.y }} ${{ steps.one.outcome }} ${PATH%%:*}"'
    ran = forge.run(
        background(
            "echo X=1 >> $GITHUB_ENV; echo y=2 >> $GITHUB_OUTPUT; echo /added >> $GITHUB_PATH; touch done",
            "one",
        ),
        {"run": f"until test -e done; do sleep 0.02; done; sleep 0.2; {show}"},
        {"id": "__wait-all", "wait-all": True},
        {"run": show},
    )
    assert ran.conclusion == "success", ran.everything
    assert ran.printed(2).startswith("unset   ")
    assert "/added" not in ran.printed(2)
    assert ran.printed(4) == "1 2 success /added\n"


def test_steps_side_by_side_have_their_own_logs_outputs_and_variables(forge: Forge) -> None:
    count = 12  # more than run at a time
    text = "for i in $(seq 200); do echo {n} $i; done; echo v={n} >> $GITHUB_OUTPUT; echo V{n}={n} >> $GITHUB_ENV"
    group = [{"id": f"s{n}", "run": text.format(n=n)} for n in range(count)]
    every = " ".join(f"${{{{ steps.s{n}.outputs.v }}}}$V{n}" for n in range(count))
    ran = forge.run({"id": "__parallel", "parallel": group}, {"run": f"echo {every}"})
    assert ran.conclusion == "success", ran.everything
    for n in range(count):
        assert ran.printed(n + 1) == "".join(f"{n} {i}\n" for i in range(1, 201))
    assert ran.printed(count + 2) == " ".join(f"{n}{n}" for n in range(count)) + "\n"
    assert names(ran)["Parallel group"]["conclusion"] == "success"


def test_at_most_ten_run_at_a_time(host_forge: Forge) -> None:
    text = "mkdir -p now; touch now/{n}; sleep 0.3; ls now | wc -l; rm now/{n}"
    group = [{"id": f"s{n}", "run": text.format(n=n)} for n in range(14)]
    ran = host_forge.run({"id": "__parallel", "parallel": group})
    seen = [int(ran.printed(n + 1)) for n in range(14)]
    assert 1 < max(seen) <= 10, seen


def test_a_failure_counts_when_it_is_waited_for(forge: Forge) -> None:
    ran = forge.run(
        background("touch failed; exit 3", "bad", name="bad"),
        {"run": "until test -e failed; do sleep 0.02; done; sleep 0.1", "name": "still"},
        {"id": "held", "wait": ["bad"], "name": "Wait"},
        {"run": "echo never", "name": "skipped"},
        {"run": "echo ${{ steps.bad.outcome }} ${{ steps.held.outcome }}", "if": "always()"},
    )
    steps = names(ran)
    assert ran.conclusion == "failure"
    assert steps["still"]["conclusion"] == "success"
    assert steps["Wait"]["conclusion"] == "failure"
    assert steps["skipped"]["conclusion"] == "skipped"
    assert ran.printed(5) == "failure failure\n"


def test_a_failure_counts_though_nobody_waits(forge: Forge) -> None:
    ran = forge.run(background("exit 3", "bad"), {"run": "true"})
    assert ran.conclusion == "failure"
    assert names(ran)["Wait for all background steps"]["conclusion"] == "failure"
    assert "exit code 3" in ran.wait()["reason"]


def test_continue_on_error_of_the_step_itself(forge: Forge) -> None:
    ran = forge.run(
        background("exit 3", "bad", **{"continue-on-error": True}), {"id": "__wait", "wait": "bad"}
    )
    assert ran.conclusion == "success"
    assert ran.step(1)["outcome"] == "failure"


def test_the_job_waits_for_what_nobody_waits_for_and_then_runs_post_steps(forge: Forge) -> None:
    ran = forge.run(background("sleep 0.4; echo late", "slow"), {"run": "true"})
    assert ran.printed(1) == "late\n"
    assert ran.conclusion == "success"


def test_cancel_ends_it_in_good_order_and_the_job_goes_on(forge: Forge) -> None:
    ran = forge.run(
        background(
            "trap 'echo bye; exit 0' INT; touch up; while :; do sleep 0.05; done", "server", name="server"
        ),
        {"run": "until test -e up; do sleep 0.02; done"},
        {"id": "__cancel", "cancel": "server", "name": "Cancel"},
        {"run": "echo ${{ steps.server.outcome }}"},
    )
    steps = names(ran)
    assert ran.conclusion == "success", ran.everything
    assert "bye" in ran.printed(1)
    assert steps["server"]["conclusion"] == "cancelled"
    assert steps["Cancel"]["conclusion"] == "success"
    assert ran.printed(4) == "cancelled\n"


def test_cancel_reaches_a_step_that_would_run_always_and_comes_after_a_failure(forge: Forge) -> None:
    ran = forge.run(
        background("touch up; sleep 600", "server", **{"if": "always()"}),
        {"run": "until test -e up; do sleep 0.02; done; exit 1"},
        {"id": "__cancel", "cancel": "server", "name": "Cancel"},
    )
    assert ran.conclusion == "failure"
    assert ran.step(1)["conclusion"] == "cancelled"


def test_one_that_waits_for_its_turn_is_cancelled_without_beginning(host_forge: Forge) -> None:
    group = [background("until test -e go; do sleep 0.02; done", f"s{n}") for n in range(10)]
    ran = host_forge.run(
        *group, background("touch began", "late"), {"id": "__cancel", "cancel": "late"},
        {"run": "touch go"}, {"id": "__wait-all", "wait-all": True}, {"run": "test ! -e began"},
    )  # fmt: skip
    assert ran.conclusion == "success", ran.everything
    assert ran.step(11)["conclusion"] == "cancelled"


def test_cancellation_of_the_job_reaches_all_of_them(forge: Forge) -> None:
    ran = forge.start(
        [
            background("trap 'echo told; exit 1' INT; touch up; while :; do sleep 0.05; done", "one"),
            background("touch up2; sleep 600", "two"),
            {"run": "until test -e up -a -e up2; do sleep 0.02; done"},
            {"id": "__wait-all", "wait-all": True},
            {"run": "echo always", "if": "always()"},
        ]
    )
    ran.wait("step.started", step=4)
    began = time.monotonic()
    os.kill(ran.pid, signal.SIGTERM)
    assert ran.wait(timeout=30)["conclusion"] == "cancelled"
    assert time.monotonic() - began < 7  # long before SIGTERM comes: SIGINT was enough
    assert "told" in ran.printed(1)
    assert ran.printed(5) == "always\n"


def test_its_own_time_limit(forge: Forge) -> None:
    ran = forge.run(
        background("sleep 600", "slow", **{"timeout-minutes": 0.005}),
        {"id": "__wait", "wait": ["slow"]},
    )
    assert ran.conclusion == "failure"
    assert "timed out" in ran.log(1)


def test_the_time_limit_of_the_job(forge: Forge) -> None:
    ran = forge.run(
        background("sleep 600", "slow"),
        {"id": "__wait", "wait": ["slow"]},
        definition={"timeout-minutes": 0.01},
    )
    assert ran.conclusion == "timed_out"


def test_a_mask_of_one_hides_in_all(forge: Forge) -> None:
    ran = forge.run(
        background("echo ::add-mask::horse-battery; touch masked; sleep 0.3; echo horse-battery", "one"),
        {"run": "until test -e masked; do sleep 0.02; done; sleep 0.1; echo the horse-battery"},
    )
    assert ran.conclusion == "success"
    assert ran.printed(2) == "the ***\n"
    assert "horse" not in ran.printed(1)


def test_an_action_in_the_background_and_its_post_step(forge: Forge) -> None:
    lines = ["name: x", "runs:", "  using: composite", "  steps:"]
    lines += [
        "    - {run: echo in; sleep 0.2, shell: bash}",
        "    - {run: echo A=b >> $GITHUB_ENV, shell: bash}",
    ]
    ran = forge.run(
        {"run": "\n".join(["mkdir act; cat > act/action.yml <<'X'", *lines, "X"])},
        {"id": "act", "uses": "./act", "background": True},
        {"id": "__wait", "wait": ["act"]},
        {"run": "echo $A"},
    )
    assert ran.conclusion == "success", ran.everything
    assert ran.printed(4) == "b\n"
    assert "in\n" in ran.log(2)


def test_plan() -> None:
    planned = plan_all(
        [
            {"id": "a", "run": "true", "background": True},
            {"id": "", "parallel": [{"id": "__run", "run": "x"}, {"id": "__run_2", "run": "y"}]},
            {"id": "__run", "run": "z"},
            {"id": "w", "wait": ["A"]},
            {"id": "c", "cancel": "a"},
        ]
    )  # fmt: skip
    assert [(one.id, one.background, one.kind) for one in planned] == [
        ("a", True, ""), ("__run", True, ""), ("__run_2", True, ""), ("", False, "wait"), ("__run", False, ""),
        ("w", False, "wait"), ("c", False, "cancel"),
    ]  # fmt: skip
    keys = [one.key for one in planned[:3]]
    assert len(set(keys)) == 3
    assert planned[3].targets == tuple(keys[1:])
    assert planned[5].targets == planned[6].targets == (keys[0],)


def test_steps_about_the_background_have_no_place_in_a_group() -> None:
    with pytest.raises(RunnerError, match="cannot stand here"):
        plan_all([{"parallel": [{"id": "w", "wait": ["a"]}]}])
