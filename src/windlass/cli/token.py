"""`windlass token` and `windlass login`: access for clients and browsers."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING

import click

from windlass.cli.client import connect, data_option, json_option, print_json, say
from windlass.cli.looks import console, listing

if TYPE_CHECKING:
    from pathlib import Path

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds(text: str | None) -> float | None:
    """Read a duration such as `90d`, `12h`, `30m`."""
    if text is None:
        return None
    match = re.fullmatch(r"(\d+)([smhd])", text)
    if match is None:
        raise click.BadParameter(
            f"{text!r} is not a duration: write a number and one of s, m, h, d, such as 90d"
        )
    return int(match.group(1)) * UNITS[match.group(2)]


@click.group()
def token() -> None:
    """Create and revoke access tokens."""


@token.command()
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    help="AREA:VERB:RESOURCE, such as repo:write:acme/*, registry:read:*, kube:read:production, api:read:*; or admin.",
)
@click.option("--expires", metavar="90d", help="Lifetime; without it the token does not expire.")
@click.option("--label", default="", help="What it is for.")
@click.option(
    "--robot", is_flag=True, help="For a machine, such as a workflow's secret: its pushes wait for nothing."
)
@data_option
@json_option
def create(
    name: str,
    scopes: tuple[str, ...],
    expires: str | None,
    label: str,
    data: Path,
    *,
    robot: bool,
    as_json: bool,
) -> None:
    """Create a token for NAME and print it, once."""
    body = {
        "name": name,
        "scopes": list(scopes),
        "ttl": seconds(expires),
        "label": label,
        "kind": "robot" if robot else "user",
    }
    made = connect(data).call("POST", "/tokens", json=body)
    if as_json:
        print_json(made)
    else:
        click.echo(made["token"])


@token.command("list")
@data_option
@json_option
def list_(data: Path, *, as_json: bool) -> None:
    """List living tokens, without their values."""
    rows = connect(data).call("GET", "/tokens")
    if as_json:
        print_json(rows)
        return
    table = listing("id", "principal", "scopes", "label", "expires", whole=frozenset({"id", "expires"}))
    for row in rows:
        expires = row["expires_at"]
        until = (
            datetime.fromtimestamp(expires).astimezone().strftime("%Y-%m-%d %H:%M") if expires else "never"
        )
        table.add_row(row["id"], f"{row['kind']} {row['name']}", " ".join(row["scopes"]), row["label"], until)
    console().print(table)


@token.command()
@click.argument("token_id", metavar="ID")
@data_option
@json_option
def revoke(token_id: str, data: Path, *, as_json: bool) -> None:
    """Revoke the token with this listed id."""
    answer = connect(data).call("DELETE", f"/tokens/{token_id}")
    say(f"{token_id} is revoked.", answer, as_json=as_json)


@click.command()
@data_option
@json_option
def login(data: Path, *, as_json: bool) -> None:
    """Print a link that logs a browser in, once, within ten minutes."""
    made = connect(data).call("POST", "/login-links")
    if as_json:
        print_json(made)
    else:
        click.echo(made["url"])
