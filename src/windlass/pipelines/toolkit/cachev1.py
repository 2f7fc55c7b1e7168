"""The first cache service, which actions with an older `@actions/cache` in them speak: `_apis/artifactcache`.

GET   cache?keys=a,b&version=V      200 {archiveLocation, cacheKey, scope} or 204
POST  caches {key, version}         201 {cacheId}, 409 where there is one
PATCH caches/ID                     one piece, by Content-Range       204
POST  caches/ID {size}              the end                           204
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response

from windlass.pipelines.errors import CacheError, NotFoundError
from windlass.pipelines.toolkit.blobs import body
from windlass.pipelines.toolkit.messages import field

if TYPE_CHECKING:
    from starlette.requests import Request

    from windlass.pipelines.pipelines import Pipelines
    from windlass.pipelines.toolkit.results import Results
    from windlass.pipelines.toolkit.uploads import Upload, Uploads

PREFIX = "/_jobs/toolkit/_apis/artifactcache"
MAX_MESSAGE = 1 << 16
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(?:\*|\d+)\Z")


class CacheV1:
    """The handlers, each for the job whose token asks. An upload is known by its number, which is its id."""

    def __init__(self, pipelines: Pipelines, uploads: Uploads, results: Results) -> None:
        self._pipelines = pipelines
        self._uploads = uploads
        self._results = results

    async def find(self, request: Request, job: str) -> Response:
        """Look an entry up."""
        keys = [key for key in request.query_params.get("keys", "").split(",") if key]
        scope = await self._pipelines.scope_of(job)
        found = await self._pipelines.caches.find(scope, keys, request.query_params.get("version", ""))
        if found is None:
            return Response(status_code=204)
        await self._pipelines.caches.get(scope, found.id)
        address = self._results.download_address("cache", found.id)
        return JSONResponse(
            {"archiveLocation": address, "cacheKey": found.key, "scope": found.scope, "result": "hit"}
        )

    async def reserve(self, request: Request, job: str) -> Response:
        """Make room for an entry."""
        message = await _json(request)
        key, version = field(message, "key"), field(message, "version")
        await self._pipelines.caches.check_new(await self._pipelines.scope_of(job), key, version)
        upload = await self._uploads.begin(job, "cache", key, version=version)
        return JSONResponse({"cacheId": upload.number}, 201)

    async def piece(self, request: Request, job: str) -> Response:
        """Take one piece: pieces may come in any order, and at the same time."""
        upload = await self._upload(request, job)
        place = _RANGE.match(request.headers.get("content-range", ""))
        if place is None:
            raise CacheError("a Content-Range `bytes FIRST-LAST/*` is expected")
        await self._uploads.put_block(upload, f"{int(place[1]):020d}", request.stream())
        return Response(status_code=204)

    async def finish(self, request: Request, job: str) -> Response:
        """Make an entry of the pieces."""
        upload = await self._upload(request, job)
        await self._uploads.commit_in_order(upload, field(await _json(request), "size"))
        scope = await self._pipelines.scope_of(job)
        await self._pipelines.caches.put(scope, upload.name, upload.version, self._uploads.chunks(upload))
        await self._uploads.end(upload.id)
        return Response(status_code=204)

    async def _upload(self, request: Request, job: str) -> Upload:
        number = int(request.path_params["number"])
        for upload in await self._uploads.of_job(job):
            if (upload.kind, upload.number) == ("cache", number):
                return upload
        raise NotFoundError(f"this job has no cache upload {number}")


async def _json(request: Request) -> dict[str, object]:
    try:
        found = json.loads(await body(request, MAX_MESSAGE) or b"{}")
    except ValueError:
        raise CacheError("the message is not JSON") from None
    return found if isinstance(found, dict) else {}
