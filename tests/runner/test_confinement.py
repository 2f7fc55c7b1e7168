"""The sandbox's driver, entered by a fork and with a Python of its own, against what a job may try."""

from __future__ import annotations

import os
import select
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from runner.conftest import isolated
from windlass.runner import bubblewrap, confinement
from windlass.runner.confinement import BubblewrapSandbox
from windlass.runner.errors import SandboxError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runner.conftest import Forge

pytestmark = pytest.mark.integration
ENV = {"PATH": "/usr/bin:/bin"}


@pytest.fixture(params=["entered", "python"])
def sandbox(
    request: pytest.FixtureRequest, sandboxed: Forge, monkeypatch: pytest.MonkeyPatch
) -> Iterator[BubblewrapSandbox]:
    machine = bubblewrap.survey()
    if request.param == "entered" and not machine.enter:
        pytest.skip("sandboxes cannot be entered here")
    monkeypatch.setattr(confinement, "survey", lambda: replace(machine, enter=request.param == "entered"))
    spec = sandboxed.spec()
    job = Path(spec.directory)
    made = BubblewrapSandbox(isolated(spec), data=job.parents[1], job=job)
    yield made
    made.close()
    made.wait()


def run(sandbox: BubblewrapSandbox, script: str, **variables: str) -> tuple[int, str]:
    """Run a script to its end; what it leaves behind may hold its output open."""
    reading, writing = os.pipe()
    source = os.open(os.devnull, os.O_RDONLY)
    argv = ["bash", "-c", script]
    process = sandbox.start(argv, env={**ENV, **variables}, cwd="/tmp", output=writing, source=source)
    os.close(writing)
    os.close(source)
    text = b""
    while (code := process.poll()) is None:
        select.select([process.fileno(), reading], [], [], 30)
        text += _read(reading)
    text += _read(reading)
    process.close()
    os.close(reading)
    return code, text.decode()


def _read(descriptor: int) -> bytes:
    os.set_blocking(descriptor, False)
    try:
        return os.read(descriptor, 1 << 16)
    except BlockingIOError:
        return b""


def test_processes_run_and_end(sandbox: BubblewrapSandbox) -> None:
    assert run(sandbox, "echo $A; pwd; exit 3", A="b") == (3, "b\n/tmp\n")
    assert run(sandbox, "kill -TERM $$") == (-signal.SIGTERM, "")


def test_what_cannot_be_started_is_said(sandbox: BubblewrapSandbox) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for argv, cwd in (
        (["no-such-program"], "/tmp"),
        (["true"], "/nowhere"),
        (["/etc/passwd"], "/"),
        (["/tmp"], "/"),
    ):
        with pytest.raises(SandboxError, match=f"cannot start {argv[0]} in {cwd}: .+"):
            sandbox.start(argv, env=ENV, cwd=cwd, output=null, source=null)
    with pytest.raises(SandboxError, match="Invalid argument"):
        sandbox.start(["true"], env={"A": "\0"}, cwd="/", output=null, source=null)
    os.close(null)
    assert run(sandbox, "echo on")[1] == "on\n"


def test_nothing_of_the_runner_is_open_in_a_process(sandbox: BubblewrapSandbox) -> None:
    secret = os.open("/etc/hostname", os.O_RDONLY)
    os.set_inheritable(secret, True)
    _, shown = run(sandbox, "exec python3 -c 'import os; print(sorted(os.listdir(\"/proc/self/fd\")))'")
    os.close(secret)
    assert shown == "['0', '1', '2', '3']\n"  # 3 is the listing itself


def test_signals_of_the_runner_do_not_rub_off(sandbox: BubblewrapSandbox) -> None:
    _, shown = run(sandbox, "grep -E 'Sig(Blk|Ign)' /proc/self/status")
    _, blocked, _, ignored = shown.split()
    assert int(blocked, 16) == 0
    assert int(ignored, 16) & 0x7FFFFFFF == 0  # 32 and 33 are the C library's own


def test_no_privilege_is_left_or_to_be_gained(sandbox: BubblewrapSandbox) -> None:
    _, shown = run(
        sandbox, "grep -E 'Cap|NoNewPrivs' /proc/self/status; unshare -r true 2>&1; mount -t proc p /mnt 2>&1"
    )
    values = dict(line.split(":\t") for line in shown.splitlines() if ":\t" in line)
    assert {values[f"Cap{name}"] for name in ("Inh", "Prm", "Eff", "Bnd", "Amb")} == {"0" * 16}
    assert values["NoNewPrivs"] == "1"
    assert "mount" in shown


