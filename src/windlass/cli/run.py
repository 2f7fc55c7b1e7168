"""`windlass run`: a checkout's workflows on this machine, with no server."""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

import click

CANCELLED = 130
FAILURE = 1
USAGE = 2
EXIT = {"success": 0, "skipped": 0, "failure": FAILURE, "cancelled": CANCELLED}


class UsageError(click.ClickException):
    """What was asked for cannot be run."""

    exit_code = USAGE


def _pairs(_context: click.Context, option: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    """Take `name=value` apart."""
    found = {}
    for item in given:
        name, equals, value = item.partition("=")
        if not equals or not name.strip():
            raise click.BadParameter(f"{item!r} is not NAME=VALUE", param=option)
        found[name.strip()] = value
    return found


@click.command()
@click.argument("workflow", required=False)
@click.option("-j", "--job", help="Run this job, and the jobs it needs.")
@click.option("--no-needs", is_flag=True, help="With --job: take what it needs as done.")
@click.option("-e", "--event", help="What happened: push, pull_request, schedule, …  [default: push]")
@click.option(
    "--event-file", type=click.Path(dir_okay=False, path_type=Path), help="JSON that stands as github.event."
)
@click.option("--input", "inputs", multiple=True, metavar="NAME=VALUE", callback=_pairs,
              help="An input of workflow_dispatch (repeatable).")  # fmt: skip
@click.option("--var", "variables", multiple=True, metavar="NAME=VALUE", callback=_pairs,
              help="A variable: vars.NAME (repeatable).")  # fmt: skip
@click.option("--secret", "secrets", multiple=True, metavar="NAME", help="A secret, by the name of its environment "
              "variable (repeatable).")  # fmt: skip
@click.option(
    "--secret-file", type=click.Path(dir_okay=False, path_type=Path), help="Secrets as NAME=value lines."
)
@click.option("-n", "--dry-run", is_flag=True, help="Show what would run, and why not.")
@click.option(
    "-l", "--list", "listed", is_flag=True, help="List the workflows, what starts them, their jobs."
)
@click.option(
    "--shell-on-failure", is_flag=True, help="Open a shell where a step fails, before the job goes on."
)
@click.option("--isolation", type=click.Choice(["auto", "bubblewrap", "host"]), default="auto", show_default=True,
              help="How jobs are kept apart from this machine.")  # fmt: skip
@click.option("--engine", help="auto, podman, docker or fake.  [default: auto]", default="auto", hidden=True)
@click.option("--jobs", type=click.IntRange(1), help="Jobs that run at once.  [default: one for each core]")
@click.option("--actions-mirror", default="https://github.com", show_default=True, metavar="URL",
              envvar="WINDLASS_ACTIONS_MIRROR", help="Where actions come from that are not built in; empty for "
              "nowhere.")  # fmt: skip
@click.option(
    "--artifacts", type=click.Path(file_okay=False, path_type=Path), help="Unpack artifacts into this folder."
)
@click.option("--json", "as_json", is_flag=True, help="One event a line.")
@click.option("--plain", is_flag=True, help="Lines instead of the live tree, on a terminal too.")
@click.option("-v", "--verbose", is_flag=True, help="Set-up and log lines of all steps.")
@click.option("-C", "folder", type=click.Path(file_okay=False, exists=True, path_type=Path), default=".",
              help="Run in this folder.")  # fmt: skip
def run(folder: Path, **given: Any) -> None:
    """Run this checkout's workflows here, uncommitted changes included.

    WORKFLOW is a file of .github/workflows, by its name or path, or a workflow's name; without it all that a push
    starts are run. Nothing in the checkout is changed: each job has a copy.

    Exit code 0 when all is well, 1 when something failed, 2 when it was called wrongly or a file has errors,
    130 when it was cancelled (Ctrl-C; twice kills).
    """
    from windlass.server.local.errors import LocalError

    try:
        raise SystemExit(_run(folder.absolute(), given))
    except LocalError as error:
        raise UsageError(str(error)) from None
    except KeyboardInterrupt:
        click.echo("Cancelled before anything had started.", err=True)
        raise SystemExit(CANCELLED) from None


def _run(folder: Path, given: dict[str, Any]) -> int:
    from windlass.server.local.beginning import begin
    from windlass.server.local.folders import cache_home

    if given["no_needs"] and not given["job"]:
        raise click.UsageError("--no-needs is for --job.")
    if given["shell_on_failure"] and not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise click.UsageError("--shell-on-failure needs a terminal.")
    if given["listed"] or given["dry_run"]:
        return _show(folder, given)
    with begin(cache_home(os.environ)) as begun:
        try:
            return _execute(folder, given, begun)
        except KeyboardInterrupt:
            if begun.used:  # and its view has told what became of it
                return CANCELLED
            raise


def _show(folder: Path, given: dict[str, Any]) -> int:
    from windlass.server.local.choose import listing
    from windlass.server.local.run import find

    found = find(folder)
    if given["listed"]:
        click.echo(listing(found.files))
        return 0
    from windlass.cli.running.plan import show_plan

    return show_plan(found, _request(folder, given), given["variables"])


def _request(folder: Path, given: dict[str, Any]) -> Any:
    from windlass.server.local.choose import Wish
    from windlass.server.local.folders import cache_home
    from windlass.server.local.run import Request, read_payload

    wish = Wish(given["workflow"], given["job"], given["event"], given["inputs"], not given["no_needs"])
    payload = read_payload(given["event_file"]) if given["event_file"] else {}
    artifacts = given["artifacts"].absolute() if given["artifacts"] else None
    return Request(folder, cache_home(os.environ), wish, payload, artifacts)


def _execute(folder: Path, given: dict[str, Any], begun: Any) -> int:
    from dataclasses import replace

    import anyio

    from windlass.cli.logs import write_errors_only
    from windlass.server.local.machine import how
    from windlass.server.local.run import find
    from windlass.server.local.run import run as run_here
    from windlass.server.local.secrets import from_environment, from_file

    found, request = find(folder), _request(folder, given)
    secrets = from_file(given["secret_file"]) if given["secret_file"] else {}
    secrets |= from_environment(given["secrets"], os.environ)
    here = partial(
        how,
        given["isolation"],
        given["engine"],
        capacity=given["jobs"] or 0,
        variables=given["variables"],
        secrets=secrets,
        actions_mirror=given["actions_mirror"],
    )
    write_errors_only()
    view = _view(given)
    with view:
        attach = view.shell if given["shell_on_failure"] else None
        conclusion, cancelled = anyio.run(
            run_here, found, replace(request, how=here), begun, view.tell, attach
        )
    return CANCELLED if cancelled else EXIT.get(conclusion, FAILURE)


def _view(given: dict[str, Any]) -> Any:
    from windlass.cli.running.views import JsonView, PlainView, TreeView

    if given["as_json"]:
        return JsonView()
    terminal = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
    return TreeView() if terminal and not given["plain"] else PlainView(verbose=given["verbose"])
