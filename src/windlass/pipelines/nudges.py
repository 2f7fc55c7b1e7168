"""The datagram socket at which job processes say that they have written something."""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PATH_LIMIT = 100  # sun_path holds 108 bytes on Linux, 104 on macOS
MAX_DATAGRAM = 512
BUFFER = 1 << 20


@contextmanager
def reachable(path: Path) -> Iterator[str]:
    """Return a name of the socket that is short enough for the kernel, while the context lasts."""
    if len(str(path).encode()) <= PATH_LIMIT:
        yield str(path)
        return
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)


@contextmanager
def listen(path: Path, heard: Callable[[str], None]) -> Iterator[None]:
    """Call `heard` with the job's id (or "") for each datagram, on the running loop, while the context lasts.

    A socket that an earlier server left behind is replaced.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileNotFoundError):
        path.unlink()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.setblocking(False)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
    with reachable(path) as name:
        listener.bind(name)
    path.chmod(0o600)

    def drain() -> None:
        with suppress(BlockingIOError):
            while True:
                heard(listener.recv(MAX_DATAGRAM).decode("utf-8", "replace"))

    loop = asyncio.get_running_loop()
    loop.add_reader(listener.fileno(), drain)
    try:
        yield
    finally:
        loop.remove_reader(listener.fileno())
        listener.close()
        with suppress(FileNotFoundError):
            path.unlink()
