"""`windlass run` on a terminal, seen through a pseudo terminal: the live tree, its end, and the shell on failure."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import shutil
import struct
import subprocess
import sys
import termios
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.integration
ROWS, COLUMNS = 24, 90
LIMIT = 60.0
SEQUENCE = re.compile(r"\x1b\[([?0-9;]*)([A-Za-z])")
WORKFLOW = """name: CI
on: push
jobs:
  lint:
    runs-on: ubuntu-latest
    steps:
      - name: Lint
        run: echo all fine
  test:
    needs: lint
    runs-on: ubuntu-latest
    steps:
      - name: Fetch
        run: echo kept > here.txt
      - name: Test
        env: {COLOUR: green}
        run: |
          echo looking around
          while [ ! -e "$GATE" ]; do sleep 0.05; done
          echo "AssertionError: one is not two"; exit 1
      - name: Tidy
        if: always()
        run: echo tidied
"""


@dataclass
class Screen:
    """What of a stream of control sequences ends up on a terminal: as much of one as the tree needs."""

    lines: list[list[str]] = field(default_factory=lambda: [[]])
    row: int = 0
    column: int = 0

    def feed(self, text: str) -> None:
        at = 0
        while at < len(text):
            if match := SEQUENCE.match(text, at):
                self._act(*match.groups())
                at = match.end()
                continue
            self._put(text[at])
            at += 1

    def _act(self, given: str, word: str) -> None:
        if word == "A":
            self.row = max(0, self.row - int(given or 1))
        elif word == "K":
            self.lines[self.row] = [] if given == "2" else self.lines[self.row][: self.column]

    def _put(self, char: str) -> None:
        if char == "\r":
            self.column = 0
        elif char == "\n":
            self.row += 1
            self.lines += [[] for _ in range(self.row + 1 - len(self.lines))]
        elif char.isprintable():
            line = self.lines[self.row]
            line += [" "] * (self.column + 1 - len(line))
            line[self.column] = char
            self.column += 1

    def text(self) -> str:
        return "\n".join("".join(line).rstrip() for line in self.lines)


class Terminal:
    """A child on a terminal of its own."""

    def __init__(self, argv: list[str], folder: Path, environment: dict[str, str]) -> None:
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self.child = subprocess.Popen(
            argv, cwd=folder, stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
            env={**os.environ, "TERM": "xterm-256color", **environment},
        )  # fmt: skip
        os.close(slave)
        self.master = master
        self.said = ""

    def read(self, seconds: float) -> bool:
        """Take what comes within this time; False at the end."""
        ready, _, _ = select.select([self.master], [], [], seconds)
        if not ready:
            return True
        try:
            data = os.read(self.master, 1 << 16)
        except OSError:
            return False
        self.said += data.decode("utf-8", "replace")
        return bool(data)

    def until(self, pattern: str) -> str:
        """Wait until the screen shows this, and return the screen."""
        end = time.monotonic() + LIMIT
        while time.monotonic() < end:
            more = self.read(0.2)
            if re.search(pattern, shown := self.screen()):
                return shown
            if not more:
                break
        raise AssertionError(f"{pattern!r} never came:\n{self.screen()}")

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def interrupt(self, pattern: str) -> None:
        """Type Ctrl-C until the screen shows this: one that comes before the shell's child has the terminal is lost."""
        end = time.monotonic() + LIMIT
        while not re.search(pattern, self.screen()):
            assert time.monotonic() < end, f"{pattern!r} never came:\n{self.screen()}"
            self.type("\x03")
            until = time.monotonic() + 1
            while time.monotonic() < until and not re.search(pattern, self.screen()):
                self.read(0.1)

    def screen(self) -> str:
        screen = Screen()
        screen.feed(self.said)
        return screen.text()

    def end(self) -> int:
        limit = time.monotonic() + LIMIT
        while self.read(0.2) and time.monotonic() < limit:
            pass
        return self.child.wait(timeout=LIMIT)

    def close(self) -> None:
        if self.child.poll() is None:
            self.child.kill()
            self.child.wait()
        os.close(self.master)


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    return tmp_path / "gate"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "app"
    (made / ".github" / "workflows").mkdir(parents=True)
    (made / ".github" / "workflows" / "ci.yml").write_text(WORKFLOW)
    return made


@pytest.fixture
def terminals(tmp_path: Path, folder: Path, gate: Path) -> Iterator[list[Terminal]]:
    made: list[Terminal] = []
    yield made
    for one in made:
        one.close()


def start(terminals: list[Terminal], folder: Path, gate: Path, *arguments: str) -> Terminal:
    path = folder / ".github" / "workflows" / "ci.yml"
    path.write_text(WORKFLOW.replace("$GATE", str(gate)))
    argv = [sys.executable, "-m", "windlass", "run", "--isolation", "host", *arguments]
    environment = {"XDG_CACHE_HOME": str(gate.parent / "cache"), "GIT_CONFIG_GLOBAL": os.devnull}
    terminals.append(Terminal(argv, folder, environment))
    return terminals[-1]


def test_the_tree_lives_and_the_error_is_last(terminals: list[Terminal], folder: Path, gate: Path) -> None:
    terminal = start(terminals, folder, gate)
    shown = terminal.until(r"│ looking around")
    assert re.search(r"✓ lint  [\d.]+ s", shown)
    assert re.search(r"[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏] test  [\d.]+ s", shown)
    assert re.search(r"✓ Fetch  [\d.]+ s", shown)
    assert re.search(r"[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏] Test  [\d.]+ s", shown)
    assert max(map(len, shown.splitlines())) <= COLUMNS
    gate.touch()
    assert terminal.end() == 1
    lines = [line for line in terminal.screen().splitlines() if line.strip()]
    assert lines[-1] == "✗ test / Test: AssertionError: one is not two"
    assert "⠋" not in terminal.screen()
    assert terminal.screen().count("✓ lint") == 1
    assert re.search(r"✓ Tidy", terminal.screen())


def test_ctrl_c_on_the_terminal(terminals: list[Terminal], folder: Path, gate: Path) -> None:
    terminal = start(terminals, folder, gate)
    terminal.until(r"│ looking around")
    os.killpg(terminal.child.pid, 2)
    assert terminal.end() == 130
    assert "CI was cancelled" in terminal.screen()
    assert re.search(r"✓ Tidy", terminal.screen())


def test_a_shell_where_the_step_failed(terminals: list[Terminal], folder: Path, gate: Path) -> None:
    if shutil.which("bash") is None:
        pytest.skip("no bash here")
    gate.touch()
    terminal = start(terminals, folder, gate, "--shell-on-failure")
    terminal.until(r"test / Test failed\. A shell in its sandbox")
    terminal.until(r"[#$]$")  # readline throws away what is typed before its prompt
    terminal.type('cat here.txt; echo "it is $COLOUR in $GITHUB_JOB"; tty >/dev/null && echo on-a-terminal\r')
    shown = terminal.until(r"\non-a-terminal")
    assert "AssertionError: one is not two" in shown
    assert "\nkept\nit is green in test\n" in shown
    terminal.type("echo on; sleep 1000\r")
    terminal.until(r"\non\n")
    terminal.interrupt(r"\^C\n.*[#$]$")
    terminal.type("stty size; exit\r")
    shown = terminal.until(r"the job goes on")
    assert f"{ROWS} {COLUMNS}" in shown
    assert terminal.end() == 1
    lines = [line for line in terminal.screen().splitlines() if line.strip()]
    assert lines[-1] == "✗ test / Test: AssertionError: one is not two"
    assert re.search(r"✓ Tidy", terminal.screen())
