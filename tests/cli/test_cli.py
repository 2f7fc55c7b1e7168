from __future__ import annotations

import io
import json
import os
import socket
import subprocess
import sys
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import click
import pytest
from click.testing import CliRunner
from rich.console import Console
from rich.tree import Tree

from windlass.cli.client import say
from windlass.cli.looks import console, listing
from windlass.cli.main import COMMANDS, HIDDEN, cli
from windlass.cli.parts import PARTS, examine
from windlass.cli.runs import NARROW, runs_table, show_run
from windlass.cli.status import STAMPS, deliveries_table, draw_delivery
from windlass.cli.token import seconds

if TYPE_CHECKING:
    from collections.abc import Iterator


def windlass(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "windlass", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=False,
    )


def test_help_lists_every_command_without_loading_one() -> None:
    code = "import sys; sys.argv=['windlass','--help']\nfrom windlass.cli.main import main\n"
    code += "try: main()\nexcept SystemExit: pass\nprint(*sorted(sys.modules), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert all(f"  {name} " in done.stdout for name in COMMANDS if name not in HIDDEN)
    loaded = set(done.stderr.split())
    assert not loaded & {"httpx2", "fastapi", "rich", "yaml", "windlass.server.settings"}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str) -> None:
    result = CliRunner().invoke(cli, [name, "--help"])
    assert result.exit_code == 0, result.output
    assert "Usage:" in result.output


def commands(of: click.Command, *path: str) -> Iterator[tuple[str, click.Command]]:
    if isinstance(of, click.Group):
        for name in of.list_commands(click.Context(of)):
            found = of.get_command(click.Context(of), name)
            assert found is not None
            yield from commands(found, *path, name)
    else:
        yield " ".join(path), of


def test_every_command_prints_json_for_programs() -> None:
    # `up` stays until it is told to stop, `credential` speaks git's own protocol.
    others = {"up", "credential"}
    without = [
        name for name, found in commands(cli) if not any("--json" in option.opts for option in found.params)
    ]
    assert set(without) == others


def test_what_was_done_is_told_in_words_or_as_the_server_answered(capsys: pytest.CaptureFixture[str]) -> None:
    say("x is revoked.", {"id": "x"}, as_json=False)
    say("x is revoked.", {"id": "x"}, as_json=True)
    say("x is revoked.", "", as_json=True)
    words, _, rest = capsys.readouterr().out.partition("\n")
    assert words == "x is revoked."
    first, end = json.JSONDecoder().raw_decode(rest)
    assert (first, json.loads(rest[end:])) == ({"id": "x"}, {"done": "x is revoked."})


def test_down_in_a_directory_that_is_not_there_says_so(tmp_path: Path) -> None:
    done = windlass("down", "--data", str(tmp_path / "typo"))
    assert done.returncode == 2
    assert "there is no data directory" in done.stderr


def test_an_unknown_command_is_named_and_exits_2() -> None:
    done = windlass("fly")
    assert done.returncode == 2
    assert "No such command 'fly'" in done.stderr


@pytest.mark.parametrize(
    "command",
    [
        ["runs"],
        ["repo", "list"],
        ["token", "list"],
        ["status"],
        ["secret", "list", "acme"],
        ["kubeconfig"],
        ["logs", "1"],
    ],
)
def test_without_a_server_the_way_to_one_is_named(tmp_path: Path, command: list[str]) -> None:
    done = windlass(*command, "--data", str(tmp_path), WINDLASS_URL="", WINDLASS_TOKEN="")
    assert done.returncode == 3
    assert f"no server runs in {tmp_path}" in done.stderr
    assert "windlass up" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--port", "70000"], "0<=x<=65535"),
        (["--engine", "steam"], "'auto', 'podman', 'docker', 'fake'"),
        (["--jobs", "-1"], "x>=0"),
    ],
)
def test_an_option_of_up_that_cannot_be_is_a_usage_error(
    tmp_path: Path, options: list[str], words: str
) -> None:
    done = windlass("up", "--data", str(tmp_path), *options)
    assert (done.returncode, words in done.stderr) == (2, True), done.stderr


@pytest.mark.parametrize("taken", ["--port", "--kubernetes-port"])
def test_a_port_that_is_taken_is_named_with_the_option_that_helps(tmp_path: Path, taken: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
        ports = {"--port": "0", "--kubernetes-port": "0", "--edge-port": "0", taken: str(port)}
        options = [part for option in ports.items() for part in option]
        done = windlass("up", "--data", str(tmp_path), "--engine", "fake", *options)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        f"Error: cannot listen on 127.0.0.1:{port}: Address already in use. "
        f"Stop what listens there, or choose another {taken}"
    )


def test_an_address_of_another_machine_is_not_called_taken(tmp_path: Path) -> None:
    done = windlass("up", "--data", str(tmp_path), "--engine", "fake", "--host", "192.0.2.1", "--port", "0")
    assert done.returncode == 1
    assert done.stderr.startswith("Error: cannot listen on 192.0.2.1:0: ")
    assert "Choose a --host" in done.stderr


