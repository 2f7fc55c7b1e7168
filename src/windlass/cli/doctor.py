"""`windlass doctor`: each part, its version, where it comes from, and the fix for what is missing."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table

from windlass import __version__
from windlass.cli.client import json_option, print_json
from windlass.cli.parts import Finding, survey

if TYPE_CHECKING:
    from collections.abc import Sequence


def render(findings: Sequence[Finding], console: Console) -> None:
    """Draw the table, and below it the commands that help."""
    table = Table(box=None, pad_edge=False)
    for column in ("", "part", "version", "from", "for"):
        table.add_column(column, overflow="fold", style="dim" if column in {"from", "for"} else None)
    python = ".".join(map(str, sys.version_info[:3]))
    table.add_row("[green]✓[/]", "Windlass", __version__, sys.prefix, "all of it")
    table.add_row("[green]✓[/]", "Python", python, sys.base_prefix, "Windlass")
    for finding in findings:
        missing = "[red]✗[/]" if finding.part.needed else "[yellow]·[/]"
        version = finding.version or ("[red]missing[/]" if finding.part.needed else "not here")
        mark = "[green]✓[/]" if finding.path else missing
        table.add_row(mark, finding.part.name, version, finding.source, finding.part.purpose)
    console.print(table)
    for finding in findings:
        if not finding.path:
            need = "needed" if finding.part.needed else "optional"
            console.print(
                f"\n{finding.part.name} ({need}, {finding.part.purpose}):\n  [bold]{finding.fix}[/]"
            )


@click.command()
@json_option
def doctor(*, as_json: bool) -> None:
    """Show what Windlass uses on this machine, and what is missing.

    Exit code 0 when everything needed is here, 1 otherwise.
    """
    findings = survey()
    missing = [finding for finding in findings if finding.part.needed and not finding.path]
    if as_json:
        rows = [{**asdict(finding), "ok": bool(finding.path)} for finding in findings]
        print_json({"windlass": __version__, "ok": not missing, "parts": rows})
    else:
        render(findings, Console())
    raise SystemExit(1 if missing else 0)
