"""`windlass run` as a person calls it: real processes in checkouts of their own, in both kinds of isolation."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from windlass.runner.bubblewrap import survey
from windlass.runner.errors import SandboxUnavailableError

pytestmark = pytest.mark.integration
LIMIT = 90
GIT = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
    **{
        f"GIT_{who}_{what}": "ada@example.com"
        for who in ("AUTHOR", "COMMITTER")
        for what in ("NAME", "EMAIL")
    },
}


def bubblewrap_is_here() -> bool:
    try:
        survey()
    except SandboxUnavailableError:
        return False
    return True


@dataclass
class Done:
    """How a call ended."""

    code: int
    out: str
    error: str

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["kind"] == kind]

    def lines_of(self, job: str) -> list[str]:
        """What a job's steps printed, without what repeats the file."""
        wanted = [
            event["line"]
            for event in self.of("log")
            if event["job"].split(".", 1)[1].rpartition(".")[0] == job
        ]
        return [line for line in wanted if not line.startswith("##[")]


@dataclass
class Checkout:
    """A checkout with workflows, and a cache folder of its own."""

    root: Path
    cache: Path
    isolation: str = "host"

    def workflow(self, text: str, name: str = "ci") -> None:
        folder = self.root / ".github" / "workflows"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.yml").write_text(text)

    def commit(self) -> None:
        for words in (["add", "--all"], ["commit", "--quiet", "-m", "a commit"]):
            subprocess.run(["git", *words], cwd=self.root, env={**os.environ, **GIT}, check=True)

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "windlass", "run", "--isolation", self.isolation, *arguments],
            cwd=self.root,
            env={**os.environ, **GIT, "XDG_CACHE_HOME": str(self.cache), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
        )

    def run(self, *arguments: str, **environment: str) -> Done:
        child = self.start(*arguments, **environment)
        out, error = child.communicate(timeout=LIMIT)
        return Done(child.returncode, out, error)

    def json(self, *arguments: str, **environment: str) -> Done:
        return self.run("--json", *arguments, **environment)

    def files(self) -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in sorted(self.root.rglob("*")) if path.is_file()}


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    root = tmp_path / "app"
    root.mkdir()
    subprocess.run(["git", "init", "--quiet", "--initial-branch=main", str(root)], check=True)
    return Checkout(root, tmp_path / "cache")


@pytest.fixture(params=["host", "bubblewrap"])
def either(checkout: Checkout, request: pytest.FixtureRequest) -> Checkout:
    if request.param == "bubblewrap" and not bubblewrap_is_here():
        pytest.skip("no bubblewrap here")
    checkout.isolation = request.param
    return checkout


def steps(*runs: str) -> str:
    return "    runs-on: ubuntu-latest\n    steps:\n" + "".join(
        f"      - run: {json.dumps(run)}\n" for run in runs
    )


def workflow(**jobs: str) -> str:
    return "name: CI\non: push\njobs:\n" + "".join(f"  {key}:\n{text}" for key, text in jobs.items())


CHECKOUT = "      - uses: actions/checkout@v4\n"


def test_what_is_not_committed_runs_and_the_checkout_stays_as_it_is(either: Checkout) -> None:
    either.workflow(
        workflow(
            a=f"    runs-on: ubuntu-latest\n    steps:\n{CHECKOUT}      - run: cat a b; echo x > a; rm b\n"
        )
    )
    (either.root / "a").write_text("committed\n")
    either.commit()
    (either.root / "a").write_text("changed\n")
    (either.root / "b").write_text("new\n")
    before = either.files()
    done = either.json()
    assert done.code == 0, done.error
    assert [line for line in done.lines_of("a") if line in {"changed", "new", "committed"}] == [
        "changed",
        "new",
    ]
    assert done.of("plan")[0]["changed"] == ["a", "b"]
    assert either.files() == before


