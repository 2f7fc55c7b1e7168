"""Drivers over the engines' command lines: podman and docker share all but their dialect."""

from windlass.engine.cli.argv import Tool
from windlass.engine.cli.containers import ContainerCommands
from windlass.engine.cli.images import ImageCommands
from windlass.engine.cli.networks import NetworkCommands


class CliEngine(ImageCommands, ContainerCommands, NetworkCommands):
    """`Engine` over podman's or docker's command line; the `Tool` says which, where and with what flags."""


__all__ = ["CliEngine", "Tool"]
