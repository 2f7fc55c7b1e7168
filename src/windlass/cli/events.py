"""How schedules, and what happened beside pushes, look in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table

from windlass.cli.looks import ago, branch

if TYPE_CHECKING:
    from rich.console import Console


def show_schedules(rows: list[dict[str, Any]], out: Console) -> None:
    """Draw schedules: what each waits for, and what was missed."""
    if not rows:
        out.print("No schedules: give a workflow on a default branch `on: schedule`.")
        return
    table = Table(box=None, pad_edge=False)
    for column in ("what", "where", "cron", "waits for", "last", "missed"):
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(
            escape(row["workflow"]),
            f"{row['repository']}/{escape(row['path'].rpartition('/')[2])}",
            escape(f"{row['cron']} {row['timezone']}"),
            escape(row["reason"]["text"].removeprefix("waits for its time, ")),
            ago(row["fired_at"]),
            str(row["missed"] or ""),
        )
    out.print(table)


def show_events(rows: list[dict[str, Any]], out: Console) -> None:
    """Draw what happened: how many runs it started, or why none."""
    if not rows:
        out.print("Nothing has happened but pushes.")
        return
    table = Table(box=None, pad_edge=False)
    for column in ("id", "event", "where", "by", "when", "runs"):
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(
            str(row["id"]),
            escape(f"{row['event']} {row['action']}".strip()),
            f"{row['repository']} {escape(branch(row['ref']))}".strip(),
            escape(row["actor"]),
            ago(row["created_at"]),
            str(row["runs"]) if row["runs"] else f"[yellow]{escape(row['reason'] or 'not planned yet')}[/]",
        )
    out.print(table)
