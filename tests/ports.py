"""Ports for servers that tests start as processes, which cannot be told to take any port and say which."""

from __future__ import annotations

import os
import random
import socket

FIRST, LAST = 20_000, 32_000  # below those that the system gives to clients
SHARE = 3_000


def free_block(count: int = 100) -> range:
    """Find so many ports in a row on which nobody listens. Tests that run beside these have ranges of their own."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    share = FIRST + worker * SHARE % (LAST - FIRST)
    for _ in range(100):
        first = share + random.randrange(SHARE // count) * count
        block = range(first, first + count)
        if all(map(_is_free, block)):
            return block
    raise RuntimeError(f"no {count} free ports in a row from {share} on")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
