"""The routes of the toolkit's services: who asks is checked here, and every refusal becomes an answer."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import anyio.to_thread
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from windlass.pipelines.context import github_context
from windlass.pipelines.errors import ConflictError, NotFoundError, PipelinesError
from windlass.pipelines.toolkit import oidc
from windlass.pipelines.toolkit.blobs import Blobs, body
from windlass.pipelines.toolkit.cachev1 import PREFIX as CACHE_V1
from windlass.pipelines.toolkit.cachev1 import CacheV1
from windlass.pipelines.toolkit.rest import Rest
from windlass.pipelines.toolkit.results import PACKAGE, Results
from windlass.pipelines.toolkit.signing import SignatureError, Signer, key_from
from windlass.pipelines.toolkit.token import job_behind, principal_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from windlass.identity import Authenticator, Principal
    from windlass.pipelines.pipelines import Pipelines

    Handler = Callable[[Request], Awaitable[Response]]
    ForJob = Callable[[Request, str], Awaitable[Response]]

MAX_MESSAGE = 1 << 20
MAX_AUDIENCE = 1000
ID_TOKEN = "api:write"  # noqa: S105 an action, not a token
_REMEDY = "add `permissions: {id-token: write}` to the job or the workflow"


class Toolkit:
    """All services of the toolkit, over one server's pipelines."""

    def __init__(self, pipelines: Pipelines, authenticator: Authenticator) -> None:
        settings = pipelines.settings
        keys = settings.directory / "keys"
        signer = Signer(key_from(keys / "blobs.key"))
        self._pipelines = pipelines
        self._authenticator = authenticator
        self._issuer = oidc.Issuer(settings.server_url, keys / "oidc.pem")
        self._results = Results(pipelines, pipelines.uploads, signer, settings.server_url)
        self._blobs = Blobs(pipelines, pipelines.uploads, signer)
        self._caches = CacheV1(pipelines, pipelines.uploads, self._results)
        self._rest = Rest(pipelines, authenticator, self._results)

    def routes(self) -> list[Route]:
        """Return all routes."""
        caches = self._caches
        v1: list[tuple[str, str, ForJob]] = [
            ("/cache", "GET", caches.find),
            ("/caches", "POST", caches.reserve),
            ("/caches/{number:int}", "PATCH", caches.piece),
            ("/caches/{number:int}", "POST", caches.finish),
        ]
        wellknown = f"{oidc.PREFIX}/.well-known"
        return [
            Route("/twirp/{service}/{method}", self.twirp, methods=["POST"]),
            *(
                Route(f"{CACHE_V1}{path}", answered(self._for_job(handler)), methods=[method])
                for path, method, handler in v1
            ),
            *(
                Route(one.path, answered(one.endpoint), methods=list(one.methods or ()))
                for one in self._blobs.routes()
            ),
            Route(f"{oidc.PREFIX}/token", answered(self._for_job(self.id_token)), methods=["GET"]),
            Route(f"{wellknown}/openid-configuration", self.configuration, methods=["GET"]),
            Route(f"{wellknown}/jwks", self.keys, methods=["GET"]),
            *self._rest.routes(),
        ]

    def _for_job(self, handler: ForJob) -> Handler:
        async def endpoint(request: Request) -> Response:
            job, refused = await self._job(request)
            return refused or await handler(request, job)

        return endpoint

    async def _job(self, request: Request) -> tuple[str, Response | None]:
        """Return the living job that asks, or the refusal."""
        who = await self._who(request)
        if who is None:
            return "", refuse(401, "a job's token is needed: Authorization: Bearer $ACTIONS_RUNTIME_TOKEN")
        job = job_behind(who)
        if job is None or not await self._pipelines.is_living(job):
            return "", refuse(403, "only a job that is running may do this")
        return job, None

    async def _who(self, request: Request) -> Principal | None:
        return await principal_of(self._authenticator, request.headers.raw)

    async def twirp(self, request: Request) -> Response:
        """Call a method of a service (Twirp 7, JSON)."""
        job, refused = await self._job(request)
        if refused is not None:
            code = {401: "unauthenticated", 403: "permission_denied"}[refused.status_code]
            message = json.loads(bytes(refused.body))["message"]
            return twirp_error(refused.status_code, code, message)
        package, _, service = request.path_params["service"].rpartition(".")
        method = self._results.methods.get((service, request.path_params["method"]))
        if package != PACKAGE or method is None:
            return twirp_error(404, "bad_route", f"{request.url.path}: this server has no such method")
        try:
            message = json.loads(await body(request, MAX_MESSAGE) or b"{}")
            if not isinstance(message, dict):
                return twirp_error(400, "malformed", "the message is not an object")
            return JSONResponse(await method(job, message))
        except PipelinesError as error:
            return twirp_error(*_twirp_code(error), str(error))
        except ValueError:
            return twirp_error(400, "malformed", "the message is not JSON: only application/json is served")

    async def id_token(self, request: Request, job: str) -> Response:
        """Return an identity token for the audience that is asked for, if the job's permissions have it."""
        who, run = await self._who(request), await self._pipelines.run_of_job(job)
        if run is None or who is None or not who.may(ID_TOKEN, f"id-token/{run.repository}"):
            return refuse(403, f"this job may not have an identity token: {_REMEDY}")
        audience = request.query_params.get("audience", "")
        if len(audience) > MAX_AUDIENCE:
            return refuse(400, f"the audience is longer than {MAX_AUDIENCE} characters")
        payload, environment = await self._pipelines.facts_of_job(job)
        github = github_context(run, payload, self._pipelines.settings.server_url)

        def make() -> str:
            return self._issuer.token(github, audience=audience, environment=environment)

        return JSONResponse({"value": await anyio.to_thread.run_sync(make)})

    async def configuration(self, request: Request) -> Response:  # noqa: ARG002
        """Say how identity tokens are checked (OpenID Connect Discovery 1.0)."""
        return JSONResponse(self._issuer.configuration())

    async def keys(self, request: Request) -> Response:  # noqa: ARG002
        """Return the keys (RFC 7517)."""
        return JSONResponse(await anyio.to_thread.run_sync(self._issuer.keys))


def refuse(status: int, message: str) -> JSONResponse:
    """Return an error as the toolkit's HTTP client shows it."""
    headers = {"WWW-Authenticate": 'Bearer realm="windlass jobs"'} if status == 401 else {}
    return JSONResponse({"message": message}, status, headers)


def twirp_error(status: int, code: str, message: str) -> JSONResponse:
    """Return an error as Twirp has it."""
    return JSONResponse({"code": code, "msg": message}, status)


def _twirp_code(error: PipelinesError) -> tuple[int, str]:
    if isinstance(error, ConflictError):
        return 409, "already_exists"
    if isinstance(error, NotFoundError):
        return 404, "not_found"
    return 400, "invalid_argument"


def answered(handler: Any) -> Handler:
    """Turn what a handler raises into an answer."""

    async def endpoint(request: Request) -> Response:
        try:
            found: Response = await handler(request)
        except SignatureError as error:
            return refuse(403, str(error))
        except PipelinesError as error:
            return refuse({409: 409, 404: 404}.get(_twirp_code(error)[0], 400), str(error))
        except ClientDisconnect:
            return refuse(400, "the upload was cut off")
        return found

    return endpoint
