"""`windlass runs` and `windlass logs`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.markup import escape
from rich.table import Table
from rich.tree import Tree

from windlass.cli.client import connect, data_option, json_option, print_json, say
from windlass.cli.events import show_events, show_schedules
from windlass.cli.looks import ago, branch, console, duration, mark, short

if TYPE_CHECKING:
    from rich.console import Console

NARROW = 100
"""Columns of a terminal below which tables leave something out."""
STAMP = 29
"""Characters of the time stamp in front of a log line, its space included."""


def span(row: dict[str, Any]) -> float | None:
    """Return how long something took, if it has ended."""
    begun, ended = row.get("started_at") or row.get("created_at"), row.get("finished_at")
    return ended - begun if begun and ended and row.get("conclusion") != "skipped" else None


def state(row: dict[str, Any]) -> str:
    """Return the conclusion, or the status of what has none yet."""
    return str(row["conclusion"] or row["status"])


def show_run(found: dict[str, Any], out: Console) -> None:
    """Draw a run: its jobs and steps, what waits and why, and the first error last."""
    run = found["run"]
    out.print(f"{mark(state(run))}  [bold]{escape(run['title'])}[/]")
    out.print(
        f"[dim]run {run['id']} · {escape(run['workflow'])} #{run['number']} · {run['repository']}@{branch(run['ref'])} "
        f"{short(run['sha'])} · {run['actor']} · {ago(run['created_at'])}[/]"
    )
    tree = Tree(f"[dim]{found['url']}[/]")
    for job in found["jobs"]:
        branch_of = tree.add(f"{mark(state(job))}  {escape(job['name'])}  [dim]{duration(span(job))}[/]")
        if job["reason"] and state(job) != "success":
            branch_of.add(f"[yellow]{escape(job['reason']['text'])}[/]")
        for step in job["steps"]:
            branch_of.add(
                f"{mark(state(step))}  [dim]{step['step']}[/] {escape(step['name'])}  "
                f"[dim]{duration(step['seconds'])}[/]"
            )
    out.print(tree)
    if run["reason"]:
        out.print(f"\n[yellow]{escape(run['reason']['text'])}[/]")
        if run["reason"]["evidence"]:
            out.print(escape(run["reason"]["evidence"]), highlight=False)
    show_pins(found, out)
    for image in found["images"]:
        out.print(f"[dim]published[/] {image['image']} [dim]{image['digest']}[/]")
    if error := found["first_error"]:
        place = f" {error['file']}:{error['line']}" if error["file"] else ""
        out.print(f"\n[red bold]{escape(error['job_name'])} › {escape(error['step_name'])}[/]{place}")
        out.print(f"[red]{escape(error['message'])}[/]", highlight=False)


def show_pins(found: dict[str, Any], out: Console) -> None:
    """Draw what a run was made of."""
    if found["run"]["replay_of"]:
        out.print(f"[dim]repeats run {found['run']['replay_of']}[/]")
    for kind, names in found["pins"].items():
        for name, value in names.items():
            out.print(f"[dim]used {kind.removesuffix('s')}[/] {escape(name)} [dim]{escape(value)}[/]")


class Runs(click.Group):
    """A group whose own words are `show`'s: `windlass runs`, `windlass runs 12`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take what names no command as arguments of `show`."""
        if not args or (args[0] not in self.commands and args[0] not in {"--help", "-h"}):
            args = ["show", *args]
        return super().parse_args(ctx, args)


@click.group(cls=Runs)
def runs() -> None:
    """List workflow runs, show one, run one again, cancel one. `windlass runs 12` shows run 12."""


@runs.command()
@click.argument("run", type=int, required=False)
@click.option("-R", "--repository", metavar="OWNER/NAME", help="Only this repository's.")
@click.option("--scheduled", is_flag=True, help="Schedules instead: what comes next, and when.")
@click.option("--events", is_flag=True, help="What happened beside pushes: what it started, or why nothing.")
@click.option(
    "--limit", type=click.IntRange(1, 500), default=20, show_default=True, help="How many, newest first."
)
@data_option
@json_option
def show(
    run: int | None,
    repository: str | None,
    limit: int,
    data: Path,
    *,
    scheduled: bool,
    events: bool,
    as_json: bool,
) -> None:
    """List workflow runs, newest first; with a number show that RUN with its jobs, steps and first error."""
    client = connect(data)
    if run is not None:
        found = client.call("GET", f"/runs/{run}")
        print_json(found) if as_json else show_run(found, console())
        return
    params = {"limit": limit, **({"repository": repository} if repository else {})}
    path = "/schedules" if scheduled else "/occurrences" if events else "/runs"
    rows = client.call("GET", path, params=params)
    if as_json:
        print_json(rows)
    elif scheduled:
        show_schedules(rows, console())
    elif events:
        show_events(rows, console())
    elif not rows:
        click.echo("No runs yet: push a commit with a workflow in .github/workflows.")
    else:
        console().print(runs_table(rows, narrow=console().width < NARROW))


