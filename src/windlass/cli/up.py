"""`windlass up`: starts the server."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from windlass.cli.client import data_option
from windlass.cli.parts import ENGINES, SYSTEM_FOLDERS

if TYPE_CHECKING:
    from windlass.server.compose import Server, Started


PORT = click.IntRange(0, 65535)


class StartError(click.ClickException):
    """The server cannot start."""


async def _say(started: Started) -> None:
    settings = started.settings
    click.echo(f"Windlass is up after {started.seconds:.2f} s (containers by {started.engine}).")
    click.echo(f"  dashboard    {settings.url}")
    click.echo(f"  git          {settings.url}/OWNER/NAME.git")
    click.echo(
        f"  registry     {settings.host}:{settings.port} (stands for {', '.join(settings.registries)})"
    )
    click.echo(f"  kubernetes   https://{settings.host}:{settings.kubernetes_port}   (windlass kubeconfig)")
    if started.login:
        click.echo(f"\nLog in, once, within ten minutes:\n  {started.login}\n")
    else:
        click.echo("Log in: windlass login")
    sys.stdout.flush()


async def _until_told(server: Server) -> None:
    import anyio

    async with anyio.create_task_group() as tasks:

        async def wait_for_signal() -> None:
            with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
                async for number in signals:
                    click.echo(
                        f"Stopping ({signal.Signals(number).name}); pods and running jobs go on.", err=True
                    )
                    tasks.cancel_scope.cancel()
                    return

        tasks.start_soon(wait_for_signal)
        await server.run(_say)


@click.command()
@data_option
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=PORT, help="Dashboard, API, git and registry.  [default: 8700]")
@click.option("--kubernetes-port", type=PORT, help="Kubernetes API.  [default: 8701]")
@click.option("--edge-port", type=PORT, help="Ingress rules.  [default: 8702]")
@click.option(
    "--service-ports",
    metavar="FIRST LAST",
    type=(PORT, PORT),
    help="First and last port for Services.  [default: 8710 8799]",
)
@click.option("--engine", type=click.Choice(ENGINES), help="Container engine.  [default: auto]")
@click.option(
    "--isolation",
    type=click.Choice(["auto", "bubblewrap", "host"]),
    help="How jobs are kept apart.  [default: auto]",
)
@click.option(
    "--jobs",
    type=click.IntRange(0),
    help="Jobs that run at once.  [default: one for each core, at least two]",
)
@click.option("--verbose", is_flag=True, help="Log everything.")
def up(data: Path, *, verbose: bool, **overrides: Any) -> None:
    """Start the server and stay until told to stop.

    Everything in the options can stand in DIR/windlass.yaml instead. Stopping it leaves pods, the edge and running
    jobs as they are; the next start goes on with them. `windlass down` ends those too.
    """
    import anyio

    from windlass.cli.logs import write_server_logs
    from windlass.server.compose import Server
    from windlass.server.datadir import DataDirectory
    from windlass.server.machine import words_for
    from windlass.server.settings import load_settings

    write_server_logs(verbose=verbose)
    os.environ["PATH"] = os.pathsep.join([os.environ.get("PATH", os.defpath), *SYSTEM_FOLDERS])
    try:
        directory = DataDirectory(data.absolute())
        server = Server(directory, load_settings(data, overrides))
        anyio.run(_until_told, server)  # not on uvloop: its pipes leak into children spawned at the same time
    except Exception as error:
        if (words := words_for(error)) is None:
            raise
        raise StartError(words) from None
