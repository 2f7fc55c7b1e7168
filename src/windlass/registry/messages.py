"""One request and its response in ASGI's messages: bodies as streams, with limits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread

from windlass.registry.errors import ManifestInvalidError, RegistryError, UploadInvalidError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, MutableMapping, Sequence
    from pathlib import Path

    from windlass.identity import Principal

    Message = MutableMapping[str, Any]

IDLE = 300.0
"""Seconds without a byte of the body after which a request is given up."""
CHUNK = 256 << 10
VERSION = (b"docker-distribution-api-version", b"registry/2.0")


class ClientLeftError(RegistryError):
    """The client left before the end of its request."""


class Exchange:
    """Request and response of one call. `principal` is set by the application before any handler runs."""

    principal: Principal

    def __init__(
        self,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
        *,
        head: bool,
    ) -> None:
        self._receive = receive
        self._send = send
        self.head = head

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Yield the body as it arrives; `ClientLeftError` if it breaks off."""
        more = True
        while more:
            try:
                with anyio.fail_after(IDLE):
                    message = await self._receive()
            except TimeoutError:
                raise UploadInvalidError(f"No data came for {IDLE:.0f} s.", status=408) from None
            if message["type"] == "http.disconnect":
                raise ClientLeftError("The client left.")
            if body := message.get("body", b""):
                yield body
            more = message.get("more_body", False)

    async def body(self, limit: int) -> bytes:
        """Return a small body; 413 if it is over `limit` bytes."""
        parts: list[bytes] = []
        size = 0
        async for chunk in self.chunks():
            size += len(chunk)
            if size > limit:
                raise ManifestInvalidError(f"A manifest may have at most {limit} bytes.", status=413)
            parts.append(chunk)
        return b"".join(parts)

    async def answer(
        self, status: int, headers: Sequence[tuple[bytes, bytes]] = (), body: bytes = b""
    ) -> None:
        """Send a whole response."""
        shown = [*headers, VERSION]
        if status not in {204, 304} and not any(name == b"content-length" for name, _ in headers):
            shown.append((b"content-length", b"%d" % len(body)))
        await self._send({"type": "http.response.start", "status": status, "headers": shown})
        await self._send({"type": "http.response.body", "body": b"" if self.head else body})

    async def answer_file(
        self, status: int, headers: Sequence[tuple[bytes, bytes]], path: Path, first: int, size: int
    ) -> None:
        """Send `size` bytes of a file from `first`, a chunk at a time."""
        await self._send({"type": "http.response.start", "status": status, "headers": [*headers, VERSION]})
        if not self.head:
            async with await anyio.open_file(path, "rb") as file:
                await file.seek(first)
                while size > 0:
                    data = await file.read(min(CHUNK, size))
                    if not data:
                        break
                    size -= len(data)
                    await self._send({"type": "http.response.body", "body": data, "more_body": True})
        await self._send({"type": "http.response.body", "body": b""})
