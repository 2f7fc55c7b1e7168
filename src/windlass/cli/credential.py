"""`windlass credential`: a git credential helper for servers whose data directory is on this machine."""

from __future__ import annotations

import sys
from pathlib import Path
from urllib.parse import urlsplit

import click

from windlass.cli.client import data_option
from windlass.server.datadir import DataDirectory


@click.command()
@click.argument("operation", type=click.Choice(["get", "store", "erase"]))
@data_option
def credential(operation: str, data: Path) -> None:
    """Answer git's question for a password with the administrator's token of the server on this machine.

    Set it up once: git config --global credential.http://127.0.0.1:8700.helper '!windlass credential'
    """
    asked = dict(line.rstrip("\n").split("=", 1) for line in sys.stdin if "=" in line)
    directory = DataDirectory(data)
    url = urlsplit(str(directory.read_contact().get("url", "")))
    if (
        operation != "get"
        or not url.netloc
        or asked.get("host") != url.netloc
        or asked.get("protocol") != url.scheme
    ):
        return
    token = directory.admin_token.read_text(encoding="utf-8").strip()
    click.echo(f"username=admin\npassword={token}")
