"""The little of GitHub's REST API that jobs find at `GITHUB_API_URL`; the rest is refused with words.

    GET /repos/OWNER/NAME                              GET …/commits/REF
    GET …/actions/runs/RUN                             GET …/actions/runs/RUN/artifacts[?name=]
    GET …/actions/artifacts/ID                         GET …/actions/artifacts/ID/zip   302

Shapes and names are GitHub's (2022-11-28), with the fields that there is something to say for.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from windlass.pipelines.context import repository_payload
from windlass.pipelines.errors import NotFoundError
from windlass.pipelines.toolkit.token import principal_of
from windlass.repos import ReposError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from windlass.identity import Authenticator
    from windlass.pipelines.pipelines import Pipelines
    from windlass.pipelines.records import Artifact, Run
    from windlass.pipelines.toolkit.results import Results

    Handler = Callable[[Request, str], Awaitable[Response]]

PREFIX = "/api/v3"
GRAPHQL = "/api/graphql"
PAGE = "docs/actions.md, GitHub's API"
_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]


class Rest:
    """The handlers. Who may read a repository's code may ask about it."""

    def __init__(self, pipelines: Pipelines, authenticator: Authenticator, results: Results) -> None:
        self._pipelines = pipelines
        self._authenticator = authenticator
        self._results = results
        self._url = pipelines.settings.server_url

    def routes(self) -> list[Route]:
        """Return the routes; the last ones catch what is not served."""
        one = f"{PREFIX}/repos/{{owner}}/{{name}}"
        served: list[tuple[str, Handler]] = [
            (one, self.repository),
            (f"{one}/commits/{{ref:path}}", self.commit),
            (f"{one}/actions/runs/{{run:int}}", self.run),
            (f"{one}/actions/runs/{{run:int}}/artifacts", self.artifacts),
            (f"{one}/actions/artifacts/{{number:int}}", self.artifact),
            (f"{one}/actions/artifacts/{{number:int}}/zip", self.download),
        ]
        return [
            *(Route(path, self._guarded(handler), methods=["GET"]) for path, handler in served),
            Route(f"{PREFIX}/{{rest:path}}", self.absent, methods=_METHODS),
            Route(PREFIX, self.absent, methods=_METHODS),
            Route(GRAPHQL, self.absent, methods=_METHODS),
        ]

    def _guarded(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            who = await principal_of(self._authenticator, request.headers.raw)
            name = f"{request.path_params['owner']}/{request.path_params['name']}"
            if who is None:
                return told(401, "Requires authentication: Authorization: Bearer $GITHUB_TOKEN")
            if not who.may("repo:read", name):
                return told(404, f"Not Found: {name} is not hosted here, or not for this token")
            try:
                return await handler(request, name)
            except (NotFoundError, ReposError) as error:
                return told(404, f"Not Found: {error}")

        return endpoint

    async def absent(self, request: Request) -> Response:
        """Say that this is not served: never an answer that looks like one."""
        if await principal_of(self._authenticator, request.headers.raw) is None:
            return told(401, "Requires authentication: Authorization: Bearer $GITHUB_TOKEN")
        return told(
            501,
            f"Windlass does not serve {request.method} {request.url.path}: of GitHub's API it has repositories, "
            "commits, runs and artifacts, to read. Use git for the rest, or call the forge itself with a token of its "
            "own.",
        )

    async def repository(self, request: Request, name: str) -> Response:  # noqa: ARG002
        """Return a repository."""
        return JSONResponse(repository_payload(await self._pipelines.hosting.get(name), self._url))

    async def commit(self, request: Request, name: str) -> Response:
        """Return the commit that a ref names."""
        ref = request.path_params["ref"]
        for full in (ref, f"refs/heads/{ref}", f"refs/tags/{ref}"):
            if not ref.startswith("-") and await self._pipelines.git.resolve(name, full):
                return JSONResponse(await self._commit(name, full))
        return told(422, f"No commit found for SHA: {ref[:100]}")

    async def _commit(self, name: str, ref: str) -> dict[str, Any]:
        found = await self._pipelines.git.commit_info(name, ref)
        address = f"{self._url}{PREFIX}/repos/{name}/commits"
        people = {
            role: {"name": who.name, "email": who.email, "date": _time(found.date)}
            for role, who in (("author", found.author), ("committer", found.committer))
        }
        message = f"{found.subject}\n\n{found.body}".strip()
        return {
            "sha": found.sha,
            "url": f"{address}/{found.sha}",
            "html_url": f"{self._url}/{name}/commit/{found.sha}",
            "commit": {"message": message, "comment_count": 0, **people},
            "author": None,
            "committer": None,
            "parents": [{"sha": sha, "url": f"{address}/{sha}"} for sha in found.parents],
        }

    async def run(self, request: Request, name: str) -> Response:
        """Return a run."""
        return JSONResponse(self._shown(await self._run(name, request.path_params["run"])))

    async def artifacts(self, request: Request, name: str) -> Response:
        """Return a run's artifacts, all or those of a name."""
        run = await self._run(name, request.path_params["run"])
        wanted = request.query_params.get("name")
        found = [one for one in await self._pipelines.artifacts.list(run.id) if wanted in {None, one.name}]
        return JSONResponse(
            {"total_count": len(found), "artifacts": [self._artifact(name, run, one) for one in found]}
        )

    async def artifact(self, request: Request, name: str) -> Response:
        """Return an artifact."""
        artifact, run = await self._found(name, request.path_params["number"])
        return JSONResponse(self._artifact(name, run, artifact))

    async def download(self, request: Request, name: str) -> Response:
        """Send on to the address of an artifact's zip, which is good for an hour."""
        artifact, _ = await self._found(name, request.path_params["number"])
        return RedirectResponse(self._results.download_address("artifact", artifact.id), 302)

    async def _found(self, name: str, number: int) -> tuple[Artifact, Run]:
        artifact, _ = await self._pipelines.artifacts.by_id(number)
        return artifact, await self._run(name, artifact.run)

    async def _run(self, name: str, number: int) -> Run:
        run = await self._pipelines.run_record(number)
        if run is None or run.repository != name:
            raise NotFoundError(f"{name} has no run or artifact of this number")
        return run

    def _shown(self, run: Run) -> dict[str, Any]:
        address = f"{self._url}{PREFIX}/repos/{run.repository}/actions/runs/{run.id}"
        return {
            "id": run.id,
            "name": run.workflow,
            "display_title": run.title,
            "path": run.path,
            "run_number": run.number,
            "run_attempt": run.attempt,
            "event": run.event,
            "status": run.status,
            "conclusion": run.conclusion,
            "head_branch": run.ref.removeprefix("refs/heads/").removeprefix("refs/tags/"),
            "head_sha": run.sha,
            "created_at": _time(run.created_at),
            "run_started_at": _time(run.started_at or run.created_at),
            "updated_at": _time(run.finished_at or run.started_at or run.created_at),
            "url": address,
            "artifacts_url": f"{address}/artifacts",
            "html_url": f"{self._url}/runs/{run.id}",
        }

    def _artifact(self, name: str, run: Run, artifact: Artifact) -> dict[str, Any]:
        address = f"{self._url}{PREFIX}/repos/{name}/actions/artifacts/{artifact.id}"
        return {
            "id": artifact.id,
            "node_id": str(artifact.id),
            "name": artifact.name,
            "size_in_bytes": artifact.size,
            "url": address,
            "archive_download_url": f"{address}/zip",
            "expired": False,
            "digest": artifact.digest,
            "created_at": _time(artifact.created_at),
            "updated_at": _time(artifact.created_at),
            "expires_at": _time(artifact.expires_at),
            "workflow_run": {"id": run.id, "head_branch": run.ref, "head_sha": run.sha},
        }


def told(status: int, message: str) -> JSONResponse:
    """Return an error as GitHub's API has it."""
    return JSONResponse({"message": message, "documentation_url": PAGE, "status": str(status)}, status)


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
