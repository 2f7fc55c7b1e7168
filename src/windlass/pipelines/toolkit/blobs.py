"""Blobs behind signed addresses: the part of Azure's block blobs that the toolkit's client speaks, and downloads.

PUT ?comp=block&blockid=ID     one block           PUT ?comp=blocklist     the order of the blocks, as XML
PUT                            all of it           GET                     a download, ranges too
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING
from uuid import uuid4

from starlette.responses import FileResponse, Response
from starlette.routing import Route

from windlass.pipelines.errors import NotFoundError, PipelinesError
from windlass.pipelines.toolkit.results import BLOBS, DOWNLOADS
from windlass.pipelines.toolkit.uploads import block_ids

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.requests import Request

    from windlass.pipelines.pipelines import Pipelines
    from windlass.pipelines.toolkit.signing import Signer
    from windlass.pipelines.toolkit.uploads import Uploads

MAX_LIST = 4 << 20
"""Bytes of a block list."""
VERSION = "2024-11-04"


class Blobs:
    """The handlers. Who has a signed address needs nothing else, and can do nothing else."""

    def __init__(self, pipelines: Pipelines, uploads: Uploads, signer: Signer) -> None:
        self._pipelines = pipelines
        self._uploads = uploads
        self._signer = signer

    async def upload(self, request: Request) -> Response:
        """Take a block, a block list, or a whole blob."""
        self._signer.check(request.url.path, "w", request.query_params)
        upload = await self._uploads.get(request.path_params["id"])
        if not await self._pipelines.is_living(upload.job):
            raise NotFoundError("the job that began this upload is over")
        what = request.query_params.get("comp", "")
        if what == "block":
            await self._uploads.put_block(upload, request.query_params.get("blockid", ""), request.stream())
        elif what == "blocklist":
            await self._uploads.commit(
                upload, block_ids((await body(request, MAX_LIST)).decode("utf-8", "replace"))
            )
        elif not what:
            await self._uploads.put(upload, request.stream())
        else:
            raise PipelinesError(f"comp={what[:20]} is not served here: block and blocklist are")
        return Response(status_code=201, headers=_headers(upload.id))

    async def download(self, request: Request) -> Response:
        """Hand an artifact or a cache entry out."""
        self._signer.check(request.url.path, "r", request.query_params)
        number = int(request.path_params["number"])
        if request.path_params["kind"] == "artifact":
            artifact, path = await self._pipelines.artifacts.by_id(number)
            name = f"{artifact.name}.zip"
            return FileResponse(path, media_type="application/zip", filename=name, headers=_headers(name))
        path: Path = await self._pipelines.caches.by_id(number)  # type: ignore[no-redef]
        return FileResponse(path, media_type="application/octet-stream", headers=_headers(str(number)))

    def routes(self) -> list[Route]:
        """Return their routes, unguarded: the caller turns errors into answers."""
        return [
            Route(f"{BLOBS}/{{id}}", self.upload, methods=["PUT"]),
            Route(f"{DOWNLOADS}/{{kind}}/{{number:int}}", self.download, methods=["GET"]),
        ]


def _headers(name: str) -> dict[str, str]:
    """Return what Azure's client looks for in an answer."""
    etag = hashlib.sha256(name.encode()).hexdigest()[:16]
    return {"ETag": f'"{etag}"', "x-ms-request-id": uuid4().hex, "x-ms-version": VERSION}


async def body(request: Request, limit: int) -> bytes:
    """Return a small body whole. Raises `PipelinesError` where it is larger."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise PipelinesError(f"the request is larger than {limit} bytes")
    return bytes(body)
