from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from windlass.cli.lint import coloured, lint

GOOD = "on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n      - run: ls\n"
BAD = GOOD.replace("ls", "echo ${{ github.event.head_commit.message }}")
WARNED = GOOD.replace("run: ls", "uses: acme/x@v1")


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in (".git", ".github/workflows", ".github/actions/y", "deep/er", "tools/z"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(root: Path, name: str, text: str) -> None:
    (root / name).write_text(text, "utf-8")


def call(*arguments: str, stdin: str | bytes | None = None) -> Result:
    return CliRunner().invoke(lint, arguments, input=stdin)


def test_the_exit_code_tells_errors_from_warnings(checkout: Path) -> None:
    write(checkout, ".github/workflows/a.yml", GOOD)
    assert call().exit_code == 0
    write(checkout, ".github/workflows/b.yaml", WARNED)
    assert call().exit_code == 0
    write(checkout, ".github/workflows/c.yml", BAD)
    result = call()
    assert result.exit_code == 1
    assert result.output.splitlines()[-1] == "1 error, 1 warning in 3 files"


def test_wrong_calls_end_with_2(checkout: Path) -> None:
    assert call().exit_code == 2  # nothing to look at
    write(checkout, ".github/workflows/a.yml", BAD)
    for wrong in (
        ["nowhere.yml"],
        ["--format", "x"],
        ["--severity", "x"],
        ["deep"],
        ["--ignore", "scriptinjection"],
    ):
        assert call(*wrong).exit_code == 2, wrong
    assert "Did you mean 'script-injection'?" in call("--ignore", "scriptinjection").output


def test_the_checkout_is_found_from_below_and_shown_from_here(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(checkout, ".github/workflows/a.yml", BAD)
    monkeypatch.chdir(checkout / "deep" / "er")
    assert call().output.startswith("../../.github/workflows/a.yml:6:19: error: ")
    assert call("--format", "github").output.startswith("::error file=.github/workflows/a.yml,line=6,")


def test_actions_of_the_checkout_are_looked_at(checkout: Path) -> None:
    action = "name: x\nruns:\n  using: composite\n  steps:\n    - {shell: bash, run: 'echo ${{ github.head_ref }}'}\n"
    write(checkout, ".github/workflows/a.yml", GOOD.replace("run: ls", "uses: ./tools/z"))
    for name in ("action.yml", ".github/actions/y/action.yaml", "tools/z/action.yml"):
        write(checkout, name, action)
    found = json.loads(call("--format", "json").output)
    assert [item["file"] for item in found["diagnostics"]] == [
        "action.yml",
        ".github/actions/y/action.yaml",
        "tools/z/action.yml",
    ]


def test_paths_are_files_and_folders(checkout: Path, tmp_path: Path) -> None:
    write(checkout, ".github/workflows/a.yml", BAD)
    write(checkout, "deep/b.yml", BAD)
    for path in (str(checkout), ".github/workflows/a.yml", "deep", "deep/b.yml"):
        assert call(path).output.splitlines()[-1] == "1 error in 1 file", path


def test_standard_input(checkout: Path) -> None:
    result = call("-", stdin=BAD)
    assert (result.exit_code, result.output.split(":")[0]) == (1, "<stdin>")
    assert call("-", stdin="runs: {using: node24, main: x.js}\n").exit_code == 0
    assert call("-", stdin=b"\xff\xfe\x00").exit_code == 1


def test_what_is_not_wanted_is_left_out(checkout: Path) -> None:
    write(
        checkout,
        ".github/workflows/a.yml",
        BAD.replace("      - run", "      - uses: acme/x@v1\n      - run"),
    )
    assert (
        call("--ignore", "script-injection,unpinned-action").output == "1 file, nothing wrong (2 ignored)\n"
    )
    assert call("--severity", "error").output.endswith(
        "1 error in 1 file (1 milder not shown: --severity info)\n"
    )
    assert call("--trust", "ACME").output.endswith("\n1 error in 1 file\n")


def test_the_owners_own_actions_are_no_third_partys(checkout: Path) -> None:
    write(checkout, ".github/workflows/a.yml", WARNED)
    for url in ("https://github.com/Acme/app.git", "git@github.com:acme/app", "ssh://git@host/acme/app.git"):
        write(
            checkout,
            ".git/config",
            f'[core]\n\tbare = false\n[remote "origin"]\n\turl = {url}\n\tfetch = x\n',
        )
        assert call().output == "1 file, nothing wrong\n", url
    write(checkout, ".git/config", '[remote "origin"]\n\turl = https://github.com/other/acme.git\n')
    assert call().output.endswith("1 warning in 1 file\n")


def test_local_files_stay_inside_the_checkout(
    checkout: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("outside")
    write(outside, "action.yml", "name: secret\nruns: {using: composite, steps: []}\ninputs: {hidden: {}}\n")
    (checkout / "link").symlink_to(outside)
    write(checkout, ".github/workflows/a.yml", GOOD.replace("run: ls", "{uses: ./link, with: {a: b}}"))
    result = call("--severity", "info")
    assert result.output == "1 file, nothing wrong\n"


def test_formats(checkout: Path) -> None:
    write(checkout, ".github/workflows/a.yml", BAD)
    log = json.loads(call("--format", "sarif").output)
    result = log["runs"][0]["results"][0]
    assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == ".github/workflows/a.yml"
    assert call("--format", "github", "--ignore", "script-injection").output == ""
    as_json = call("--json")
    assert json.loads(as_json.output) == json.loads(call("--format", "json").output)
    assert as_json.exit_code == 1


def test_rules_are_listed_and_each_has_its_section() -> None:
    codes = [line.split()[0] for line in call("--list-rules").output.split("\n\n")[0].splitlines()]
    assert "script-injection" in codes
    page = (Path(__file__).parents[2] / "docs" / "lint.md").read_text("utf-8")
    sections = page.split("\n## ")[1:]
    found = {section.splitlines()[0]: section for section in sections}
    for code in codes:
        assert code in found, f"docs/lint.md has no section {code}"
        assert found[code].count("```") >= 4, f"{code} shows no example and fix"


def test_examples_of_the_page_are_found_and_its_fixes_are_clean() -> None:
    page = (Path(__file__).parents[2] / "docs" / "lint.md").read_text("utf-8")
    for section in page.split("\n## ")[1:]:
        code = section.splitlines()[0]
        blocks = [block.removeprefix("yaml\n") for block in section.split("```")[1::2]]
        if len(blocks) < 2 or not section.count("```yaml"):
            continue
        for block, expected in zip(blocks[:2], (True, False), strict=True):
            arguments = ("-", "--format", "json", "--severity", "info")
            found = json.loads(call(*arguments, stdin=block).output)["diagnostics"]
            assert (code in {item["code"] for item in found}) is expected, f"{code}: {block}\n{found}"
            others = {item["code"] for item in found if item["severity"] == "error"} - {code}
            assert not others, f"{code}: {block}\n{found}"


def test_colours_are_for_terminals_that_want_them(monkeypatch: pytest.MonkeyPatch, checkout: Path) -> None:
    write(checkout, ".github/workflows/a.yml", BAD)
    assert "\x1b" not in call().output
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert coloured()
    monkeypatch.setenv("NO_COLOR", "1")
    assert not coloured()


def test_an_ordinary_repository_takes_far_less_than_a_second(checkout: Path) -> None:
    steps = "".join(
        f"      - uses: actions/checkout@v6\n      - name: Step {n}\n        if: github.ref == 'refs/heads/main'\n"
        f"        env: {{A: '${{{{ github.sha }}}}'}}\n        run: |\n          echo ${{{{ github.run_id }}}}\n"
        for n in range(8)
    )
    jobs = "".join(f"  job{n}:\n    runs-on: x\n    steps:\n{steps}" for n in range(3))
    for n in range(6):  # about 150 lines each
        write(checkout, f".github/workflows/{n}.yml", f"on: push\njobs:\n{jobs}")
    call()
    best = min(_seconds() for _ in range(5))
    assert best < 1.0


def _seconds() -> float:
    begun = time.perf_counter()
    assert call().exit_code == 0
    return time.perf_counter() - begun


def test_it_is_a_command_of_windlass(checkout: Path) -> None:
    write(checkout, ".github/workflows/a.yml", BAD)
    environment = {**os.environ, "NO_COLOR": "1"}
    command = [sys.executable, "-m", "windlass", "lint"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.endswith("1 error in 1 file\n")
