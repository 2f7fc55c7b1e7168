"""What is said at the end: summaries, warnings, artifacts, coverage, and the first error last."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.rule import Rule
from rich.text import Text

from windlass.cli.looks import duration
from windlass.cli.running.model import clean, said

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from windlass.cli.running.model import Event, JobView, Model, RunView

LAST_LINES = 15
MAX_ANNOTATIONS = 10
WORDS = {"success": "succeeded", "failure": "failed", "cancelled": "was cancelled", "skipped": "was skipped"}
COLOURS = {"success": "green", "failure": "red", "cancelled": "yellow", "skipped": "yellow"}
MARKS = {"success": "✓", "failure": "✗", "cancelled": "⊘", "skipped": "-"}


def show(console: Console, model: Model) -> None:
    """Say all of it. What failed comes last, and its first error is the last thing on the screen."""
    runs = sorted(model.runs.values(), key=lambda run: run.conclusion == "failure")
    for run in runs:
        for part in _told(run, console):
            console.print(part)
    for run in runs:
        for part in _concluded(run):
            console.print(part, soft_wrap=True, highlight=False)


def _told(run: RunView, console: Console) -> list[RenderableType]:
    parts: list[RenderableType] = []
    for summary in run.ending.get("summaries", ()):
        title = f"{summary['name']} / {summary['step']}"
        body = _rendered(summary["markdown"]) if console.is_terminal else Text(summary["markdown"].rstrip())
        parts += [Rule(title, style="dim", align="left"), body]
    if summaries := bool(parts):
        parts.append(Rule(style="dim"))
    parts += _annotations(run.ending.get("annotations", ()))
    for artifact in run.ending.get("artifacts", ()):
        parts.append(Text.assemble(("artifact  ", "dim"), f"{artifact['name']}  ", (f"{artifact['path']}", "cyan"),
                                   (f"  {size(artifact['size'])}", "dim")))  # fmt: skip
    for image in run.ending.get("images", ()):
        parts.append(Text.assemble(("image     ", "dim"), f"{image['image']}@{image['digest']}"))
    if run.ending.get("coverage") is not None:
        parts.append(Text.assemble(("coverage  ", "dim"), f"{run.ending['coverage']:g} %"))
    return [Text(""), *parts] if parts and not summaries else parts


def _rendered(markdown: str) -> RenderableType:
    from rich.markdown import Markdown

    return Markdown(markdown)


def _annotations(found: Any) -> list[RenderableType]:
    """Show warnings and notices; errors are said with what failed."""
    shown = [item for item in found if item["level"] in {"warning", "notice"}]
    lines: list[RenderableType] = []
    for item in shown[:MAX_ANNOTATIONS]:
        where = f"{item['file']}:{item['line']}: " if item["file"] and item["line"] else ""
        colour = "yellow" if item["level"] == "warning" else "blue"
        first = item["message"].splitlines()[0] if item["message"] else ""
        lines.append(
            Text.assemble((f"{item['level']:8}  ", colour), (f"{item['name']}: ", "dim"), f"{where}{first}")
        )
    if len(shown) > MAX_ANNOTATIONS:
        lines.append(Text(f"          and {len(shown) - MAX_ANNOTATIONS} more", "dim"))
    return lines


def _concluded(run: RunView) -> list[RenderableType]:
    conclusion = run.conclusion or "cancelled"
    jobs = [job for job in run.jobs.values() if job.asked]
    good = sum(job.conclusion == "success" for job in jobs)
    mark, colour = MARKS.get(conclusion, "?"), COLOURS.get(conclusion, "yellow")
    head = Text.assemble((f"{mark} {run.workflow} ", f"bold {colour}"), (WORDS.get(conclusion, conclusion), colour),
                         (f"  {good} of {len(jobs)} jobs  {duration(run.seconds)}", "dim"))  # fmt: skip
    if conclusion != "failure":
        return [Text(""), head]
    return [Text(""), head, *_failures(run), *_first_error(run)]


def _failures(run: RunView) -> list[RenderableType]:
    """Name what failed besides the first error."""
    first = (run.ending.get("error") or {}).get("job")
    others = [
        job for job in run.jobs.values() if job.conclusion in {"failure", "timed_out"} and job.id != first
    ]
    return [Text.assemble(("  ✗ ", "red"), f"{job.name}  ", (_why(job), "dim")) for job in others]


def _why(job: JobView) -> str:
    step = job.failed_step
    return f"{step.name}: {job.reason}" if step else job.reason


def _first_error(run: RunView) -> list[RenderableType]:
    """Return the failing step's last lines, where the rest is, and the error itself."""
    error: Event = run.ending.get("error") or {}
    if not error:
        return []
    parts: list[RenderableType] = []
    where = " / ".join(part for part in (error["name"], error["step"]) if part)
    lines = [clean(line) for line in said(error["log"]) if line != "##[endgroup]"]
    if lines:
        parts.append(Text(f"  {where}" if where else "", "bold"))
        parts += [Text("    ") + Text.from_ansi(line) for line in lines[-LAST_LINES:]]
    if error.get("path") and Path(error["path"]).exists():
        parts.append(Text.assemble(("  whole log  ", "dim"), (error["path"], "cyan")))
    job = run.jobs.get(error.get("job") or "")
    if job is not None and job.remedy:
        parts.append(Text.assemble(("  what helps  ", "dim"), job.remedy))
    place = f"{error['file']}:{error['line']}: " if error["file"] and error["line"] else ""
    message = error["message"].strip().splitlines() or ["failed"]
    parts.append(Text.assemble(("✗ ", "bold red"), (f"{where}: " if where else "", "bold"), (place, "bold"),
                               Text.from_ansi("\n    ".join(message[:6]), style="red")))  # fmt: skip
    return parts


def size(number: int) -> str:
    """Say a number of bytes."""
    amount = float(number)
    for unit in ("B", "kB", "MB"):
        if amount < 1000:
            return f"{amount:.3g} {unit}"
        amount /= 1000
    return f"{amount:.3g} GB"
