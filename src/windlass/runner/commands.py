"""Workflow commands in a step's output: `::name key=value::data` and the older `##[name key=value]data`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_UNESCAPED = (("%0D", "\r"), ("%0A", "\n"))
_UNESCAPED_PROPERTY = (*_UNESCAPED, ("%3A", ":"), ("%2C", ","))
_UNESCAPED_OLD = (("%3B", ";"), ("%0D", "\r"), ("%0A", "\n"), ("%5D", "]"))

_FIRST = re.compile(rb"[ \t\r\v\f]*::")
_LATER = re.compile(rb"\n[ \t\r\v\f]*::")  # what begins with one certain byte is found fast

ECHOED = frozenset({"add-matcher", "remove-matcher", "save-state", "set-output"})
"""Those that `::echo::on` shows in the log; all others are there anyway, or better not."""
COMMANDS = frozenset(
    {
        "add-mask", "add-matcher", "add-path", "debug", "echo", "endgroup", "error", "group", "notice",
        "remove-matcher", "save-state", "set-env", "set-output", "stop-commands", "warning",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Command:
    """One command with its properties (keys in lower case) and data, unescaped."""

    name: str
    data: str = ""
    properties: dict[str, str] = field(default_factory=dict)
    line: str = field(default="", compare=False)
    """As it was printed."""


def parse(line: str) -> Command | None:
    """Return the command that this line of output is, known or not, or None.

    Follows the runner's `ActionCommand`: `::` must be the first thing on the line but white space, while
    `##[` may stand anywhere on it.
    """
    if "::" in line and (found := _parse_new(line.lstrip())):
        return found
    return _parse_old(line) if "##[" in line else None


def candidates(block: bytes) -> Iterator[tuple[int, int]]:
    """Yield begin and end of the lines of a block that may be commands, in order; cheap where there are none."""
    at = 0
    while (begin := _next(block, at)) >= 0:
        end = block.find(b"\n", begin)
        at = len(block) if end < 0 else end + 1
        yield begin, at


def _next(block: bytes, at: int) -> int:
    """Return where the next line begins that may be a command, -1 for none. A line begins at `at`."""
    if _FIRST.match(block, at):
        return at
    found = _LATER.search(block, at)
    new = found.start() + 1 if found else -1
    if b"#" in block and (old := block.find(b"##[", at)) >= 0:
        old = block.rfind(b"\n", at, old) + 1 or at
        return old if new < 0 else min(old, new)
    return new


def _parse_new(line: str) -> Command | None:
    if not line.startswith("::"):
        return None
    head, separator, data = line[2:].partition("::")
    name, _, rest = head.strip().partition(" ")
    if not separator or not name:
        return None
    return Command(name, _unescape(data, _UNESCAPED), _properties(rest, ",", _UNESCAPED_PROPERTY), line)


def _parse_old(line: str) -> Command | None:
    head, separator, data = line[line.index("##[") + 3 :].partition("]")
    name, _, rest = head.partition(" ")
    if not separator or name not in COMMANDS:
        return None
    return Command(name, _unescape(data, _UNESCAPED_OLD), _properties(rest, ";", _UNESCAPED_OLD), line)


def _properties(text: str, separator: str, table: tuple[tuple[str, str], ...]) -> dict[str, str]:
    found = {}
    for part in text.split(separator):
        key, equals, value = part.strip().partition("=")
        if equals and key:
            found[key.strip().lower()] = _unescape(value, table)
    return found


def _unescape(text: str, table: tuple[tuple[str, str], ...]) -> str:
    for escaped, plain in table:
        text = text.replace(escaped, plain)
    return text.replace("%25", "%")
