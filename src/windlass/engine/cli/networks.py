"""Networks by command line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from windlass.engine.cli import argv as vectors
from windlass.engine.cli import parse
from windlass.engine.cli.core import Core, check_name
from windlass.engine.cli.failures import failure

if TYPE_CHECKING:
    from collections.abc import Mapping

    from windlass.engine.port import Network


class NetworkCommands(Core):
    """The network part of `Engine`."""

    async def network_ensure(
        self, name: str, labels: Mapping[str, str] | None = None, *, dns: bool = False
    ) -> Network:
        """Make sure of a network."""
        attempted = f"make network {check_name(name)}"
        if found := await self._network(name):
            return found
        done = await self.run_tool(attempted, vectors.network_create(self.tool, name, labels or {}, dns=dns))
        if found := await self._network(name):  # ours, or that of a call at the same time
            return found
        raise failure(attempted, done.complaint)

    async def networks(self, labels: Mapping[str, str]) -> list[Network]:
        """List networks by labels."""
        done = await self.must("list networks", vectors.network_listing(self.tool, labels))
        # One that goes between the two is none.
        found = [await self._network(name) for name in done.text.split()]
        return [network for network in found if network is not None]

    async def network_remove(self, name: str) -> None:
        """Remove a network."""
        attempted = f"remove network {check_name(name)}"
        forced = ("--force",) if self.name == "podman" else ()
        command = self.tool.command("network", "rm", *forced, name)
        done = await self.run_tool(attempted, command)
        if not done.returncode or await self._network(name) is None:
            return
        if self.name == "docker":
            await self._disconnect_all(name)
            done = await self.run_tool(attempted, command)
        if done.returncode and await self._network(name) is not None:
            raise failure(attempted, done.complaint)

    async def _network(self, name: str) -> Network | None:
        command = self.tool.command("network", "inspect", name)
        done = await self.run_tool(f"look up network {name}", command)
        found = json.loads(done.stdout or b"[]") if done.returncode == 0 else []
        return parse.network(found[0]) if found else None

    async def _disconnect_all(self, name: str) -> None:
        done = await self.ask(f"look up network {name}", "network", "inspect", name)
        for container in json.loads(done.stdout)[0].get("Containers") or {}:
            command = self.tool.command("network", "disconnect", "--force", name, container)
            await self.run_tool(f"disconnect {container} from {name}", command)
