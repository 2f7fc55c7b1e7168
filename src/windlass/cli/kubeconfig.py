"""`windlass kubeconfig`: how kubectl reaches the cluster."""

from __future__ import annotations

import os
from pathlib import Path

import click

from windlass.cli.client import connect, data_option, json_option, print_json
from windlass.cli.token import seconds


@click.command()
@click.option("--namespace", default="default", show_default=True, help="Default namespace.")
@click.option(
    "--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="Write it there, mode 0600."
)
@click.option(
    "--ttl", default="30d", show_default=True, metavar="DURATION", help="How long it serves: 12h, 90d."
)
@data_option
@json_option
def kubeconfig(namespace: str, output: Path | None, ttl: str, data: Path, *, as_json: bool) -> None:
    """Print a kubeconfig for the cluster: `windlass kubeconfig -o wl.yaml; kubectl --kubeconfig wl.yaml get pods`."""
    body = {"namespace": namespace, "ttl": seconds(ttl)}
    text = connect(data).call("POST", "/kubeconfig", json=body)
    if as_json:
        import yaml

        print_json(yaml.safe_load(text))
        return
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    except OSError as error:
        raise click.FileError(str(output), hint=error.strerror) from None
    os.fchmod(descriptor, 0o600)  # a file that was there keeps its mode otherwise
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    click.echo(f"export KUBECONFIG={output.absolute()}")