def test_a_checkout_has_a_history(either: Checkout) -> None:
    text = (
        "    runs-on: ubuntu-latest\n    steps:\n      - uses: actions/checkout@v4\n        with: {fetch-depth: 0}\n"
        "      - run: git describe --tags; git status --porcelain; git rev-parse HEAD; git symbolic-ref --short HEAD\n"
    )
    either.workflow(workflow(a=text))
    either.commit()
    subprocess.run(["git", "tag", "v1.0"], cwd=either.root, check=True)
    done = either.json()
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=either.root, capture_output=True, text=True, check=True
    )
    assert done.code == 0, done.error
    assert [line for line in done.lines_of("a") if line in {"v1.0", "main", head.stdout.strip()}] == [
        "v1.0", head.stdout.strip(), "main",
    ]  # fmt: skip
    assert done.of("run.started")[0]["sha"] == head.stdout.strip()


def test_outputs_matrix_and_a_job_that_fails(either: Checkout) -> None:
    either.workflow(
        workflow(
            first="    outputs: {list: '${{ steps.s.outputs.list }}'}\n    runs-on: ubuntu-latest\n    steps:\n"
            '      - id: s\n        run: echo \'list=["x", "y", "z"]\' >> $GITHUB_OUTPUT\n',
            legs="    needs: first\n    strategy:\n      fail-fast: false\n      matrix:\n"
            "        it: ${{ fromJSON(needs.first.outputs.list) }}\n        exclude: [{it: z}]\n"
            + steps("echo it is ${{ matrix.it }}; test ${{ matrix.it }} != y"),
            after="    needs: legs\n" + steps("echo never"),
            always="    needs: legs\n    if: always()\n" + steps("echo ${{ needs.legs.result }}"),
        )
    )
    done = either.json()
    assert done.code == 1
    ended = {event["job"]: event["conclusion"] for event in done.of("job.finished")}
    assert ended == {
        "1.first.1": "success", "1.legs~1.1": "success", "1.legs~2.1": "failure", "1.after.1": "skipped",
        "1.always.1": "success",
    }  # fmt: skip
    assert "failure" in done.lines_of("always")
    [end] = done.of("run.finished")
    assert (end["conclusion"], end["error"]["name"]) == ("failure", "legs (y)")


def test_the_first_error_is_the_last_line(checkout: Checkout) -> None:
    checkout.workflow(
        workflow(
            good=steps(
                "echo '::warning file=a.py,line=3::mind this'", "echo '# Well done' >> $GITHUB_STEP_SUMMARY"
            ),
            bad="    runs-on: ubuntu-latest\n    steps:\n      - name: Count\n"
            "        run: echo before; echo 'ValueError. the number is 7' | tr . ':' >&2; exit 3\n",
            worse="    needs: bad\n    if: always()\n" + steps("echo later; exit 1"),
        )
    )
    done = checkout.run()
    lines = done.out.splitlines()
    assert done.code == 1
    assert lines[-1] == "✗ bad / Count: ValueError: the number is 7"
    text = done.out
    places = [
        text.index(part)
        for part in ("# Well done", "a.py:3: mind this", "✗ CI failed", "  ✗ worse", "whole log")
    ]
    assert places == sorted(places)
    assert "no isolation" not in done.error
    assert "bad | Count | ValueError: the number is 7" in text


def test_a_log_that_is_named_is_there(checkout: Checkout) -> None:
    checkout.workflow(workflow(bad=steps("echo look here; exit 1")))
    done = checkout.run()
    path = re.search(r"whole log\s+(\S+)", done.out)
    assert path is not None
    assert "look here" in Path(path[1]).read_text()


def test_jobs_for_other_systems_are_left_out(checkout: Checkout) -> None:
    checkout.workflow(
        workflow(
            here=steps("echo here"),
            there="    strategy: {matrix: {os: [ubuntu-latest, windows-latest, macos-14]}}\n"
            "    runs-on: ${{ matrix.os }}\n    steps: [{run: echo hi}]\n",
        )
    )
    done = checkout.json()
    ended = {event["name"]: event["conclusion"] for event in done.of("job.finished")}
    assert done.code == 0, done.error
    assert ended == {
        "here": "success", "there (ubuntu-latest)": "success", "there (windows-latest)": "skipped",
        "there (macos-14)": "skipped",
    }  # fmt: skip