def test_a_server_that_does_not_answer_is_named(tmp_path: Path) -> None:
    done = windlass("runs", "--data", str(tmp_path), WINDLASS_URL="http://127.0.0.1:9", WINDLASS_TOKEN="t")
    assert done.returncode == 3
    assert "127.0.0.1:9" in done.stderr


@pytest.mark.parametrize(
    ("url", "token", "words"),
    [
        ("127.0.0.1:8700", "t", "write http://HOST:PORT"),
        ("ftp://127.0.0.1", "t", "write http://HOST:PORT"),
        ("http://127.0.0.1:9", "zwölf", "WINDLASS_TOKEN is no token"),
        ("http://127.0.0.1:9", "a\nb", "WINDLASS_TOKEN is no token"),
    ],
)
def test_what_the_environment_says_wrongly_is_a_usage_error(
    tmp_path: Path, url: str, token: str, words: str
) -> None:
    done = windlass("status", "--data", str(tmp_path), WINDLASS_URL=url, WINDLASS_TOKEN=token)
    assert (done.returncode, words in done.stderr) == (2, True), done.stderr
    assert "Traceback" not in done.stderr


@contextmanager
def answering(status: int, kind: str, body: bytes, method: str = "GET") -> Iterator[str]:
    """Serve one answer to everything; yields the address."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002 the base's name

    setattr(Handler, f"do_{method}", Handler.answer)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_token_that_is_not_let_in_is_named_by_where_it_comes_from(tmp_path: Path) -> None:
    with answering(401, "application/json", b'{"detail": "no valid token: send Authorization"}') as url:
        done = windlass("status", "--data", str(tmp_path), WINDLASS_URL=url, WINDLASS_TOKEN="old")
    assert done.returncode == 1
    assert f"{url} does not let in the token of WINDLASS_TOKEN: it has expired" in done.stderr
    assert "windlass token create" in done.stderr


def test_another_program_at_the_address_is_told_from_a_server(tmp_path: Path) -> None:
    with answering(404, "text/plain", b"nothing here") as url:
        done = windlass("status", "--data", str(tmp_path), WINDLASS_URL=url, WINDLASS_TOKEN="t")
    assert done.returncode == 1
    assert f"{url}/api/v1/applications answers 404" in done.stderr
    assert "is it the server's address?" in done.stderr


def test_a_kubeconfig_is_its_owners_only_and_a_place_that_is_none_is_named(tmp_path: Path) -> None:
    with answering(200, "text/plain", b"kind: Config\n", method="POST") as url:
        told = {"WINDLASS_URL": url, "WINDLASS_TOKEN": "t"}
        file = tmp_path / "there.yaml"
        file.touch(0o644)
        assert windlass("kubeconfig", "-o", str(file), **told).returncode == 0
        missing = tmp_path / "none" / "x"
        done = windlass("kubeconfig", "-o", str(missing), **told)
    assert (file.stat().st_mode & 0o777, file.read_text()) == (0o600, "kind: Config\n")
    assert done.returncode == 1
    assert done.stderr == f"Error: Could not open file '{missing}': No such file or directory\n"


def test_the_head_to_match_is_a_whole_commit_id() -> None:
    done = windlass("pr", "merge", "1", "-R", "acme/app", "--match-head", "4f2a9c1")
    assert done.returncode == 2
    assert "'4f2a9c1' is not a whole commit id" in done.stderr


def test_what_cannot_be_a_commit_is_said_before_anybody_is_asked(tmp_path: Path) -> None:
    done = windlass("trace", "zzzz", "--data", str(tmp_path), WINDLASS_URL="", WINDLASS_TOKEN="")
    assert done.returncode == 2
    assert "first seven characters" in done.stderr


def test_doctor_speaks_json_and_its_exit_code_says_whether_something_is_missing() -> None:
    done = windlass("doctor", "--json")
    told = json.loads(done.stdout)
    assert done.returncode == (0 if told["ok"] else 1)
    git = next(part for part in told["parts"] if part["part"]["name"] == "git")
    assert git["version"][0].isdigit()
    assert git["source"]


def test_a_missing_part_comes_with_its_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("windlass.cli.parts.locate", lambda program: None)
    finding = examine(PARTS[0])
    assert finding.path is None
    assert PARTS[0].package in finding.fix


@pytest.mark.parametrize(
    ("text", "expected"), [("90d", 7776000), ("12h", 43200), ("30m", 1800), ("5s", 5), (None, None)]
)
def test_durations(text: str | None, expected: float | None) -> None:
    assert seconds(text) == expected


def test_a_bad_duration_says_what_is_right(tmp_path: Path) -> None:
    arguments = ["token", "create", "anna", "--scope", "admin", "--expires", "soon", "--data", str(tmp_path)]
    done = windlass(*arguments, WINDLASS_URL="http://127.0.0.1:9", WINDLASS_TOKEN="t")
    assert done.returncode == 2
    assert "such as 90d" in done.stderr


def test_what_is_piped_is_not_cut_to_a_terminals_width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    assert console().width > 200
    monkeypatch.setenv("COLUMNS", "60")
    assert console().width == 60


@pytest.mark.parametrize("width", [60, 80, 120])
def test_tables_never_cut_what_identifies(width: int) -> None:
    run = {
        "id": 12,
        "conclusion": "failure",
        "status": "completed",
        "title": "A title of some length, and more",
    }
    run |= {
        "workflow": "ci",
        "repository": "acme/agent-task-service",
        "ref": "refs/heads/main",
        "sha": "4f2a9c1d",
    }
    run |= {"created_at": 1.0, "started_at": 1.0, "finished_at": 3.0}
    delivery = {
        "id": 7,
        "state": "rolled_back",
        "application": "argocd/agent-task-service",
        "revision": "4f2a9c1d",
    }
    delivery |= {"reason": "not ready in time", "committed_at": None, "created_at": 1.0, "ended_at": 2.0}
    out = Console(width=width, record=True, file=io.StringIO())
    out.print(runs_table([run], narrow=width < NARROW))
    out.print(deliveries_table([delivery], narrow=width < NARROW))
    text = out.export_text()
    assert "…" not in text
    for whole in ("12", "✗ failure", "4f2a9c1", "✗ rolled back"):
        assert whole in text
    assert "not" in text


def test_the_log_of_a_failure_holds_no_values() -> None:
    code = """
