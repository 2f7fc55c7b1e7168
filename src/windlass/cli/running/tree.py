"""The live tree: every job with what it is doing, drawn so that it fits the screen, whatever there is. Pure."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.text import Text

from windlass.cli.looks import duration
from windlass.cli.running.model import FAILED, clean

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from windlass.cli.running.model import JobView, Model, RunView, StepView

SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
MARKS = {
    "success": ("✓", "green"),
    "failure": ("✗", "red"),
    "timed_out": ("✗", "red"),
    "cancelled": ("⊘", "yellow"),
    "skipped": ("-", "yellow"),
    "waiting": ("·", "dim"),
}
TAIL = 3
"""Lines of output below a running step, where there is room."""


def frame(model: Model, height: int, width: int, now: float | None = None) -> list[Text]:
    """Return what the screen shows: all of it where that fits, else what runs, what failed, and counts."""
    now = time.time() if now is None else now
    for detail in (3, 2, 1, 0):
        lines = [line for run in model.runs.values() for line in _run(model, run, detail, now)]
        if len(lines) <= height:
            break
    if len(lines) > height:
        lines = [*lines[: height - 1], Text(f"  … {len(lines) - height + 1} more", "dim")]
    for line in lines:
        line.truncate(width, overflow="ellipsis")
        line.no_wrap = True
    return lines


def final(model: Model, height: int) -> list[Text]:
    """Return what stays on the screen: each job with the steps of those that failed; counts, where it is too much."""
    for detail in (2, 0):
        lines = [
            line for run in model.runs.values() for line in _run(model, run, detail, time.time(), over=True)
        ]
        if len(lines) <= height:
            break
    return lines


def _run(model: Model, run: RunView, detail: int, now: float, *, over: bool = False) -> list[Text]:
    """Draw a run. 3: steps and output; 2: steps of what runs; 1: one line a job; 0: what is done is counted."""
    head = Text.assemble((run.workflow, "bold"), (f"  {run.path.rpartition('/')[2]} on {run.event}", "dim"))
    if model.cancelling and not over:
        head.append(
            "  cancelling, Ctrl-C once more kills" if model.cancelling == 1 else "  killing", "yellow"
        )
    asked = [job for job in run.jobs.values() if job.asked]
    shown, counted = _chosen(asked, detail)
    lines = [head, *_counts(counted)]
    for job in shown:
        lines += _job(job, detail, now, over=over)
    return lines


def _chosen(jobs: Sequence[JobView], detail: int) -> tuple[list[JobView], list[JobView]]:
    """Return the jobs to draw and those that are only counted."""
    if detail > 0:
        return list(jobs), []
    loud = {"running", *FAILED}
    return [job for job in jobs if job.state in loud], [job for job in jobs if job.state not in loud]


def _counts(jobs: Iterable[JobView]) -> list[Text]:
    found: dict[str, int] = {}
    for job in jobs:
        found[job.state] = found.get(job.state, 0) + 1
    if not found:
        return []
    line = Text("  ")
    for state, count in found.items():
        mark, colour = MARKS.get(state, ("·", "dim"))
        line.append(f"{mark} {count} {state}   ", colour)
    return [line]


def _job(job: JobView, detail: int, now: float, *, over: bool) -> list[Text]:
    mark, colour = _mark(job.state, now)
    inset = "  " * job.depth
    strong = "bold" if job.state in {"running", *FAILED} else ""
    line = Text.assemble((f"{inset}  {mark} ", colour), (job.name, strong))
    seconds = job.seconds if job.conclusion else now - job.began if job.began is not None else None
    if seconds is not None:
        line.append(f"  {duration(seconds)}", "dim")
    if job.reason and job.conclusion != "success" and not job.failed_step:
        line.append(f"  {job.reason}", "dim" if job.state == "waiting" else colour)
    if detail == 1 and job.state == "running" and (step := job.step) is not None:
        line.append(f"  {step.name}", "dim")
    if not _opened(job, detail, over=over):
        return [line]
    return [line, *_steps(job, inset, now, output=detail == 3)]


def _opened(job: JobView, detail: int, *, over: bool) -> bool:
    """Whether a job's steps are drawn: of what runs or failed and, where there is room, of what was cancelled."""
    if detail < 2 or job.state in {"success", "waiting", "skipped"}:
        return False
    return job.state in {"running", *FAILED} or detail == 3 or over


def _steps(job: JobView, inset: str, now: float, *, output: bool) -> list[Text]:
    lines: list[Text] = []
    for step in job.shown_steps():
        if step.conclusion == "skipped" and job.conclusion:
            continue
        lines.append(_step(step, inset, now))
        if output and step.conclusion is None:
            said = [clean(line) for line in step.lines if clean(line).strip()][-TAIL:]
            bar = Text.assemble(f"{inset}        ", ("│ ", "dim"))
            lines += [bar + Text.from_ansi(line, style="dim") for line in said]
    return lines


def _step(step: StepView, inset: str, now: float) -> Text:
    mark, colour = _mark(step.conclusion or "running", now)
    seconds = step.seconds if step.conclusion else now - step.began
    strong = "" if step.conclusion in {None, *FAILED} else "dim"
    head = (f"{inset}      {mark} ", colour)
    return Text.assemble(head, (step.name, strong), (f"  {duration(seconds)}", "dim"))


def _mark(state: str, now: float) -> tuple[str, str]:
    if state == "running":
        return SPINNER[int(now * 10) % len(SPINNER)], "blue"
    return MARKS.get(state, ("?", "yellow"))
