"""How states, times and names look in the terminal."""

from __future__ import annotations

import os
import sys
import time

from rich.console import Console
from rich.table import Table

PIPED = 240
"""Characters of a line that nobody's terminal wraps: a program reads it."""

GOOD = {"success", "live", "Synced", "Healthy"}
BAD = {"failure", "failed", "rolled_back", "held", "timed_out", "Degraded", "lost"}
MOVING = {"in_progress", "applying", "verifying", "progressing", "cutting_over", "Progressing"}
MARKS = {"green": "✓", "red": "✗", "blue": "●", "yellow": "·"}


def console() -> Console:
    """Make the console for standard output; what is piped is not cut to the width of a terminal."""
    wide = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    return Console(width=PIPED if wide else None)


def listing(*columns: str, whole: frozenset[str] = frozenset()) -> Table:
    """Make a table that breaks what is too wide and never cuts it; columns in `whole` are not broken either."""
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column in whole)
    return table


def colour(state: str | None) -> str:
    """Choose the colour of a state."""
    if state in GOOD:
        return "green"
    if state in BAD:
        return "red"
    return "blue" if state in MOVING else "yellow"


def mark(state: str | None) -> str:
    """Draw a coloured mark with the state's name."""
    shade = colour(state)
    return f"[{shade}]{MARKS[shade]} {(state or 'unknown').replace('_', ' ')}[/]"


def duration(seconds: float | None) -> str:
    """Say a duration: 0.42 s, 12.3 s, 3 min 5 s."""
    if seconds is None:
        return ""
    if seconds < 10:
        return f"{seconds:.2f} s"
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{int(seconds // 60)} min {round(seconds % 60)} s"


def ago(at: float | None) -> str:
    """Say how long ago a time is."""
    if not at:
        return ""
    seconds = max(0, int(time.time() - at))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"


def short(sha: str | None) -> str:
    """Shorten a commit or a digest as git does."""
    return (sha or "").removeprefix("sha256:")[:7]


def branch(ref: str) -> str:
    """Return the name of a branch or tag without `refs/…/`."""
    return ref.removeprefix("refs/heads/").removeprefix("refs/tags/")