import structlog
from windlass.cli import logs
def open_it(secret):
    raise ValueError("no")
for write in (lambda: logs.write_server_logs(verbose=True), logs.write_errors_only):
    write()
    try:
        open_it("hunter" + str(2))
    except ValueError:
        structlog.get_logger().exception("failed")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.count("ValueError: no") == 2
    assert "hunter2" not in done.stderr


def test_a_run_shows_the_numbers_that_logs_takes_and_no_time_of_what_was_skipped() -> None:
    job: dict[str, Any] = {
        "status": "completed",
        "reason": None,
        "created_at": 1.0,
        "started_at": None,
        "finished_at": 9.0,
    }
    step = {"step": 4, "name": "Test", "status": "completed", "conclusion": "failure", "seconds": 1.5}
    run: dict[str, Any] = {
        "id": 2,
        "title": "A",
        "workflow": "ci",
        "number": 2,
        "repository": "acme/app",
        "ref": "main",
    }
    run |= {"sha": "4f2a9c1", "actor": "anna", "created_at": 1.0, "status": "completed", "replay_of": None}
    found: dict[str, Any] = {
        "run": {**run, "conclusion": "failure", "reason": None},
        "url": "http://here",
        "pins": {},
    }
    found |= {"images": [], "first_error": None}
    failed: dict[str, Any] = {
        **job,
        "name": "test",
        "conclusion": "failure",
        "steps": [step],
        "started_at": 2.0,
    }
    skipped: dict[str, Any] = {**job, "name": "deploy", "conclusion": "skipped", "steps": []}
    out = Console(width=80, record=True, file=io.StringIO())
    show_run({**found, "jobs": [failed, skipped]}, out)
    text = out.export_text()
    assert "✗ failure  4 Test  1.50 s" in text
    assert "8.00 s" not in text


def test_the_trace_of_a_bad_version_says_why_and_what_helps() -> None:
    row: dict[str, Any] = dict.fromkeys((*STAMPS, "revert_commit"))
    row |= {"id": 3, "application": "argocd/app", "revision": "5e50043f", "state": "rolled_back"}
    row |= {"reason": "pod app-1 crashes", "created_at": 1.0, "url": "http://here/deliveries/3"}
    hold = {"workload": "Deployment/prod/app", "application": "argocd/app"}
    tree = Tree("")
    draw_delivery(
        tree,
        {"delivery": row, "last_words": ["  KeyError: '[red]'"], "holds": [hold], "command": "git revert"},
    )
    out = Console(width=80, record=True, file=io.StringIO())
    out.print(tree)
    text = out.export_text()
    for said in ("KeyError: '[red]'", "windlass holds release argocd/app", "git revert", "http://here"):
        assert said in text


def test_a_listing_breaks_what_is_too_wide_and_never_cuts_it() -> None:
    address = "http://127.0.0.1:8700/acme/agent-task-service.git"
    table = listing("repository", "applications", "address", whole=frozenset({"address"}))
    table.add_row("acme/agent-task-service", "argocd/applications", address)
    out = Console(width=80, record=True, file=io.StringIO())
    out.print(table)
    text = out.export_text()
    assert address in text
    assert "…" not in text
