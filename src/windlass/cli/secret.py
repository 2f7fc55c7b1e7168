"""`windlass secret`: values that workflows may read and nobody may see."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from windlass.cli.client import connect, data_option, json_option, print_json, say

if TYPE_CHECKING:
    from pathlib import Path

SCOPE = "OWNER/NAME|OWNER|*"


@click.group()
def secret() -> None:
    """Set and list secrets."""


@secret.command("set")
@click.argument("scope", metavar=SCOPE)
@click.argument("name")
@data_option
@json_option
def set_(scope: str, name: str, data: Path, *, as_json: bool) -> None:
    """Set a secret of a repository, an owner or all (*). The value comes from standard input.

    A value on the command line would stand in the shell's history and in the list of processes.
    """
    if sys.stdin.isatty():
        value: str = click.prompt("Value", hide_input=True)
    else:
        value = sys.stdin.read().removesuffix("\n")
    if not value:
        raise click.UsageError("the value is empty: give it on standard input")
    answer = connect(data).call("PUT", "/secrets", json={"scope": scope, "name": name, "value": value})
    say(f"{name.upper()} is set for {scope}.", answer, as_json=as_json)


@secret.command("list")
@click.argument("scope", metavar=SCOPE)
@data_option
@json_option
def list_(scope: str, data: Path, *, as_json: bool) -> None:
    """List the names of the secrets of a repository, an owner or all (*)."""
    rows = connect(data).call("GET", "/secrets", params={"scope": scope})
    if as_json:
        print_json(rows)
        return
    for row in rows:
        click.echo(row["name"])
    if not rows:
        click.echo(f"No secrets for {scope}: `windlass secret set '{scope}' NAME` sets one.", err=True)


@secret.command()
@click.argument("scope", metavar=SCOPE)
@click.argument("name")
@data_option
@json_option
def delete(scope: str, name: str, data: Path, *, as_json: bool) -> None:
    """Delete a secret."""
    answer = connect(data).call("DELETE", "/secrets", params={"scope": scope, "name": name})
    say(f"{name.upper()} of {scope} is deleted.", answer, as_json=as_json)