@runs.command()
@click.argument("run", type=int)
@click.option(
    "--failed", is_flag=True, help="Only jobs that failed or were cancelled, and those that need them."
)
@click.option(
    "--job",
    "-j",
    metavar="KEY",
    help="Only this job (`test`, `test~2`, `deploy.build`), and those that need it.",
)
@click.option("--debug", is_flag=True, help="Steps tell more: RUNNER_DEBUG and ACTIONS_STEP_DEBUG are set.")
@data_option
@json_option
def rerun(run: int, job: str | None, data: Path, *, failed: bool, debug: bool, as_json: bool) -> None:
    """Run a RUN again, from the same commit and files. Earlier attempts are kept."""
    if failed and job:
        raise click.UsageError("--failed and --job exclude each other")
    params = {"failed": failed, "debug": debug, **({"job": job} if job else {})}
    found = connect(data).call("POST", f"/runs/{run}/rerun", params=params)
    if as_json:
        print_json(found)
        return
    click.echo(f"Attempt {found['run']['attempt']} of run {run}: {found['url']}")


@runs.command()
@click.argument("run", type=int)
@click.option("--force", is_flag=True, help="Kill its processes: no `always()` step runs any more.")
@data_option
@json_option
def cancel(run: int, data: Path, *, force: bool, as_json: bool) -> None:
    """Cancel a RUN. Its steps are interrupted; those with `always()` still run."""
    answer = connect(data).call("POST", f"/runs/{run}/cancel", params={"force": force})
    say(f"Run {run} is being cancelled: `windlass runs {run}` shows how it ends.", answer, as_json=as_json)


@click.command()
@click.argument("run", type=int)
@data_option
@json_option
def replay(run: int, data: Path, *, as_json: bool) -> None:
    """Repeat a RUN: a new one of the same files, event and inputs, and of the actions and images that it used."""
    found = connect(data).call("POST", f"/runs/{run}/replay")
    if as_json:
        print_json(found)
        return
    click.echo(f"Run {found['run']['id']} repeats run {run}: {found['url']}")


def runs_table(rows: list[dict[str, Any]], *, narrow: bool) -> Table:
    """Draw runs; a narrow terminal shows what identifies them, uncut, and leaves out the rest."""
    left_out = {"workflow", "took"} if narrow else set()
    columns = [
        name for name in ("run", "", "what", "workflow", "where", "took", "when") if name not in left_out
    ]
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column in {"run", "", "took", "when"})
    for row in rows:
        cells = {
            "run": str(row["id"]),
            "": mark(state(row)),
            "what": escape(row["title"]),
            "workflow": escape(row["workflow"]),
            "where": f"{row['repository']}@{branch(row['ref'])} {short(row['sha'])}",
            "took": duration(span(row)),
            "when": ago(row["created_at"]),
        }
        table.add_row(*(cells[column] for column in columns))
    return table


@click.command()
@click.argument("run", type=int)
@click.option("--job", "-j", help="Only this job (its key in the workflow).")
@click.option(
    "--step",
    "-s",
    type=int,
    help="Only the step with this number (`windlass runs RUN` shows it); needs --job.",
)
@click.option("--follow", "-f", is_flag=True, help="Go on until the run ends.")
@click.option("--timestamps", "-t", is_flag=True, help="Keep the time in front of each line.")
@data_option
@json_option
def logs(
    run: int,
    job: str | None,
    step: int | None,
    data: Path,
    *,
    follow: bool,
    timestamps: bool,
    as_json: bool,
) -> None:
    """Print the log of a RUN."""
    if step is not None and job is None:
        raise click.UsageError("--step needs --job")
    params = {"follow": follow, "job": job, "step": step}
    chosen = {key: value for key, value in params.items() if value is not None}
    with connect(data).stream(f"/runs/{run}/logs", params=chosen) as lines:
        for line in lines:
            stamped = len(line) >= STAMP and line[10:11] == "T" and line[STAMP - 2] == "Z"
            at, text = (line[: STAMP - 1], line[STAMP:]) if stamped else ("", line)
            shown = line if timestamps else text
            sys.stdout.write((json.dumps({"at": at or None, "text": text}) if as_json else shown) + "\n")
            sys.stdout.flush()
