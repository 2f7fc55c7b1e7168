"""`windlass down`: ends the server and what outlives it."""

from __future__ import annotations

from pathlib import Path

import click

from windlass.cli.client import data_option, json_option, print_json
from windlass.cli.parts import ENGINES


def end_everything(data: Path, engine: str = "auto") -> dict[str, int]:
    """Stop the server of a data directory, its jobs, pods and edge; returns how many of each."""
    import anyio

    from windlass.server.datadir import DataDirectory
    from windlass.server.teardown import end_everything as end

    return anyio.run(end, DataDirectory(data.absolute()), engine)


@click.command()
@data_option
@click.option(
    "--engine", type=click.Choice(ENGINES), default="auto", show_default=True, help="As it was started."
)
@json_option
def down(data: Path, engine: str, *, as_json: bool) -> None:
    """Stop the server, and with it what a restart would leave alone: jobs, pods and the edge. All data stays."""
    if not data.is_dir():
        raise click.UsageError(f"there is no data directory {data}: name the server's with --data")
    ended = end_everything(data, engine)
    if as_json:
        print_json(ended)
        return
    click.echo(
        "Stopped the server." if ended["servers"] else "No server was running.",
    )
    click.echo(f"Ended {ended['jobs']} jobs, {ended['containers']} containers, {ended['edges']} edges.")
