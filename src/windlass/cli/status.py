"""`windlass status`, `trace` and `holds`: what is live, how it came there, and what may not."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click
from rich.markup import escape
from rich.table import Table
from rich.tree import Tree

from windlass.cli.client import connect, data_option, json_option, print_json, say
from windlass.cli.looks import ago, branch, console, duration, mark, short
from windlass.cli.runs import NARROW, span, state

STAMPS = {
    "committed_at": "committed",
    "applied_at": "applied",
    "ready_at": "ready",
    "verified_candidate_at": "candidate verified",
    "cut_over_at": "cut over",
    "verified_live_at": "verified live",
    "finalised_at": "old pods released",
    "detected_at": "found bad",
    "traffic_back_at": "traffic back",
    "evidence_at": "evidence kept",
    "restored_at": "old version restored",
    "reverted_at": "reverted in git",
}


def applications_table(rows: list[dict[str, Any]]) -> Table:
    """Draw Applications with sync, health and address."""
    table = Table(box=None, pad_edge=False)
    for column in ("application", "", "", "revision", "address"):
        table.add_column(column, overflow="fold", no_wrap=column == "address")
    for row in rows:
        addresses = " ".join(row["addresses"])
        table.add_row(row["name"], mark(row["sync"]), mark(row["health"]), short(row["revision"]), addresses)
    return table


def deliveries_table(rows: list[dict[str, Any]], *, narrow: bool) -> Table:
    """Draw deliveries; a narrow terminal leaves out times, so that there is room for the reason."""
    left_out = {"took", "when"} if narrow else set()
    names = ("delivery", "", "application", "commit", "why", "took", "when")
    columns = [name for name in names if name not in left_out]
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column not in {"why", "application"})
    for row in rows:
        begun = row["committed_at"] or row["created_at"]
        cells = {
            "delivery": str(row["id"]),
            "": mark(row["state"]),
            "application": row["application"],
            "commit": short(row["revision"]),
            "why": escape(row["reason"]),
            "took": duration(row["ended_at"] - begun) if row["ended_at"] else "",
            "when": ago(row["created_at"]),
        }
        table.add_row(*(cells[column] for column in columns))
    return table


def troubles(applications: list[dict[str, Any]], refused: dict[str, list[str]]) -> list[str]:
    """Say what is wrong and is in no delivery: files that are not used, Applications without a source."""
    found = [f"[red]not used[/] {name}: {escape(each)}" for name, all_ in refused.items() for each in all_]
    for row in applications:
        own = (each for each in row["conditions"] if not each.startswith("delivery "))
        said = [row["message"]] if row["health"] == "Degraded" and row["message"] else []
        found += [f"[red]{escape(row['name'])}[/]: {escape(each)}" for each in dict.fromkeys((*said, *own))]
    return [*found, ""] if found else []


@click.command()
@click.option(
    "--limit",
    type=click.IntRange(1, 500),
    default=10,
    show_default=True,
    help="How many deliveries, newest first.",
)
@data_option
@json_option
def status(limit: int, data: Path, *, as_json: bool) -> None:
    """Show what is live and what is on its way."""
    client = connect(data)
    applications = client.call("GET", "/applications")
    deliveries = client.call("GET", "/deliveries", params={"limit": limit})
    held = client.call("GET", "/holds")
    refused = client.call("GET", "/refused-applications")
    if as_json:
        print_json(
            {"applications": applications, "deliveries": deliveries, "holds": held, "refused": refused}
        )
        return
    out = console()
    for line in troubles(applications, refused):
        out.print(line, highlight=False)
    if not applications:
        click.echo(
            "No Applications yet: push a GitOps repository made with `windlass repo create … --applications FOLDER`."
        )
        return
    out.print(applications_table(applications))
    out.print()
    out.print(deliveries_table(deliveries, narrow=out.width < NARROW))
    for hold in held:
        out.print(f"\n[red]held[/] {hold['application']} {hold['workload']}: {escape(hold['reason'])}")


def draw_chain(chain: dict[str, Any]) -> Tree:
    """Draw a commit's chain: push, runs, digests, GitOps commits, deliveries."""
    commit = chain["commit"]
    tree = Tree(
        f"{mark(chain['state'])}  [bold]{commit['repository']} {short(commit['sha'])}[/]  [dim]{chain['url']}[/]"
    )
    for push in chain["pushes"]:
        tree.add(f"pushed to {branch(push['ref'])} by {escape(push['pusher'])} [dim]{ago(push['at'])}[/]")
    for found in chain["runs"]:
        run = found["run"]
        node = tree.add(
            f"{mark(state(run))}  run {run['id']} {escape(run['workflow'])} [dim]{duration(span(run))}[/]"
        )
        for job in found["jobs"]:
            node.add(f"{mark(state(job))}  {escape(job['name'])} [dim]{duration(span(job))}[/]")
        for image in found["images"]:
            node.add(f"published {image['image']} [dim]{image['digest']}[/]")
        if found["first_error"]:
            node.add(f"[red]{escape(found['first_error']['message'])}[/]")
        if run["superseded_by"]:
            node.add(f"superseded by run {run['superseded_by']}")
    for found in chain["deliveries"]:
        draw_delivery(tree, found)
    return tree


