from __future__ import annotations

import io
import json
import shutil
import socket
import subprocess
from typing import TYPE_CHECKING

import pytest
import yaml
from bench.installing import Installation, install
from bench.jobs import overhead
from bench.load import Load, parse_loader, parse_wrk
from bench.logs import make_log
from bench.programs import compiled
from bench.rows import Report, SkippedError, at, row
from bench.world import BenchError, free_block, need
from rich.console import Console

from bench import __main__ as program
from bench import buildbot, gitlab, installing, language, local, peers, spawn, table, workflows

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bench.rows import Row

    from bench import rows

WRK = """\
Running 2s test @ http://127.0.0.1:20000/
  Latency Distribution
     50%  312.00us
     99%    1.97ms
  80000 requests in 2.00s, 90.00MB read
Requests/sec:  39982.41
Transfer/sec:     45.00MB
"""
MACHINE = {
    "cores": 2,
    "processor": "a processor",
    "system": "Linux 1",
    "python": "3.11",
    "load_before": 0.0,
    "load_after": 1.0,
}


def sample() -> Row:
    return row(
        "a job",
        "ms",
        [30.0, 10.0, 20.0],
        [4.0, 5.0, 6.0],
        reference_is="spawning bash",
        includes="everything",
    )


def test_a_row_holds_medians_their_ratio_and_the_range() -> None:
    made = sample()
    assert (made.ours, made.reference, made.ratio, made.runs) == (20.0, 5.0, 4.0, 3)
    assert (made.ours_range, made.reference_range) == ((10.0, 30.0), (4.0, 6.0))


def test_a_row_without_measurements_is_refused() -> None:
    with pytest.raises(ValueError, match="a job: nothing was measured"):
        row("a job", "ms", [], [1.0], reference_is="r", includes="i")


def test_the_file_holds_each_row_with_what_its_reference_is(tmp_path: Path) -> None:
    report = Report(dict(MACHINE), [sample()], {"edge": "cc not installed"})
    report.write(tmp_path / "build" / "bench.json")
    found = json.loads((tmp_path / "build" / "bench.json").read_text())
    assert found["skipped"] == {"edge": "cc not installed"}
    (first,) = found["rows"]
    assert first | {"name": "a job", "unit": "ms", "ours": 20.0, "reference": 5.0, "ratio": 4.0} == first
    assert first | {"reference_is": "spawning bash", "runs": 3, "better": "less"} == first


def test_the_table_shows_figures_what_they_stand_beside_and_what_was_left_out() -> None:
    console = Console(file=io.StringIO(), width=120)
    console.print(table.draw(Report(dict(MACHINE), [sample()], {"edge": "cc not installed"})))
    said = console.file.getvalue()  # type: ignore[attr-defined]
    for text in ("a job", "20 ms", "5 ms", "4.00 ×", "spawning bash", "left out: edge: cc not installed"):
        assert text in said


