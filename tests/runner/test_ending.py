"""Cancellation, timeouts, and what is left when a job is over."""

from __future__ import annotations

import errno
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

from windlass.runner.main import _reason

if TYPE_CHECKING:
    from runner.conftest import Forge, Ran


def cancel_when(ran: Ran, marker: str, step: int = 1) -> float:
    """Send SIGTERM once the step has printed the marker; return when."""
    until = time.monotonic() + 20
    while marker not in ran.printed(step):
        assert time.monotonic() < until, ran.everything
        time.sleep(0.005)
    os.kill(ran.pid, signal.SIGTERM)
    return time.time()


def alive(pid: int) -> bool:
    try:
        with Path(f"/proc/{pid}/stat").open() as stat:
            return stat.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def gone(pid: int, timeout: float = 5) -> bool:
    until = time.monotonic() + timeout
    while alive(pid) and time.monotonic() < until:
        time.sleep(0.01)
    return not alive(pid)


def test_cancelled_within_a_second_and_always_steps_run(forge: Forge) -> None:
    ran = forge.start(
        [
            {"run": "echo begun; sleep 60"},
            {"run": "echo never"},
            {"run": "echo tidied ${{ job.status }}", "if": "always()"},
            {"run": "echo told", "if": "cancelled()"},
            {"run": "echo no", "if": "failure()"},
        ]
    )
    asked = cancel_when(ran, "begun")
    end = ran.wait()
    assert end["conclusion"] == "cancelled"
    assert end["at"] - asked < 1.0
    outcomes = [event["outcome"] for event in ran.of("step.finished")][1:-1]
    assert outcomes == ["cancelled", "skipped", "success", "success", "skipped"]
    assert ran.printed(3) == "tidied cancelled\n"
    assert gone(ran.pid)


def test_a_step_hears_of_it_first_by_interrupt(forge: Forge) -> None:
    ran = forge.start(
        [{"run": "trap 'echo caught; exit 3' INT\necho begun\nwhile true; do sleep 0.05; done"}]
    )
    cancel_when(ran, "begun")
    assert ran.conclusion == "cancelled"
    assert "caught" in ran.printed(1)


def test_the_running_step_goes_on_where_its_condition_holds(forge: Forge) -> None:
    ran = forge.start([{"run": "echo begun; sleep 0.4; echo done", "if": "always()"}, {"run": "echo never"}])
    cancel_when(ran, "begun")
    assert ran.conclusion == "cancelled"
    assert "done" in ran.printed(1)
    assert ran.step(1)["outcome"] == "success"
    assert ran.step(2)["outcome"] == "skipped"


def test_a_second_signal_ends_everything_at_once(forge: Forge) -> None:
    ran = forge.start(
        [
            {"run": "trap '' INT TERM\necho begun\nsleep 60 & wait; sleep 60"},
            {"run": "echo no", "if": "always()"},
        ]
    )
    cancel_when(ran, "begun")
    time.sleep(0.2)
    assert not ran.of("job.finished")
    os.kill(ran.pid, signal.SIGTERM)
    asked = time.time()
    assert ran.wait()["at"] - asked < 1.0
    assert ran.conclusion == "cancelled"
    assert ran.step(2)["outcome"] == "skipped"


def test_the_escalation_is_that_of_github() -> None:
    from windlass.runner import supervise

    assert supervise.ESCALATION == ((0.0, signal.SIGINT), (7.5, signal.SIGTERM), (10.0, signal.SIGKILL))


def test_a_step_that_takes_too_long_fails(forge: Forge) -> None:
    ran = forge.run(
        {"run": "echo begun; sleep 60", "timeout-minutes": 0.005, "name": "Slow"},
        {"run": "echo after", "if": "failure()"},
    )
    assert ran.conclusion == "failure"
    assert ran.step(1)["seconds"] < 2
    assert "'Slow' has timed out after 0.005 minutes" in ran.wait()["reason"]
    assert ran.printed(2) == "after\n"


def test_a_job_that_takes_too_long_is_timed_out(forge: Forge) -> None:
    ran = forge.run(
        {"run": "sleep 60"},
        {"run": "echo no"},
        {"run": "echo yes", "if": "always()"},
        definition={"timeout-minutes": "${{ fromJSON('0.005') }}"},
    )
    assert ran.conclusion == "timed_out"
    assert ran.step(2)["outcome"] == "skipped"
    assert ran.printed(3) == "yes\n"
    assert "0.005" in ran.wait()["reason"]


def test_always_steps_have_a_limit_too(forge: Forge) -> None:
    ran = forge.start(
        [{"run": "echo begun; sleep 60"}, {"run": "sleep 60", "if": "always()"}],
        definition={"cancel-timeout-minutes": 0.005},
    )
    asked = cancel_when(ran, "begun")
    assert ran.conclusion == "cancelled"
    assert ran.wait()["at"] - asked < 3


def test_no_process_outlives_its_job(forge: Forge) -> None:
    ran = forge.script("sleep 300 & setsid sleep 301 & (trap '' TERM INT HUP; sleep 302) & echo started")
    assert ran.conclusion == "success"
    for number in (300, 301, 302):
        assert not [pid for pid in processes(f"sleep\0{number}\0") if marked(pid, ran)]


def test_what_a_job_started_dies_with_its_runner(forge: Forge) -> None:
    ran = forge.start([{"run": "echo begun; sleep 444.25"}])
    until = time.monotonic() + 10
    while not (found := processes("sleep\000444.25\0")):
        assert time.monotonic() < until
        time.sleep(0.01)
    os.kill(ran.pid, signal.SIGKILL)
    assert all(gone(pid) for pid in found)


def processes(command: str) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if command in path.read_text():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def marked(pid: int, ran: Ran) -> bool:
    try:
        return ran.directory.name in Path(f"/proc/{pid}/environ").read_text()
    except OSError:
        return False


def test_a_job_does_not_need_its_server(forge: Forge) -> None:
    """There is no socket to nudge and no server to ask: the record is complete all the same."""
    ran = forge.script("echo alone")
    assert not (forge.data / "run" / "jobs.sock").exists()
    assert ran.conclusion == "success"


def test_a_full_disk_is_the_reason_that_is_given() -> None:
    assert "No space left on device" in _reason(OSError(errno.ENOSPC, "x", "/secret/path"))
    assert (
        _reason(OSError(errno.EIO, "a secret"))
        == "the runner itself failed (OSError); see runner.log of the job"
    )
