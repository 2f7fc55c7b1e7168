"""Connections that somebody owns from their first moment: who is cancelled while connecting leaves no socket behind.

httpx2 loses sockets when a request is cancelled while it connects: `anyio.connect_tcp` when the connection stands in
the very moment of the cancellation, and the TLS handshake at any time. The garbage collector closes those, and until
then the other side holds a connection on which nothing will ever come.
"""

from __future__ import annotations

import asyncio
import socket
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import anyio
import httpcore2
from anyio.abc import SocketStream
from httpcore2._backends.anyio import AnyIOStream

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable

    import httpx2

Option = Any  # what `socket.setsockopt` takes


async def open_socket(host: str, port: int) -> socket.socket:
    """Connect over TCP to the first address of `host` that answers; OSError when none does."""
    failures: list[OSError] = []
    for family, address in await _addresses(host, port):
        connecting = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            connecting.setblocking(False)
            await asyncio.get_running_loop().sock_connect(connecting, address)
        except OSError as error:
            connecting.close()
            failures.append(error)
        except BaseException:
            connecting.close()
            raise
        else:
            return connecting
    raise failures[0] if failures else OSError(f"{host} has no address")


async def _addresses(host: str, port: int) -> list[tuple[int, Any]]:
    try:
        family = socket.AF_INET6 if ip_address(host).version == 6 else socket.AF_INET
    except ValueError:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return [(family, address) for family, *_, address in found]
    return [(family, (host, port))]


async def _stream(connected: socket.socket, options: Iterable[Option]) -> SocketStream:
    try:
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for option in options:
            connected.setsockopt(*option)
        return await SocketStream.from_socket(connected)
    except BaseException:
        connected.close()
        raise


class _Stream(AnyIOStream):
    """A stream that is closed when its TLS handshake is cancelled."""

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.AsyncNetworkStream:
        try:
            return await super().start_tls(ssl_context, server_hostname, timeout)
        except BaseException:
            await anyio.aclose_forcefully(self._stream)
            raise


class OwningBackend(httpcore2.AnyIOBackend):
    """httpcore2's network with the gaps closed."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Option] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Connect; raises what httpcore2 raises."""
        if local_address is not None:
            raise NotImplementedError("connections from a chosen local address are not owned")
        try:
            with anyio.fail_after(timeout):
                stream = await _stream(await open_socket(host, port), socket_options or ())
        except TimeoutError as error:
            raise httpcore2.ConnectTimeout(str(error)) from error
        except OSError as error:
            raise httpcore2.ConnectError(str(error)) from error
        return _Stream(stream)


def owning(client: httpx2.AsyncClient) -> httpx2.AsyncClient:
    """Make a client own its connections; it is returned. httpx2 has no public way to choose the network."""
    for transport in (client._transport, *client._mounts.values()):  # noqa: SLF001 none other
        if transport is not None:
            pool: Any = vars(transport)["_pool"]
            pool._network_backend = OwningBackend()  # noqa: SLF001
    return client