def test_nobody_outside_is_seen_and_process_1_tells_nothing(sandbox: BubblewrapSandbox) -> None:
    mark = "wl-outside-mark"
    os.environ["WINDLASS_TEST_OUTSIDE"] = mark
    try:
        _, shown = run(
            sandbox,
            "for pid in /proc/[0-9]*; do tr '\\0' ' ' < $pid/environ; tr '\\0' ' ' < $pid/cmdline; echo; done",
        )  # fmt: skip
    finally:
        del os.environ["WINDLASS_TEST_OUTSIDE"]
    assert mark not in shown
    assert "pytest" not in shown


def test_the_machines_root_is_not_to_be_had_through_any_process(
    sandbox: BubblewrapSandbox, tmp_path: Path
) -> None:
    (tmp_path / "outside").write_text("x")
    _, shown = run(
        sandbox,
        f"for pid in /proc/[0-9]*; do cat $pid/root{tmp_path}/outside $pid/cwd/../{tmp_path}/outside; done",
    )
    assert shown.count("x\n") == 0
    assert "No such file" in shown


def test_a_job_cannot_end_its_sandbox(sandbox: BubblewrapSandbox) -> None:
    code, _ = run(
        sandbox,
        "for s in INT TERM HUP QUIT USR1 PIPE KILL STOP CONT; do kill -$s 1; done; pkill -9 bash; kill -9 -1; true",
    )
    assert code in {0, -9}
    time.sleep(0.1)
    assert run(sandbox, "echo still")[1] == "still\n"


def test_orphans_are_taken_in_and_end_with_the_sandbox(sandbox: BubblewrapSandbox, tmp_path: Path) -> None:
    code, shown = run(
        sandbox,
        "(setsid sleep 987654 > /dev/null 2>&1 &); (true &); sleep 0.2; ps -eo ppid,stat,args | grep -v grep",
    )
    assert code == 0
    assert any(line.split()[0] == "1" and "sleep 987654" in line for line in shown.splitlines())
    assert " Z" not in shown  # who is process 1 reaps
    assert sleepers()
    sandbox.close()
    assert not sleepers()


def sleepers() -> list[Path]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes() == b"sleep\x00987654\x00":
                found.append(path)
        except OSError:
            continue
    return found


def test_a_process_is_signalled_with_its_group(sandbox: BubblewrapSandbox) -> None:
    reading, writing = os.pipe()
    null = os.open(os.devnull, os.O_RDONLY)
    process = sandbox.start(
        ["bash", "-c", "sleep 60 | cat; true"], env=ENV, cwd="/", output=writing, source=null
    )
    os.close(writing)
    os.close(null)
    assert process.poll() is None
    process.signal(signal.SIGKILL)
    assert select.select([process], [], [], 30)[0]
    assert process.poll() == -signal.SIGKILL
    assert select.select([reading], [], [], 30)[0]  # the end: nobody holds it open any more
    assert os.read(reading, 10) == b""
    process.signal(signal.SIGTERM)  # it is gone, which is no error
    process.close()
    os.close(reading)


def test_a_sandbox_that_is_gone_is_no_riddle(sandbox: BubblewrapSandbox) -> None:
    run(sandbox, "true")
    child = sandbox._waiting.child if sandbox._waiting else sandbox._child
    assert child is not None
    child.kill()
    child.wait()
    null = os.open(os.devnull, os.O_RDWR)
    try:
        for _ in range(100):
            process = sandbox.start(["sleep", "1"], env=ENV, cwd="/", output=null, source=null)
            assert select.select([process], [], [], 30)[0]
            assert process.poll() == -9
            process.close()
    except SandboxError:
        pass  # of those that ended, one is as good as the other: none waits forever
    finally:
        os.close(null)


def test_bubblewraps_own_words_are_told(sandboxed: Forge) -> None:
    spec = sandboxed.spec()
    job = Path(spec.directory)
    paths = isolated(spec)
    paths.actions.host.rmdir()
    made = BubblewrapSandbox(paths, data=job.parents[1], job=job)
    null = os.open(os.devnull, os.O_RDWR)
    with pytest.raises(SandboxError, match=r"bwrap: .*actions"):
        made.start(["true"], env=ENV, cwd="/", output=null, source=null)
    os.close(null)
    made.close()
    made.wait()