def test_secrets_are_masked_and_never_on_the_disk(either: Checkout, tmp_path: Path) -> None:
    either.workflow(
        workflow(
            a="    env:\n      ONE: ${{ secrets.ONE }}\n      TWO: ${{ secrets.TWO }}\n"
            "      TOKEN: ${{ github.token }}\n"
            + steps("echo one=$ONE two=$TWO token=[$TOKEN]; echo -n $ONE | base64; echo ${ONE:0:3}-${ONE:3}")
        )
    )
    (tmp_path / "secrets").write_text("TWO='another secret'\n")
    done = either.json("--secret", "ONE", "--secret-file", str(tmp_path / "secrets"), ONE="opensesame")
    assert done.code == 0, done.error
    assert done.lines_of("a")[-4:-1] == ["one=*** two=*** token=[]", "***", "ope-nsesame"]
    kept = b"".join(path.read_bytes() for path in either.cache.rglob("*") if path.is_file())
    assert b"opensesame" not in kept.replace(b"ope-nsesame", b"")
    assert b"another secret" not in kept


def test_a_token_of_ones_own_does_not_keep_the_checkout_out(either: Checkout) -> None:
    either.workflow(
        workflow(
            a="    runs-on: ubuntu-latest\n    steps:\n      - uses: actions/checkout@v4\n"
            "        with: {token: '${{ secrets.GITHUB_TOKEN }}'}\n      - run: echo \"${#TOKEN} $(ls)\"\n"
            "        env: {TOKEN: '${{ github.token }}'}\n"
        )
    )
    (either.root / "file").write_text("")
    done = either.json("--secret", "GITHUB_TOKEN", GITHUB_TOKEN="ghp_1234567890")
    assert done.code == 0, done.error
    assert "14 file" in done.lines_of("a")


def test_artifacts_and_caches(either: Checkout, tmp_path: Path) -> None:
    either.workflow(
        workflow(
            make="    runs-on: ubuntu-latest\n    steps:\n      - uses: actions/cache@v4\n        id: c\n"
            "        with: {path: kept, key: k}\n"
            "      - run: mkdir -p kept; echo hit=${{ steps.c.outputs.cache-hit }}\n"
            "      - run: echo made > out.txt\n      - uses: actions/upload-artifact@v4\n"
            "        with: {name: result, path: out.txt}\n",
            take="    needs: make\n    runs-on: ubuntu-latest\n    steps:\n      - uses: actions/download-artifact@v4\n"
            "        with: {name: result}\n      - run: cat out.txt\n",
        )
    )
    done = either.json("--artifacts", str(tmp_path / "results"))
    assert done.code == 0, done.error
    assert "made" in done.lines_of("take")
    assert (tmp_path / "results" / "result" / "out.txt").read_text() == "made\n"
    assert done.of("run.finished")[0]["artifacts"][0]["path"] == str(tmp_path / "results" / "result")
    again = either.json()
    assert "hit=true" in again.lines_of("make")
    assert Path(again.of("run.finished")[0]["artifacts"][0]["path"]).is_file()


def test_one_job_with_its_needs_or_without(checkout: Checkout) -> None:
    checkout.workflow(
        workflow(
            a=steps("echo a"), b="    needs: a\n" + steps("echo b"), c="    needs: b\n" + steps("exit 1")
        )
    )
    done = checkout.json("-j", "b")
    assert (done.code, [event["name"] for event in done.of("job.started")]) == (0, ["a", "b"])
    done = checkout.json("-j", "b", "--no-needs")
    assert (done.code, [event["name"] for event in done.of("job.started")]) == (0, ["b"])


