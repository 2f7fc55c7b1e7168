"""HAProxy's runtime API over its unix socket, and what its answers mean."""

from __future__ import annotations

import asyncio
import csv
from dataclasses import dataclass
from typing import TYPE_CHECKING

from windlass.kube.local.edge.errors import RuntimeSocketError

if TYPE_CHECKING:
    from pathlib import Path

TIMEOUT = 5.0
LIMIT = 16 << 20
FORCED_MAINTENANCE, FORCED_DRAIN = 0x01, 0x08


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server as HAProxy has it now."""

    backend: str
    name: str
    admin: int

    @property
    def draining(self) -> bool:
        """Whether it takes no new requests but keeps the ones it has."""
        return bool(self.admin & FORCED_DRAIN)

    @property
    def stopped(self) -> bool:
        """Whether it is in maintenance."""
        return bool(self.admin & FORCED_MAINTENANCE)


class Runtime:
    """One command, one connection; that takes about a fifth of a millisecond."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket

    async def ask(self, command: str) -> str:
        """Send one command and return what HAProxy says. Raises RuntimeSocketError when nobody answers."""
        try:
            async with asyncio.timeout(TIMEOUT):
                return await self._exchange(command)
        except (OSError, TimeoutError) as error:
            raise RuntimeSocketError(
                f"`{command.split('#', maxsplit=1)[0]}` got no answer at {self._socket}: {error!r}"
            ) from error

    async def _exchange(self, command: str) -> str:
        reader, writer = await asyncio.open_unix_connection(str(self._socket), limit=LIMIT)
        try:
            writer.write(command.encode() + b"\n")
            writer.write_eof()
            await writer.drain()
            return (await reader.read(-1)).decode(errors="replace")
        finally:
            writer.close()

    async def info(self) -> dict[str, str]:
        """`show info` as a map (Pid, description, ...)."""
        lines = (await self.ask("show info")).splitlines()
        return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}

    async def servers(self) -> list[RunningServer]:
        """All servers with their administrative state."""
        return parse_servers(await self.ask("show servers state"))

    async def sessions(self) -> dict[tuple[str, str], int]:
        """How many requests each server has in its hands."""
        return {
            (row["pxname"], row["svname"]): int(row["scur"] or 0)
            for row in parse_stat(await self.ask("show stat -1 4 -1"))
        }

    async def do(self, command: str) -> str:
        """Send a command that changes something; raises RuntimeSocketError with HAProxy's reason for refusing."""
        answer = (await self.ask(command)).strip()
        if answer and not any(word in answer for word in ("New server registered", "Server deleted")):
            raise RuntimeSocketError(f"`{command}` was refused: {answer}")
        return answer


def parse_servers(text: str) -> list[RunningServer]:
    """Read `show servers state` (version 1: a version, a header, one line for each server)."""
    lines = [line for line in text.splitlines() if line.strip()]
    header = next((line for line in lines if line.startswith("# be_id")), None)
    if header is None:
        raise RuntimeSocketError(f"`show servers state` cannot be read: {text[:200]!r}")
    columns = header.removeprefix("# ").split()
    found = []
    for line in lines[lines.index(header) + 1 :]:
        row = dict(zip(columns, line.split(), strict=False))
        found.append(RunningServer(row["be_name"], row["srv_name"], int(row["srv_admin_state"])))
    return found


def parse_stat(text: str) -> list[dict[str, str]]:
    """Read the CSV of `show stat`."""
    return list(csv.DictReader(text.removeprefix("# ").strip().splitlines()))
