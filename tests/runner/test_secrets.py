"""Secrets stay where they belong: never in arguments, others' environments, logs, events or files of the job."""

from __future__ import annotations

import base64
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runner.conftest import Forge

SECRET = 's3cr3t-Value/with+signs=and"quotes"'


def test_they_are_hidden_in_logs_events_and_summaries(forge: Forge) -> None:
    encoded = base64.b64encode(b"ab" + SECRET.encode()).decode()
    ran = forge.run(
        {
            "id": "leak",
            "env": {"S": "${{ secrets.KEY }}"},
            "run": 'echo "$S"; printf "ab%s" "$S" | base64 -w0; echo; echo "::error title=$S::$S"\n'
            'echo "out=$S" >> "$GITHUB_OUTPUT"; echo "$S" >> "$GITHUB_STEP_SUMMARY"; set -x; : "$S"',
            "name": "Use ${{ secrets.KEY }}",
        },
        {"run": "echo '${{ steps.leak.outputs.out }}'; exit 1"},
        secrets={"KEY": SECRET},
        definition={"outputs": {"leak": "${{ steps.leak.outputs.out }}", "fine": "ok"}},
    )
    assert SECRET not in ran.everything
    assert encoded[3:-4] not in ran.everything
    assert "***" in ran.printed(1)
    assert ran.outputs == {"fine": "ok"}


def test_the_token_is_a_secret(forge: Forge) -> None:
    ran = forge.run({"run": 'echo ${{ github.token }} ${{ secrets.GITHUB_TOKEN }}; echo "[$GITHUB_TOKEN]"'})
    assert ran.printed(1) == "*** ***\n[]\n"


def test_what_a_step_asks_to_hide_is_hidden_at_once(forge: Forge) -> None:
    ran = forge.run(
        {"run": "echo '::add-mask::found-out-late'; echo found-out-late"}, {"run": "echo found-out-late"}
    )
    assert ran.printed(1) == "***\n"
    assert ran.printed(2) == "***\n"


def test_a_secret_in_slow_pieces_is_hidden(forge: Forge) -> None:
    ran = forge.script(
        "printf 'slow-'; sleep 0.05; printf 'secret-'; sleep 0.05; echo value",
        secrets={"K": "slow-secret-value"},
    )
    assert ran.printed() == "***\n"


def test_they_are_nobody_elses_to_read(forge: Forge) -> None:
    """While a job that was given secrets runs: no argument of any process holds them, nor the environment of one
    that did not ask for them, nor a file of the job."""
    ran = forge.start(
        [{"run": "echo begun; sleep 1"}, {"run": "true", "env": {"S": "${{ secrets.KEY }}"}}],
        secrets={"KEY": SECRET},
    )
    while "begun" not in ran.printed(1):
        time.sleep(0.01)
    needles = [SECRET.encode(), b"wl_5f2c9d1ab07e4c6a83d2"]
    for path in Path("/proc").glob("[0-9]*"):
        for name in ("cmdline", "environ"):
            try:
                data = (path / name).read_bytes()
            except OSError:
                continue
            assert not any(needle in data for needle in needles), path
    for path in ran.directory.rglob("*"):
        if path.is_file():
            assert not any(needle in path.read_bytes() for needle in needles), path
    ran.wait()


def test_another_job_cannot_see_them(sandboxed: Forge) -> None:
    holder = sandboxed.start(
        [{"run": "echo begun; sleep 2", "env": {"S": "${{ secrets.KEY }}"}}], secrets={"KEY": SECRET}
    )
    while "begun" not in holder.printed(1):
        time.sleep(0.01)
    spy = sandboxed.script(
        f"cat /proc/[0-9]*/environ | tr '\\0' '\\n' | grep -c s3cr3t || true; ls {holder.directory} {sandboxed.data} 2>&1 || true"  # noqa: E501
    )
    assert spy.printed().splitlines()[0] == "0"
    assert spy.printed().count("No such file") >= 1
    assert "events.jsonl" not in spy.printed()
    holder.wait()


def test_files_of_the_job_are_private(forge: Forge) -> None:
    ran = forge.script("true")
    for name in ("events.jsonl", "log/001.log"):
        assert (ran.directory / name).stat().st_mode & 0o077 == 0