def test_inputs_variables_and_the_payload_of_a_file(checkout: Checkout, tmp_path: Path) -> None:
    values = "${{ inputs.who }} ${{ inputs.much == 2 }} ${{ vars.WHERE }} ${{ github.event.extra.deep }}"
    checkout.workflow(
        "on:\n  workflow_dispatch:\n    inputs:\n      who: {type: string, required: true}\n"
        f"      much: {{type: number}}\njobs:\n  a:\n{steps(f'echo {values}')}"
    )
    (tmp_path / "event.json").write_text('{"extra": {"deep": "payload"}}')
    arguments = ["--input", "who=you", "--input", "much=2.0", "--var", "WHERE=here"]
    done = checkout.json(*arguments, "--event-file", str(tmp_path / "event.json"))
    assert done.code == 0, done.error
    assert "you true here payload" in done.lines_of("a")


def test_a_called_workflow_of_the_same_checkout(checkout: Checkout) -> None:
    checkout.workflow(
        "on: push\njobs:\n  call:\n    uses: ./.github/workflows/called.yml\n    with: {who: you}\n"
        f"  after:\n    needs: call\n{steps('echo word ${{ needs.call.outputs.word }}')}"
    )
    checkout.workflow(
        "on:\n  workflow_call:\n    inputs: {who: {type: string}}\n"
        "    outputs: {word: {value: '${{ jobs.inner.outputs.word }}'}}\njobs:\n  inner:\n"
        "    outputs: {word: '${{ steps.s.outputs.word }}'}\n    runs-on: ubuntu-latest\n    steps:\n"
        "      - id: s\n        run: echo word=${{ inputs.who }} >> $GITHUB_OUTPUT\n",
        "called",
    )
    done = checkout.json()
    assert done.code == 0, done.error
    assert "word you" in done.lines_of("after")


def test_actions_that_are_not_built_in_come_from_a_mirror(checkout: Checkout, tmp_path: Path) -> None:
    action = tmp_path / "forge" / "octo" / "hello"
    action.mkdir(parents=True)
    (action / "action.yml").write_text(
        "name: Hello\ndescription: Says hello\ninputs: {who: {description: x}}\nruns:\n  using: composite\n"
        "  steps:\n    - run: echo hello ${{ inputs.who }}\n      shell: bash\n"
    )
    there = Checkout(action, checkout.cache)
    subprocess.run(["git", "init", "--quiet", str(action)], check=True)
    there.commit()
    subprocess.run(["git", "tag", "v1"], cwd=action, check=True)
    checkout.workflow(
        workflow(
            a="    runs-on: ubuntu-latest\n    steps:\n      - uses: octo/hello@v1\n        with: {who: there}\n"
        )
    )
    done = checkout.json("--actions-mirror", str(tmp_path / "forge"))
    assert done.code == 0, done.error
    assert "hello there" in done.lines_of("a")
    done = checkout.run("--actions-mirror", "")
    assert done.code == 1
    assert "octo/hello@v1" in done.out.splitlines()[-1]


@pytest.mark.parametrize("event", ["push", "pull_request"])
def test_secrets_reach_pull_requests_of_ones_own(checkout: Checkout, event: str) -> None:
    checkout.workflow(
        "on: [push, pull_request]\njobs:\n  a:\n" + steps("echo ${{ secrets.S != '' }} $GITHUB_REF")
    )
    done = checkout.json("-e", event, "--secret", "S", S="sesame")
    assert done.code == 0, done.error
    ref = "refs/pull/1/merge" if event == "pull_request" else "refs/heads/main"
    assert f"true {ref}" in done.lines_of("a")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nothing.yml"], "there is no workflow 'nothing.yml' here, but ci.yml"),
        (["-j", "nothing"], "no job 'nothing', but a"),
        (["--secret", "A=sesame"], "--secret A=… is refused"),
        (["-e", "schedule"], "no workflow here is started by schedule"),
        (["--no-needs"], "--no-needs is for --job"),
        (["--input", "novalue"], "is not NAME=VALUE"),
        (["--shell-on-failure"], "needs a terminal"),
    ],
)
def test_what_is_called_wrongly_is_2_and_says_why(
    checkout: Checkout, arguments: list[str], said: str
) -> None:
    checkout.workflow(workflow(a=steps("true")))
    done = checkout.run(*arguments)
    assert done.code == 2
    assert said in done.error
    assert "sesame" not in done.error
    assert "Traceback" not in done.error