def draw_delivery(tree: Tree, found: dict[str, Any]) -> None:
    """Draw a delivery: its times, and where it was bad what shows why and what helps."""
    row = found["delivery"]
    title = f"delivery {row['id']} to {row['application']}, GitOps commit {short(row['revision'])}"
    node = tree.add(f"{mark(row['state'])}  {title}")
    node.add(escape(row["reason"]))
    begun = row["committed_at"] or row["created_at"]
    times = [
        f"{name} +{duration(row[key] - begun)}"
        for key, name in STAMPS.items()
        if row[key] and key != "committed_at"
    ]
    node.add(f"[dim]{' · '.join(times)}[/]")
    if row["revert_commit"]:
        node.add(f"reverted by {short(row['revert_commit'])}")
    for line in found["last_words"]:
        node.add(f"[red]{escape(line)}[/]")
    for hold in found["holds"]:
        node.add(f"held: {escape(hold['workload'])}; [bold]windlass holds release {hold['application']}[/]")
    if found["command"]:
        node.add(f"[bold]{escape(found['command'])}[/]")
    node.add(f"[dim]{row['url']}[/]")


@click.command()
@click.argument("commit")
@data_option
@json_option
def trace(commit: str, data: Path, *, as_json: bool) -> None:
    """Show the chain of one COMMIT (its id or the beginning of it): push, run, digest, GitOps commit, pods."""
    if not re.fullmatch(r"[0-9a-f]{7,64}", commit):
        raise click.UsageError(
            f"{commit!r} is not a commit's id: give it whole, or its first seven characters or more"
        )
    chain = connect(data).call("GET", f"/commits/{commit}")
    if as_json:
        print_json(chain)
    else:
        console().print(draw_chain(chain))


@click.group(invoke_without_command=True)
@click.pass_context
@data_option
@json_option
def holds(ctx: click.Context, data: Path, *, as_json: bool) -> None:
    """List what is held back and why."""
    ctx.obj = data
    if ctx.invoked_subcommand:
        return
    rows = connect(data).call("GET", "/holds")
    if as_json:
        print_json(rows)
        return
    if not rows:
        click.echo("Nothing is held.")
    for row in rows:
        click.echo(
            f"{row['application']}  {row['workload']}  template {row['template']}  ({ago(row['created_at'])})"
        )
        click.echo(f"  {row['reason']}")
        click.echo(f"  windlass holds release {row['application']} --template {row['template']}")


@holds.command()
@click.argument("application")
@click.option("--template", default="", help="Only this template hash; without it all of the Application's.")
@click.pass_obj
@json_option
def release(data: Path, application: str, template: str, *, as_json: bool) -> None:
    """Let what is held of APPLICATION be deployed again."""
    rows = connect(data).call("DELETE", f"/holds/{application}", params={"template": template})
    lines = [f"released {row['application']} {row['workload']} template {row['template']}" for row in rows]
    say("\n".join(lines) or f"nothing of {application} is held", rows, as_json=as_json)


@click.command()
@click.argument("application")
@click.option("--revision", default="", help="A GitOps commit; without it the branch's tip.")
@data_option
@json_option
def sync(application: str, revision: str, data: Path, *, as_json: bool) -> None:
    """Ask for a sync of APPLICATION."""
    answer = connect(data).call("POST", f"/applications/{application}/sync", json={"revision": revision})
    say(f"asked for a sync of {application}; `windlass status` shows how it goes", answer, as_json=as_json)
