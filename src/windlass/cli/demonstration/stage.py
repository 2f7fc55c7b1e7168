"""What the audience sees: steps with their durations, what git said, and figures at the end."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from windlass.cli.looks import branch, short

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from windlass.cli.demonstration.story import Outcome

LINE = {
    "push_to_first_step": "push → first step",
    "test": "test",
    "build": "build",
    "publish": "publish",
    "commit_to_applied": "GitOps commit → applied",
    "applied_to_ready": "applied → ready",
    "ready_to_verified": "ready → verified",
    "total": "total",
}
FAULT = {
    "applied_to_old_alone": "applied → old version alone serving",
    "applied_to_reverted": "applied → reverted in git",
    "verdict_to_traffic_back": "verdict → traffic back",
}


class Stage:
    """Prints the demo as it goes."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._number = 0

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Announce a step, and say afterwards how long it took."""
        self._number += 1
        self.console.print(f"\n[bold]{self._number}. {escape(title)}[/]")
        begun = time.monotonic()
        yield
        self.console.print(f"   [dim]{time.monotonic() - begun:.1f} s[/]")

    def said(self, line: str) -> None:
        """Show what git (or somebody else) said."""
        self.console.print(f"   [dim]│[/] {escape(line)}", highlight=False, soft_wrap=True)

    def good(self, text: str) -> None:
        """Say what was shown to be so."""
        self.console.print(f"   [green]✓[/] {escape(text)}", highlight=False, soft_wrap=True)


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.2f} s"


def lines_table(outcome: Outcome) -> Table:
    """Draw the segments of the good pushes."""
    table = Table(title="From push to verified", title_justify="left", box=None)
    table.add_column("segment")
    shown = {name: outcome.lines[name] for name in ("first", "repeated") if name in outcome.lines}
    for name in shown:
        table.add_column(name, justify="right")
    for key, label in LINE.items():
        table.add_row(label, *(_cell(getattr(line, key)) for line in shown.values()))
    return table


def faults_table(outcome: Outcome) -> Table:
    """Draw how the bad ones were undone."""
    table = Table(title="And back", title_justify="left", box=None)
    table.add_column("segment")
    for name in outcome.faults:
        table.add_column(name, justify="right")
    for key, label in FAULT.items():
        table.add_row(label, *(_cell(getattr(fault, key)) for fault in outcome.faults.values()))
    return table


def users_table(outcome: Outcome) -> Table:
    """Draw what the load client saw."""
    table = Table(title="What users saw", title_justify="left", box=None)
    for column in ("during", "answers", "a second", "bad", "slowest"):
        table.add_column(column, justify="left" if column == "during" else "right")
    for name, seen in outcome.seen.items():
        table.add_row(
            name, str(seen.answers), f"{seen.rate:.0f}", str(seen.bad), f"{seen.slowest * 1000:.0f} ms"
        )
    return table


def chain_text(outcome: Outcome) -> str:
    """Write the chain of the last good commit on a few lines."""
    chain = outcome.chain
    run = chain["runs"][0]["run"]
    image = chain["runs"][0]["images"][0]
    found = chain["deliveries"][-1]
    row = found["delivery"]
    seen = [item["data"] for item in found["evidence"] if item["kind"] == "verification-live"]
    pods = ", ".join(
        dict.fromkeys(answer["pod"] for answers in seen for answer in answers if not answer["fault"])
    )
    return (
        f"commit {short(chain['commit']['sha'])} ({branch(run['ref'])}) → run {run['id']} → {image['digest'][:19]}… "
        f"→ GitOps commit {short(row['revision'])} → delivery {row['id']} → pods {pods}"
    )