def test_a_file_with_errors_is_drawn_and_nothing_runs(checkout: Checkout) -> None:
    checkout.workflow("on: push\njobs:\n  a:\n    runs: x\n")
    done = checkout.run()
    assert done.code == 2
    assert ".github/workflows/ci.yml:4:" in done.error
    assert "^" in done.error
    assert done.out == ""


def test_a_dry_run_runs_nothing(checkout: Checkout) -> None:
    checkout.workflow(
        workflow(
            a=steps(f"touch {checkout.root}/ran"),
            b="    needs: a\n    strategy: {matrix: {v: [1, 2]}}\n" + steps("echo ${{ matrix.v }}"),
            c="    if: github.ref == 'refs/heads/other'\n" + steps("true"),
        )
    )
    done = checkout.run("--dry-run")
    assert done.code == 0, done.error
    assert not (checkout.root / "ran").exists()
    for said in ("● a", "b (1)", "b (2)", "after a", "- c", "its condition is false"):
        assert said in done.out
    assert checkout.run("--list").out.strip() == "ci.yml  CI  on push  a, b, c"


def wait_for(child: subprocess.Popen[str], text: str) -> list[str]:
    assert child.stdout is not None
    lines: list[str] = []
    for line in child.stdout:
        lines.append(line)
        if text in line:
            return lines
    raise AssertionError("".join(lines))


SLOW = workflow(
    a="    runs-on: ubuntu-latest\n    steps:\n      - run: echo begun; sleep 60\n"
    "      - run: echo cleaned\n        if: always()\n",
    b="    needs: a\n" + steps("echo never"),
)


@pytest.mark.parametrize(("view", "shown"), [("--plain", "| begun\n"), ("--json", '"line": "begun"')])
def test_a_line_is_shown_while_its_step_goes_on(checkout: Checkout, view: str, shown: str) -> None:
    """Though nothing else happens after it, and the output is a pipe."""
    checkout.isolation = "host"
    checkout.workflow(SLOW.replace("echo begun; sleep 60", "sleep 1; echo begun; sleep 60"))
    child = checkout.start(view, PYTHONUNBUFFERED="")
    wait_for(child, shown)
    child.send_signal(signal.SIGINT)
    out, _ = child.communicate(timeout=LIMIT)
    assert "cleaned" in out
    assert '"paused"' not in out


def test_ctrl_c_cancels_and_always_steps_run(either: Checkout) -> None:
    either.workflow(SLOW)
    child = either.start()
    wait_for(child, "| begun")
    child.send_signal(signal.SIGINT)
    out, error = child.communicate(timeout=LIMIT)
    assert child.returncode == 130, error
    assert "| cleaned" in out
    assert "never" not in out
    assert "CI was cancelled" in out
    assert left_behind(either) == []


def test_ctrl_c_before_anything_has_started(either: Checkout) -> None:
    """While the engine loads: nothing is told but that, and nothing is left."""
    either.workflow(SLOW)
    child = either.start()
    runs = either.cache / "windlass" / "run" / "runs"
    deadline = time.monotonic() + LIMIT
    while not list(runs.glob("*/run/zygote.sock")):
        assert time.monotonic() < deadline
        time.sleep(0.002)
    child.send_signal(signal.SIGINT)
    out, error = child.communicate(timeout=LIMIT)
    assert child.returncode in {
        130,
        -signal.SIGINT,
    }  # Python's own way, where it was importing; a shell says 130
    assert (out, error) == ("", "Cancelled before anything had started.\n")
    assert not list(runs.iterdir())


