"""Where jobs ask whether somebody wants a shell in the sandbox of a step that failed: one at a time."""

from __future__ import annotations

import json
import os
import socket
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread

from windlass.pipelines.nudges import reachable
from windlass.runner.hold import SOCKET

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_LIMIT = 1 << 16
Asked = dict[str, Any]


@dataclass
class Shells:
    """Answers jobs. Lives in `run` until cancelled.

    `attach` takes what a job says of its step and a terminal's master side, and blocks until that is closed.
    """

    folder: Path
    attach: Callable[[Asked, int], None]
    term: str = "dumb"
    _turn: anyio.Lock = field(default_factory=anyio.Lock)

    async def run(self) -> None:
        """Listen, and serve whoever comes."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        path = self.folder / SOCKET
        with listener, reachable(path) as name:
            before = os.umask(0o177)
            try:
                listener.bind(name)
            finally:
                os.umask(before)
            listener.listen(64)
            listener.setblocking(False)
            async with anyio.create_task_group() as tasks:
                while True:
                    await anyio.wait_readable(listener)
                    with suppress(BlockingIOError):
                        channel, _ = listener.accept()
                        channel.setblocking(False)
                        tasks.start_soon(self._serve, channel)

    async def _serve(self, channel: socket.socket) -> None:
        with channel:
            data = b""
            while not data.endswith(b"\n"):
                await anyio.wait_readable(channel)
                part = channel.recv(_LIMIT)
                if not part or len(data) > _LIMIT:
                    return
                data += part
            async with self._turn:
                await self._give(channel, json.loads(data))

    async def _give(self, channel: socket.socket, asked: Asked) -> None:
        """Hand a new terminal's far side to the job, and the near side to the person."""
        master, slave = os.openpty()
        try:
            try:
                socket.send_fds(channel, [f"{self.term}\n".encode()], [slave])
            except OSError:
                return  # the job was cancelled meanwhile
            finally:
                os.close(slave)
            await anyio.to_thread.run_sync(self.attach, asked, master, abandon_on_cancel=True)
        finally:
            os.close(master)
