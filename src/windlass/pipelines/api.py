"""What jobs ask of the server over HTTP: artifacts and caches, with the job's own token.

    PUT  /_jobs/artifacts/NAME?overwrite=false&retention-days=N   zip body            201 {artifact}
    GET  /_jobs/artifacts[?run=N]                                                     200 {"artifacts": [...]}
    GET  /_jobs/artifacts/NAME[?run=N]                                                200 zip
    DELETE /_jobs/artifacts/NAME                                                      204
    GET  /_jobs/caches?keys=a,b&version=V                                             200 {cache} or 204
    PUT  /_jobs/caches/KEY?version=V         body                                     201 {cache}
    GET  /_jobs/caches/ID                                                             200 body

401 without a token, 403 for who is no job, 404, 409 where one is there already, 413 or 422 where refused. Errors
are `{"message": …}`. A run of the same repository may be named by `run`.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from starlette.requests import ClientDisconnect
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from windlass.pipelines.errors import (
    ArtifactError,
    CacheError,
    ConflictError,
    NotFoundError,
    PipelinesError,
)
from windlass.pipelines.permissions import job_of
from windlass.pipelines.toolkit.routes import Toolkit

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from windlass.identity import Authenticator
    from windlass.pipelines.caches import CacheScope
    from windlass.pipelines.pipelines import Pipelines

    Handler = Callable[[Request, str], Awaitable[Response]]

JOB_PATHS = ("/_jobs/", "/twirp/", "/api/v3", "/api/graphql")
"""Beginnings of the paths that `job_routes` serves."""
STATUS: tuple[tuple[type[PipelinesError], int], ...] = (
    (NotFoundError, 404),
    (ConflictError, 409),
    (ArtifactError, 422),
    (CacheError, 422),
    (PipelinesError, 400),
)


def refuse(status: int, message: str) -> JSONResponse:
    """Return an error as every listener here writes it."""
    headers = {"WWW-Authenticate": 'Bearer realm="windlass jobs"'} if status == 401 else {}
    return JSONResponse({"message": message}, status, headers)


class JobAPI:
    """The handlers. `job` is always the id of a job that is not over."""

    def __init__(self, pipelines: Pipelines, authenticator: Authenticator) -> None:
        self._pipelines = pipelines
        self._authenticator = authenticator

    def guarded(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        """Let only living jobs through, and turn refusals into answers."""

        async def endpoint(request: Request) -> Response:
            who = await self._authenticator.from_headers(request.headers.raw)
            if who is None:
                return refuse(401, "a job's token is needed: Authorization: Bearer $GITHUB_TOKEN")
            job = job_of(who.name) if who.kind == "job" else None
            if job is None or not await self._pipelines.is_living(job):
                return refuse(403, "only a job that is running may do this")
            try:
                return await handler(request, job)
            except PipelinesError as error:
                status = next(code for kind, code in STATUS if isinstance(error, kind))
                return refuse(status, str(error))
            except ClientDisconnect:
                return refuse(400, "the upload was cut off")

        return endpoint

    async def put_artifact(self, request: Request, job: str) -> Response:
        """Keep an uploaded artifact."""
        days = request.query_params.get("retention-days", "")
        artifact = await self._pipelines.artifacts.put(
            job,
            request.path_params["name"],
            request.stream(),
            overwrite=request.query_params.get("overwrite", "false").lower() == "true",
            retention=float(days) * 86400 if days.isdecimal() and days != "0" else None,
        )
        return JSONResponse(asdict(artifact), 201)

    async def list_artifacts(self, request: Request, job: str) -> Response:
        """Return the artifacts of the job's run."""
        found = await self._pipelines.artifacts.list(await self._run(request, job))
        return JSONResponse({"artifacts": [asdict(item) for item in found]})

    async def get_artifact(self, request: Request, job: str) -> Response:
        """One artifact's zip."""
        run = await self._run(request, job)
        artifact, path = await self._pipelines.artifacts.get(run, request.path_params["name"])
        return FileResponse(
            path, media_type="application/zip", headers={"X-Windlass-Digest": artifact.digest}
        )

    async def delete_artifact(self, request: Request, job: str) -> Response:
        """Delete an artifact of the job's own run."""
        await self._pipelines.artifacts.delete(job, request.path_params["name"])
        return Response(status_code=204)

    async def _run(self, request: Request, job: str) -> int:
        """Return the job's own run, or another one of its repository."""
        wanted = request.query_params.get("run")
        own = (await self._pipelines.scope_of(job)).repository
        if wanted is None:
            return int(job.partition(".")[0])
        run = await self._pipelines.run_record(int(wanted)) if wanted.isdecimal() else None
        if run is None or run.repository != own:
            raise NotFoundError(f"{own} has no run {wanted[:20]}")
        return run.id

    async def find_cache(self, request: Request, job: str) -> Response:
        """Look an entry up."""
        keys = [key for key in request.query_params.get("keys", "").split(",") if key]
        version = request.query_params.get("version", "")
        found = await self._pipelines.caches.find(await self._scope(job), keys, version)
        return JSONResponse(asdict(found)) if found else Response(status_code=204)

    async def put_cache(self, request: Request, job: str) -> Response:
        """Keep a new entry."""
        version = request.query_params.get("version", "")
        key = request.path_params["key"]
        cache = await self._pipelines.caches.put(await self._scope(job), key, version, request.stream())
        return JSONResponse(asdict(cache), 201)

    async def get_cache(self, request: Request, job: str) -> Response:
        """Hand an entry out."""
        _, path = await self._pipelines.caches.get(await self._scope(job), request.path_params["id"])
        return FileResponse(path, media_type="application/octet-stream")

    async def _scope(self, job: str) -> CacheScope:
        return await self._pipelines.scope_of(job)


def job_routes(pipelines: Pipelines, authenticator: Authenticator) -> list[Route]:
    """Return the routes under `JOB_PATHS`, for the server's application."""
    api = JobAPI(pipelines, authenticator)

    def route(path: str, method: str, handler: Handler) -> Route:
        return Route(f"/_jobs{path}", api.guarded(handler), methods=[method])

    return [
        route("/artifacts", "GET", api.list_artifacts),
        route("/artifacts/{name}", "PUT", api.put_artifact),
        route("/artifacts/{name}", "GET", api.get_artifact),
        route("/artifacts/{name}", "DELETE", api.delete_artifact),
        route("/caches", "GET", api.find_cache),
        route("/caches/{key:path}", "PUT", api.put_cache),
        route("/caches/{id:int}", "GET", api.get_cache),
        *Toolkit(pipelines, authenticator).routes(),
    ]