def test_twice_kills_at_once(either: Checkout) -> None:
    either.workflow(SLOW.replace("sleep 60", "trap '' INT TERM; while true; do sleep 0.1; done"))
    child = either.start()
    wait_for(child, "| begun")
    child.send_signal(signal.SIGINT)
    wait_for(child, "cancelling")
    began = time.monotonic()
    child.send_signal(signal.SIGINT)
    out, _ = child.communicate(timeout=LIMIT)
    assert child.returncode == 130
    assert time.monotonic() - began < 30
    assert "| cleaned" not in out
    assert left_behind(either) == []


def test_a_reader_that_goes_away_ends_everything(checkout: Checkout) -> None:
    checkout.workflow(workflow(a=steps("while true; do echo on and on; sleep 0.05; done")))
    child = checkout.start()
    wait_for(child, "| on and on")
    assert child.stdout is not None
    assert child.stderr is not None
    child.stdout.close()
    assert "Traceback" not in child.stderr.read()
    child.wait(timeout=LIMIT)
    child.stderr.close()
    assert left_behind(checkout) == []


def left_behind(checkout: Checkout) -> list[str]:
    """Processes that still have the run's folder in their command line or environment, after a moment to end in."""
    found: list[str] = []
    for _ in range(100):
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                told = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
            except OSError:
                continue
            if str(checkout.cache).encode() in told and int(entry.name) != os.getpid():
                found.append(told[:80].decode(errors="replace"))
        if not found:
            break
        time.sleep(0.1)
    return found


def test_what_a_killed_run_left_is_ended_by_the_next(either: Checkout) -> None:
    either.workflow(SLOW.replace("echo begun; sleep 60", "echo begun; exec sleep 345.678"))
    either.workflow("name: Quick\non: workflow_dispatch\njobs:\n  a:\n" + steps("true"), "quick")
    child = either.start()
    wait_for(child, "| begun")
    child.kill()
    child.communicate(timeout=LIMIT)
    assert sleepers() != []
    assert either.run("quick").code == 0
    for _ in range(100):
        if not sleepers():
            break
        time.sleep(0.1)
    assert sleepers() == []


def sleepers() -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if b"345.678" in path.read_bytes():
                found.append(path.parent.name)
        except OSError:
            continue
    return found


def test_two_runs_at_once_do_not_meet(checkout: Checkout) -> None:
    checkout.workflow(workflow(a=steps("sleep 1; echo done")))
    children = [checkout.start() for _ in range(2)]
    ended = [(child.communicate(timeout=LIMIT), child.returncode) for child in children]
    assert [code for _, code in ended] == [0, 0], ended


def test_nothing_starts_that_was_not_asked_for(checkout: Checkout) -> None:
    checkout.workflow(workflow(a=steps("sleep 3; echo done")))
    started = checkout.root.parent / "started"
    for name, on in (
        ("deploy", "{workflow_run: {workflows: [CI], types: [requested, in_progress, completed]}}"),
        ("create", "create"),
        ("nightly", "{schedule: [{cron: '* * * * *'}]}"),
    ):
        checkout.workflow(f"name: {name}\non: {on}\njobs:\n  a:\n{steps(f'touch {started}')}", name)
    checkout.commit()
    done = checkout.json()
    assert done.code == 0, done.error
    assert [event["workflow"] for event in done.of("run.started")] == ["CI"]
    assert not started.exists()


def test_a_workflow_file_that_is_too_large_is_refused_and_not_cut(checkout: Checkout) -> None:
    checkout.workflow(workflow(a=steps("true")) + "# much\n" * (200 << 10))
    done = checkout.run()
    assert done.code == 2
    assert "maximum file size" in done.error


def test_many_jobs(checkout: Checkout) -> None:
    checkout.workflow(
        workflow(
            a="    strategy:\n      matrix:\n        n: ["
            + ", ".join(map(str, range(40)))
            + "]\n"
            + steps("true")
        )
    )
    done = checkout.json("--jobs", "4")
    assert done.code == 0, done.error
    assert len([event for event in done.of("job.finished") if event["conclusion"] == "success"]) == 40
