"""`windlass dispatch`: start a workflow by hand, or tell a repository of an event."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import click

from windlass.cli.client import Client, NoServerError, connect, data_option, json_option, print_json
from windlass.cli.looks import console, duration, mark
from windlass.cli.pr import here
from windlass.cli.runs import show_run, span, state

LOOK = 0.3
PATIENCE = 30.0
"""Seconds for which a server that went away may come back while a run is followed."""


def pairs(given: tuple[str, ...]) -> dict[str, str]:
    """Return `NAME=VALUE` options as a map; a value may hold further equals signs."""
    found: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise click.UsageError(f"--input {text!r} is not of the form NAME=VALUE")
        found[name] = value
    return found


def payload_of(text: str) -> dict[str, Any]:
    """Read `--payload`: a JSON object, or `@FILE` that holds one."""
    try:
        content = Path(text[1:]).read_text(encoding="utf-8") if text.startswith("@") else text
        found = json.loads(content)
    except (OSError, ValueError) as error:
        raise click.UsageError(f"--payload cannot be read as JSON: {error}") from None
    if not isinstance(found, dict):
        raise click.UsageError('--payload must be a JSON object, such as \'{"version": "1.2"}\'')
    return found


class Follower:
    """Follows runs to their end. Says what happens to each job, once."""

    def __init__(self, client: Client, *, quiet: bool) -> None:
        self._client = client
        self._quiet = quiet
        self._said: set[tuple[str, str]] = set()

    def ask(self, path: str) -> Any:
        """GET, and wait for a server that is being restarted."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return self._client.call("GET", path)
            except NoServerError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(LOOK)

    def started_by(self, occurrence: int) -> dict[str, Any]:
        """Wait until an event is planned, and return it."""
        while True:
            found: dict[str, Any] = self.ask(f"/occurrences/{occurrence}")
            if found["planned_at"] is not None:
                return found
            time.sleep(LOOK)

    def follow(self, run: int) -> dict[str, Any]:
        """Wait until a run is over, and return it."""
        while True:
            found: dict[str, Any] = self.ask(f"/runs/{run}")
            for job in found["jobs"]:
                self._tell(job)
            if found["run"]["status"] == "completed":
                if not self._quiet:
                    show_run(found, console())
                return found
            time.sleep(LOOK)

    def _tell(self, job: dict[str, Any]) -> None:
        waits = job["reason"]["text"] if job["reason"] and state(job) in {"queued", "pending"} else ""
        if self._quiet or (job["id"], state(job) + waits) in self._said:
            return
        self._said.add((job["id"], state(job) + waits))
        if state(job) not in {"queued", "pending"} or waits:
            console().print(f"{mark(state(job))}  {job['name']}  [dim]{waits or duration(span(job))}[/]")


@click.command()
@click.argument("workflow", required=False)
@click.option("-R", "--repository", metavar="OWNER/NAME", help="By default the one this checkout pushes to.")
@click.option("--ref", default="", help="Branch or tag; by default the default branch.")
@click.option("-i", "--input", "inputs", multiple=True, metavar="NAME=VALUE", help="An input; repeatable.")
@click.option("--event", metavar="TYPE", help="Send a repository_dispatch of this type instead.")
@click.option("--payload", default="{}", metavar="JSON|@FILE", help="client_payload that goes with --event.")
@click.option("--follow", "-f", is_flag=True, help="Wait for the end; exit with 1 where it is no success.")
@data_option
@json_option
def dispatch(  # noqa: PLR0917 one for each option
    workflow: str | None,
    repository: str | None,
    ref: str,
    inputs: tuple[str, ...],
    event: str | None,
    payload: str,
    data: Path,
    *,
    follow: bool,
    as_json: bool,
) -> None:
    """Start WORKFLOW (a file's name, or a workflow's) that has `on: workflow_dispatch`.

    With --event tell the repository that something happened: whatever listens to
    `repository_dispatch` of that type runs.
    """
    if (workflow is None) == (event is None):
        raise click.UsageError("name either a WORKFLOW or an --event")
    given, client_payload = pairs(inputs), payload_of(payload)
    name = repository or here()
    client = connect(data)
    follower = Follower(client, quiet=as_json)
    if event is not None:
        runs = _event(
            client, follower, name, {"event_type": event, "client_payload": client_payload}, as_json
        )
    else:
        body = {"repository": name, "workflow": workflow, "ref": ref, "inputs": given}
        runs = [client.call("POST", "/runs", json=body)]
        if not as_json:
            click.echo(runs[0]["url"])
    if follow:
        runs = [follower.follow(found["run"]["id"]) for found in runs]
    if as_json:
        print_json(runs)
    if follow and any(found["run"]["conclusion"] != "success" for found in runs):
        raise SystemExit(1)


def _event(
    client: Client, follower: Follower, repository: str, body: dict[str, Any], quiet: bool
) -> list[dict[str, Any]]:
    """Send the event and return the runs that it started; none is a failure that says why."""
    told = client.call("POST", f"/repositories/{repository}/dispatches", json=body)
    planned = follower.started_by(told["id"])
    if not planned["started"]:
        raise click.ClickException(f"{body['event_type']} started nothing: {planned['reason']}")
    if not quiet:
        for run in planned["started"]:
            click.echo(run["url"])
    return [follower.ask(f"/runs/{run['id']}") for run in planned["started"]]
