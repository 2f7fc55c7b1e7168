"""Uploads of blobs: monolithic, chunked, mounted."""

from __future__ import annotations

from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING

import structlog

from windlass.registry.messages import ClientLeftError
from windlass.registry.reference import PATH
from windlass.registry.wire import check_chunk, check_digest, upload_range

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from windlass.registry.blobs import Upload
    from windlass.registry.messages import Exchange
    from windlass.registry.storage import Registry
    from windlass.registry.wire import Request

log = structlog.get_logger()


class UploadsHTTP:
    """The handlers of `/v2/NAME/blobs/uploads/…`."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    async def begin(self, request: Request, exchange: Exchange) -> None:
        """POST: mount a blob, take it whole (`?digest=`), or begin an upload."""
        mount, source = request.query.get("mount"), request.query.get("from", "")
        if mount and await self._mount(request.name, check_digest(mount), source, exchange):
            await self._created(request.name, mount, exchange)
            return
        digest = check_digest(request.query["digest"]) if request.query.get("digest") else None
        upload = await self._registry.blobs.begin(request.name)
        if digest:
            async with upload.lock:
                await self._take(request, upload, exchange)
                await self._registry.finish(upload, digest)
            await self._created(request.name, digest, exchange)
        else:
            await self._state(202, upload, exchange)

    async def _mount(self, name: str, digest: str, source: str, exchange: Exchange) -> bool:
        owner = "/".join(source.split("/")[:2])
        if not PATH.fullmatch(source) or not exchange.principal.may("registry:read", owner):
            return False
        return await self._registry.mount(name, digest, source)

    async def status(self, request: Request, exchange: Exchange) -> None:
        """GET: how much has arrived."""
        upload = self._registry.blobs.find(request.name, request.reference)
        await self._state(204, upload, exchange)

    async def extend(self, request: Request, exchange: Exchange) -> None:
        """PATCH: a chunk, or all of it as a stream."""
        async with self._held(request) as upload:
            await self._take(request, upload, exchange)
        await self._state(202, upload, exchange)

    async def finish(self, request: Request, exchange: Exchange) -> None:
        """PUT: the last chunk, if there is one, and the digest of the whole."""
        digest = check_digest(request.query.get("digest", ""))
        async with self._held(request) as upload:
            await self._take(request, upload, exchange)
            await self._registry.finish(upload, digest)
        await self._created(request.name, digest, exchange)

    async def cancel(self, request: Request, exchange: Exchange) -> None:
        """DELETE: forget the upload."""
        async with self._held(request) as upload:
            await self._registry.blobs.drop(upload)
        await exchange.answer(204)

    @asynccontextmanager
    async def _held(self, request: Request) -> AsyncGenerator[Upload, None]:
        """Find an upload and keep others from it; 404 if the one before has finished it."""
        find = self._registry.blobs.find
        async with find(request.name, request.reference).lock:
            yield find(request.name, request.reference)

    async def _take(self, request: Request, upload: Upload, exchange: Exchange) -> None:
        """Write the body to the upload; what has arrived stays if the client leaves, for it to go on from there."""
        check_chunk(request.header(b"content-range"), request.header(b"content-length"), upload.size)
        try:
            async with aclosing(exchange.chunks()) as chunks:
                await self._registry.blobs.extend(upload, chunks)
        except ClientLeftError:
            log.info("an upload broke off", repository=upload.repository, size=upload.size)
            raise

    @staticmethod
    async def _state(status: int, upload: Upload, exchange: Exchange) -> None:
        headers = [
            (b"location", f"/v2/{upload.repository}/blobs/uploads/{upload.id}".encode()),
            (b"range", upload_range(upload.size).encode()),
            (b"docker-upload-uuid", upload.id.encode()),
        ]
        await exchange.answer(status, headers)

    @staticmethod
    async def _created(name: str, digest: str, exchange: Exchange) -> None:
        location = (b"location", f"/v2/{name}/blobs/{digest}".encode())
        await exchange.answer(201, [location, (b"docker-content-digest", digest.encode())])
