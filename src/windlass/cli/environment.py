"""`windlass environment`, `windlass approve`, `windlass reject`: gates in front of jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import click
from rich.markup import escape
from rich.table import Table

from windlass.cli.client import connect, data_option, json_option, print_json, say
from windlass.cli.looks import console, duration

if TYPE_CHECKING:
    from pathlib import Path


@click.group()
def environment() -> None:
    """Set the rules of environments: who approves, how long jobs wait, which branches may deploy."""


def _path(repository: str, name: str = "") -> str:
    if repository.count("/") != 1:
        raise click.UsageError(f"{repository!r} is not OWNER/NAME")
    return f"/repositories/{repository}/environments" + (f"/{quote(name)}" if name else "")


def _variable(given: str) -> tuple[str, str]:
    name, equals, value = given.partition("=")
    if not name or not equals:
        raise click.UsageError(f"--variable {given!r} is not NAME=VALUE")
    return name, value


@environment.command("set")
@click.argument("repository", metavar="OWNER/NAME")
@click.argument("name")
@click.option(
    "--approver", "-a", "approvers", multiple=True, metavar="USER", help="One of these has to approve."
)
@click.option("--wait", default=0.0, metavar="MINUTES", help="Jobs wait this long before they begin.")
@click.option("--branch", "-b", "branches", multiple=True, metavar="PATTERN", help="Only these may deploy.")
@click.option("--variable", "variables", multiple=True, metavar="NAME=VALUE", help="`vars` of its jobs.")
@click.option(
    "--self-approval/--no-self-approval",
    default=True,
    show_default=True,
    help="Whether who started a run may approve it.",
)
@data_option
@json_option
def set_(
    repository: str,
    name: str,
    data: Path,
    *,
    wait: float,
    as_json: bool,
    approvers: tuple[str, ...],
    branches: tuple[str, ...],
    variables: tuple[str, ...],
    self_approval: bool,
) -> None:
    """Set an environment's rules, replacing those that it had.

    Its secrets: `windlass secret set OWNER/NAME:ENVIRONMENT NAME`.
    """
    body: dict[str, Any] = {"approvers": approvers, "branches": branches, "wait": wait * 60}
    body |= {"variables": dict(map(_variable, variables)), "self_approval": self_approval}
    found = connect(data).call("PUT", _path(repository, name), json=body)
    if as_json:
        print_json(found)
        return
    click.echo(f"Jobs of {repository} that name the environment {name} {_said(found)}.")


def _said(rules: dict[str, Any]) -> str:
    """Say what the rules ask for."""
    parts = []
    if rules["branches"]:
        parts.append(f"must be of {', '.join(rules['branches'])}")
    if rules["approvers"]:
        who = " or ".join(rules["approvers"])
        parts.append(
            f"need the approval of {who}" + ("" if rules["self_approval"] else ", not of who started it")
        )
    if rules["wait"]:
        parts.append(f"wait {duration(rules['wait'])}")
    return "; ".join(parts) or "pass at once"


@environment.command("list")
@click.argument("repository", metavar="OWNER/NAME")
@data_option
@json_option
def list_(repository: str, data: Path, *, as_json: bool) -> None:
    """List the environments of a repository that have rules."""
    rows = connect(data).call("GET", _path(repository))
    if as_json:
        print_json(rows)
        return
    if not rows:
        click.echo(
            f"No environment of {repository} has rules: `windlass environment set` makes one.", err=True
        )
        return
    table = Table(box=None, pad_edge=False)
    for column in ("environment", "its jobs"):
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(escape(row["name"]), escape(_said(row)))
    console().print(table)


@environment.command()
@click.argument("repository", metavar="OWNER/NAME")
@click.argument("name")
@data_option
@json_option
def delete(repository: str, name: str, data: Path, *, as_json: bool) -> None:
    """Forget an environment's rules: what waits for it passes."""
    answer = connect(data).call("DELETE", _path(repository, name))
    say(f"{repository} has no rules for {name} any more.", answer, as_json=as_json)


def _decide(data: Path, run: int, job: str, comment: str, *, approved: bool, as_json: bool) -> None:
    body = {"approved": approved, "job": job, "comment": comment}
    found = connect(data).call("POST", f"/runs/{run}/approvals", json=body)
    word = "approved" if approved else "rejected"
    say(f"{', '.join(found['jobs'])} of run {run}: {word}.", found, as_json=as_json)


@click.command()
@click.argument("run", type=int)
@click.argument("job", default="")
@click.option("--comment", "-m", default="", help="Why; kept with the run.")
@data_option
@json_option
def approve(run: int, job: str, comment: str, data: Path, *, as_json: bool) -> None:
    """Let a JOB of a RUN that waits for its environment pass; all that wait where none is named."""
    _decide(data, run, job, comment, approved=True, as_json=as_json)


@click.command()
@click.argument("run", type=int)
@click.argument("job", default="")
@click.option("--comment", "-m", default="", help="Why; the job's reason shows it.")
@data_option
@json_option
def reject(run: int, job: str, comment: str, data: Path, *, as_json: bool) -> None:
    """Fail a JOB of a RUN that waits for its environment; all that wait where none is named."""
    _decide(data, run, job, comment, approved=False, as_json=as_json)