def test_what_cannot_run_here_is_left_out_with_its_reason_and_the_rest_is_measured(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(_bench: program.Bench) -> Iterator[Row]:
        need("no-such-program")
        yield sample()

    def there(_bench: program.Bench) -> Iterator[Row]:
        yield sample()

    monkeypatch.setattr(program.Bench, "edge", missing)
    monkeypatch.setattr(program.Bench, "jobs", there)
    file = tmp_path / "bench.json"
    assert program.main(["jobs", "edge", "--output", str(file)]) == 0
    found = json.loads(file.read_text())
    assert [item["name"] for item in found["rows"]] == ["a job"]
    assert found["skipped"] == {"edge": "no-such-program not installed"}
    assert "a job" in capsys.readouterr().out
    assert program.main(["edge", "--output", str(file)]) == 1


def test_a_part_that_fails_is_told_and_does_not_stop_the_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(_bench: program.Bench) -> Iterator[Row]:
        yield sample()
        raise BenchError("run 1 ended as failure")

    def there(_bench: program.Bench) -> Iterator[Row]:
        yield sample()

    monkeypatch.setattr(program.Bench, "jobs", broken)
    monkeypatch.setattr(program.Bench, "push", there)
    file = tmp_path / "bench.json"
    assert program.main(["jobs", "push", "--output", str(file)]) == 1
    found = json.loads(file.read_text())
    assert found["failed"] == {"jobs": "run 1 ended as failure"}
    assert len(found["rows"]) == 2
    assert "failed: jobs: run 1 ended as failure" in capsys.readouterr().out


def test_wrk_and_the_small_loader_are_read_alike() -> None:
    assert parse_wrk(WRK) == Load(39982.41, 1.97)
    assert parse_loader("39982.4 312 1970 0\n") == Load(39982.4, 1.97)


def test_a_round_of_load_with_failures_is_no_measurement() -> None:
    with pytest.raises(BenchError, match="Socket errors: connect 0, read 3"):
        parse_wrk(WRK + "  Socket errors: connect 0, read 3, write 0, timeout 0\n")
    with pytest.raises(BenchError, match="2 requests failed"):
        parse_loader("39982.4 312 1970 2\n")


def test_the_workflows_have_as_many_steps_and_jobs_as_the_rows_say() -> None:
    found = {name: yaml.safe_load(text) for name, text in workflows.files().items()}
    assert found["steps.yaml"]["jobs"]["steps"]["steps"] == [{"run": "true"}] * workflows.STEPS
    matrix = found["jobs.yaml"]["jobs"]["one"]["strategy"]["matrix"]["n"]
    assert len(set(matrix)) == workflows.JOBS


def test_spawning_a_script_that_fails_is_no_measurement(tmp_path: Path) -> None:
    file = spawn.script(tmp_path)
    assert spawn.spawn(file) > 0
    assert spawn.spawn_many(file, 3, 2) > 0
    file.write_text("false\n")
    with pytest.raises(subprocess.CalledProcessError):
        spawn.spawn(file)


def test_a_block_of_ports_is_free() -> None:
    first = free_block()
    for port in (first, first + 99):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", port))


@pytest.mark.integration
@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
def test_the_small_loader_loads_the_static_server(tmp_path: Path) -> None:
    server = subprocess.Popen([compiled("static_server", tmp_path)], stdout=subprocess.PIPE)
    try:
        assert server.stdout is not None
        port = server.stdout.readline().decode().strip()
        loader = compiled("loader", tmp_path)
        done = subprocess.run([loader, port, "4", "0.2"], capture_output=True, text=True, check=True)
        seen = parse_loader(done.stdout)
        assert seen.rate > 100
        assert 0 < seen.p99 < 1000
    finally:
        server.kill()
        server.communicate()


def test_a_missing_program_is_named() -> None:
    with pytest.raises(SkippedError, match="no-such-program not installed"):
        need("bash", "no-such-program")


def test_quantiles_are_the_nearest_rank_and_the_usual_median() -> None:
    values = [float(value) for value in range(100, 0, -1)]
    assert at(values, 0.95) == 95.0
    assert at([1.0, 2.0], 0.5) == 1.5
    assert at([7.0], 0.95) == 7.0


@pytest.mark.parametrize(("better", "target", "met"), [("less", 20.0, True), ("less", 19.0, False),
                                                       ("more", 20.0, True), ("more", 21.0, False)])  # fmt: skip
def test_a_target_is_met_in_the_direction_that_is_better(
    better: rows.Better, target: float, met: bool
) -> None:
    made = row("r", "ms", [20.0], [1.0], reference_is="r", includes="i", better=better, target=target)
    assert (made.target, made.met) == (target, met)
    console = Console(file=io.StringIO(), width=120)
    console.print(table.draw(Report(dict(MACHINE), [made])))
    assert f"{'≤' if better == 'less' else '≥'} {target:.0f}" in console.file.getvalue()  # type: ignore[attr-defined]


def test_a_row_without_a_target_has_met_none() -> None:
    assert (sample().target, sample().met) == (None, None)


def test_the_overhead_of_a_step_is_what_remains_without_bash() -> None:
    whole, bash = [10.0 + number / 100 for number in range(100)], [2.0, 2.0, 2.0, 4.0]
    middle = overhead("host", "p50", 0.5, whole, bash)
    assert (middle.ours, middle.reference, middle.target, middle.met) == (8.495, 2.0, 3.0, False)
    slowest = overhead("host", "p95", 0.95, whole, bash)
    assert (slowest.ours, slowest.reference, slowest.target) == (6.94, 4.0, None)


@pytest.mark.parametrize(("load", "said"), [(0.9, "quiet enough"), (1.1, "this machine is busy")])
def test_how_busy_the_machine_is_is_said_before_anything_is_measured(load: float, said: str) -> None:
    line = table.at_the_start(dict(MACHINE) | {"load_before": load}).plain
    assert said in line
    assert f"load {load}" in line


def test_the_long_workflow_has_500_lines_and_both_references_answer_alike() -> None:
    assert language.long_workflow().count("\n") == language.LINES
    parsing, fresh, again = list(language.measure(1))
    assert parsing.name == "parse of a 500-line workflow"
    assert fresh.better == again.better == "more"
    assert min(parsing.ours, fresh.ours, again.ours) > 0


def test_the_log_that_is_measured_has_the_size_and_the_secrets(tmp_path: Path) -> None:
    file, values = tmp_path / "log", [f"secret-number-{number}" for number in range(20)]
    size = make_log(file, values, 1)
    text = file.read_text()
    assert size == len(text.encode()) >= 1_000_000
    assert text.endswith("\n")
    assert {value for value in values if value in text} >= set(values[:10])


def test_peers_get_the_same_pipelines() -> None:
    found = {name: yaml.safe_load(text) for name, text in gitlab.pipelines().items()}
    assert found["steps"]["steps"]["script"] == ['bash -e -c "true"'] * workflows.STEPS
    assert found["jobs"]["one"]["parallel"] == workflows.JOBS
    text = buildbot.CONFIGURATION.format(file="/t.sh", count=workflows.STEPS, slots=2, port=1)
    assert f'"steps": {workflows.STEPS}' in text
    compile(text, "master.cfg", "exec")


def test_what_peers_are_is_said_before_they_are_installed_and_once(tmp_path: Path) -> None:
    said: list[str] = []
    where = tmp_path / "peer"
    wanted = Installation("Peer 1.0", where, where / "peer", (("touch", str(where / "peer")),))
    assert install(wanted, said.append) == where / "peer"
    (line,) = said
    assert line.startswith(f"installing Peer 1.0 into {where}")
    assert install(wanted, said.append) == where / "peer"
    assert len(said) == 1


def test_a_peer_that_cannot_be_installed_is_left_out_with_the_reason(tmp_path: Path) -> None:
    command = ("sh", "-c", "echo no such version >&2; exit 1")
    wanted = Installation("Peer 1.0", tmp_path / "peer", tmp_path / "peer" / "peer", (command,))
    with pytest.raises(SkippedError, match=r"Peer 1\.0 cannot be installed: no such version"):
        install(wanted, lambda _: None)
    with pytest.raises(SkippedError, match="no-such-tool not installed"):
        install(Installation("Peer", tmp_path, tmp_path / "p", (("no-such-tool",),)), lambda _: None)


def test_peers_are_pinned() -> None:
    text = installing.CONSTRAINTS.read_text()
    assert f"buildbot=={installing.BUILDBOT}" in text
    assert all("==" in line for line in text.splitlines())
    (command,) = installing.gitlab_ci_local(installing.CACHE).commands
    assert command[-1] == f"gitlab-ci-local@{installing.GITLAB_CI_LOCAL}"


def test_both_of_a_pair_are_measured_in_turns() -> None:
    order: list[str] = []
    ours = [0.001, 0.003]

    def mine() -> float:
        order.append("ours")
        return ours.pop()

    def theirs() -> float:
        order.append("theirs")
        return 0.004

    pair = peers.Pair("a job", "ms", 1000.0, 2, mine, theirs, "i", "r")
    made = peers.turn_about(pair)
    assert order == ["theirs", "ours", "theirs", "ours"]
    assert (made.ours, made.reference, made.runs) == (2.0, 4.0, 2)


@pytest.mark.parametrize(
    ("arguments", "wanted"), [([], program.PARTS), (["--peers"], (*program.PARTS, *program.PEERS))]
)
def test_peers_are_measured_only_when_asked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, arguments: list[str], wanted: tuple[str, ...]
) -> None:
    monkeypatch.delenv("PEERS", raising=False)
    measured: list[str] = []

    def part(name: str) -> Iterator[Row]:
        measured.append(name)
        yield sample()

    for name in (*program.PARTS, *program.PEERS):
        monkeypatch.setattr(program.Bench, name, lambda _bench, name=name: part(name))
    assert program.main([*arguments, "--output", str(tmp_path / "b.json")]) == 0
    assert measured == list(wanted)


