"""The address at which jobs reach the throw-away server; it is known before the server is loaded."""

from __future__ import annotations

import socket


def bind() -> socket.socket:
    """Listen on a free port of the loopback interface."""
    # with protocol 0 asyncio would leave Nagle's algorithm on, and each answer's body would come 40 ms late
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen(1024)
    listener.setblocking(False)
    return listener
