"""Whether an address can be listened at."""

from __future__ import annotations

import socket
import sys

IP_FREEBIND = 15


def is_free(bind: str) -> bool:
    """Try to bind `ADDRESS:PORT` as HAProxy will: also where the address is not on this machine yet."""
    host, _, port = bind.rpartition(":")
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if sys.platform == "linux":
            probe.setsockopt(socket.SOL_IP, IP_FREEBIND, 1)
        try:
            probe.bind((host.strip("[]"), int(port)))
            probe.listen(1)
        except OSError:  # taken, or not for us to take (a port below 1024)
            return False
    return True
