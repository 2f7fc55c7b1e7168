"""Log lines as people read them: without time stamps and colours, what is marked told apart. Pure."""

from __future__ import annotations

import re

STAMP = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z ")
COLOUR = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
MARK = re.compile(r"^##\[(error|warning|notice|group|command|debug)\]")
HIDDEN = "##[endgroup]"


def log_line(line: str) -> tuple[str, str] | None:
    """Return a line's class and text; None for one that only machines read. `static/log.js` does the same."""
    text = COLOUR.sub("", STAMP.sub("", line.rstrip("\r")))
    if text.startswith(HIDDEN):
        return None
    if text.startswith("==> "):
        return "step", text[4:]
    if text.startswith("[command]"):
        return "command", text[9:]
    if mark := MARK.match(text):
        return mark[1], text[mark.end() :]
    return ("error" if text.startswith("E   ") else ""), text


def log_lines(text: str) -> list[tuple[str, str]]:
    """Return the lines of a log that are shown."""
    return [found for line in text.splitlines() if (found := log_line(line)) is not None]
