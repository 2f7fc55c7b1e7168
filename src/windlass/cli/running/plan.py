"""`windlass run --dry-run`: what would run, in which order, and why something would not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.text import Text
from rich.tree import Tree

from windlass.cli.looks import console as make_console
from windlass.cli.running.model import heading

if TYPE_CHECKING:
    from collections.abc import Mapping

    from windlass.server.local.outline import Outline, OutlinedJob
    from windlass.server.local.run import Found, Request

MAX_LEGS = 24
MARKS = {
    "runs": ("●", "green"),
    "skipped": ("-", "yellow"),
    "unknown": ("?", "blue"),
    "invalid": ("✗", "red"),
}


def show_plan(found: Found, request: Request, variables: Mapping[str, str]) -> int:
    """Print it; exit code 1 where a job could not be planned."""
    from windlass.server.local.run import rehearse

    ready, outlines = rehearse(found, request, variables)
    console = make_console()
    for line in heading({"notes": ready.choice.notes, "changed": ready.snapshot.changed}):
        console.print(line, style="dim")
    for one in outlines:
        console.print(drawn(one), soft_wrap=True, highlight=False)
    return int(any(job.state == "invalid" for one in outlines for job in one.jobs))


def drawn(one: Outline) -> Tree:
    """Draw a workflow as a tree of its jobs."""
    head = Text.assemble((one.name, "bold"), (f"  {one.path} on {one.event}", "dim"))
    if one.title and one.title != one.name:
        head.append(f"  {one.title}", "italic")
    tree = Tree(head)
    for job in one.jobs:
        _add(tree, job)
    return tree


def _add(tree: Tree, job: OutlinedJob) -> None:
    mark, colour = MARKS[job.state]
    alone = job.legs[0] if len(job.legs) == 1 and job.legs[0].matrix is None else None
    line = Text.assemble((f"{mark} ", colour), (alone.name if alone else job.name, "bold"))
    if job.needs:
        line.append(f"  after {', '.join(job.needs)}", "dim")
    if alone:
        line.append(_details(alone), "dim")
    if job.reason:
        line.append(f"  {job.reason}", colour)
    branch = tree.add(line)
    for leg in job.legs[:MAX_LEGS] if alone is None else ():
        branch.add(Text.assemble(("● ", "green"), leg.name, (_details(leg), "dim")))
    if len(job.legs) > MAX_LEGS:
        branch.add(Text(f"and {len(job.legs) - MAX_LEGS} more", "dim"))
    if job.state != "skipped":
        for number, step in enumerate(job.steps, 1):
            branch.add(Text(f"{number:2} {step}", "dim"))


def _details(leg: Any) -> str:
    """Say what is special about a job: what it calls, where it runs, what it waits for."""
    given = leg.definition
    parts = [f"calls {leg.uses}"] if leg.uses else [f"on {', '.join(leg.runs_on)}"] if leg.runs_on else []
    container = given.get("container")
    if container:
        parts.append(f"in {container.get('image') if isinstance(container, dict) else container}")
    if given.get("services"):
        parts.append(f"with {', '.join(given['services'])}")
    if leg.environment:
        parts.append(f"to {leg.environment.name}")
    if leg.concurrency:
        parts.append(f"group {leg.concurrency.group}")
    return "  " + ", ".join(parts) if parts else ""