def test_an_unforeseen_failure_of_a_part_keeps_the_figures_of_the_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def broken(_bench: program.Bench) -> Iterator[Row]:
        raise LookupError("results")

    monkeypatch.setattr(program.Bench, "jobs", broken)
    monkeypatch.setattr(program.Bench, "push", lambda _bench: iter([sample()]))
    file = tmp_path / "bench.json"
    assert program.main(["jobs", "push", "--output", str(file)]) == 1
    found = json.loads(file.read_text())
    assert found["failed"] == {"jobs": "LookupError: results"}
    assert len(found["rows"]) == 1


def test_an_interrupted_run_leaves_what_it_has(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def interrupted(_bench: program.Bench) -> Iterator[Row]:
        raise KeyboardInterrupt

    monkeypatch.setattr(program.Bench, "jobs", lambda _bench: iter([sample()]))
    monkeypatch.setattr(program.Bench, "push", interrupted)
    file = tmp_path / "bench.json"
    with pytest.raises(KeyboardInterrupt):
        program.main(["jobs", "push", "--output", str(file)])
    assert [item["name"] for item in json.loads(file.read_text())["rows"]] == ["a job"]


@pytest.mark.integration
@pytest.mark.skipif(shutil.which("git") is None, reason="no git")
def test_windlass_run_is_measured_and_its_failure_is_no_measurement(tmp_path: Path) -> None:
    where = local.checkout(tmp_path / "checkout")
    assert local.run(where, "one.yaml", "host", 2) > 0
    file = where / ".github" / "workflows" / "one.yaml"
    file.write_text(file.read_text().replace('"true"', "exit 3"))
    with pytest.raises(BenchError, match=r"windlass run one\.yaml"):
        local.run(where, "one.yaml", "host", 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "checkout"]
