"""The table that people look at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

    from bench.rows import Report, Row

UNITS = {"requests/s": "/s", "expressions/s": "/s"}
BUSY = 0.5
"""The load for each core above which the machine counts as busy."""


def number(value: float) -> str:
    """Write a figure with three digits that tell something."""
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def _ratio(row: Row) -> str:
    good = row.ratio <= 1.0 if row.better == "less" else row.ratio >= 1.0
    return f"[{'green' if good else 'bold'}]{row.ratio:.2f} ×[/]"


def _target(row: Row) -> str:
    if row.target is None:
        return ""
    sign = "≤" if row.better == "less" else "≥"
    return f"[{'green' if row.met else 'red'}]{sign} {number(row.target)}[/]"


def at_the_start(machine: dict[str, Any]) -> Text:
    """Say how busy the machine is before anything is measured: figures of a busy machine lie."""
    load, cores = machine["load_before"], machine["cores"]
    text = f"{cores} cores ({machine['processor']}), load {load:.1f} before the start"
    if load <= cores * BUSY:
        return Text(f"{text}: quiet enough.", style="dim")
    return Text(
        f"{text}: this machine is busy. Figures will be too high; compare ratios only.", style="yellow"
    )


def machine_line(machine: dict[str, Any]) -> str:
    """Write where and when in one line."""
    return (
        f"{machine['cores']} cores ({machine['processor']}), {machine['system']}, Python {machine['python']}, "
        f"load {machine['load_before']:.1f} → {machine['load_after']:.1f}"
    )


def figures(rows: Sequence[Row]) -> Table:
    """Draw the figures."""
    table = Table(title="Windlass beside a reference of the same run", title_justify="left", box=SIMPLE_HEAD)
    table.add_column("", justify="right", style="dim")
    table.add_column("")
    for column in ("Windlass", "reference", "ratio", "target", "runs"):
        table.add_column(column, justify="right", no_wrap=True)
    for place, row in enumerate(rows, 1):
        unit = UNITS.get(row.unit, row.unit)
        table.add_row(
            str(place),
            f"{escape(row.name)}{' ↑' if row.better == 'more' else ''}",
            f"[bold]{number(row.ours)}[/] {unit}",
            f"{number(row.reference)} {unit}",
            _ratio(row),
            _target(row),
            str(row.runs),
        )
    return table


def notes(rows: Sequence[Row]) -> Table:
    """Say of each figure what it includes, what its reference is, and how far the measurements lay apart."""
    table = Table.grid(padding=(0, 1))
    for place, row in enumerate(rows, 1):
        mine, theirs = row.ours_range, row.reference_range
        spread = (
            f"{number(mine[0])}–{number(mine[1])} against {number(theirs[0])}–{number(theirs[1])} {row.unit}"
        )
        text = f"{row.includes}. Against {row.reference_is}. ({spread})"
        table.add_row(f"[dim]{place}[/]", f"[dim]{escape(text)}[/]")
    return table


def draw(report: Report) -> RenderableType:
    """Draw the whole report: figures, what they stand beside, what was left out."""
    parts: list[RenderableType] = [figures(report.rows), notes(report.rows), Text()]
    parts += [
        Text(f"left out: {name}: {why}", style="yellow") for name, why in sorted(report.skipped.items())
    ]
    parts += [Text(f"failed: {name}: {why}", style="red") for name, why in sorted(report.failed.items())]
    line = f"Medians; ↑: more is better. {machine_line(report.machine)}; {report.seconds:.0f} s in all."
    return Group(*parts, Text(line, style="dim"))
