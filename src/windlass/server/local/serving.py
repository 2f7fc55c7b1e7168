"""What jobs of a run without a server reach over HTTP: artifacts, caches, the repository."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import anyio
from starlette.applications import Starlette
from starlette.responses import JSONResponse

from windlass.pipelines import job_routes
from windlass.pipelines.api import JOB_PATHS
from windlass.repos import GitHTTP
from windlass.server.listen import listening

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncGenerator, Sequence

    from windlass.identity import Identity, Principal
    from windlass.pipelines import Pipelines
    from windlass.repos import Push, Repositories
    from windlass.server.listen import Message, Receive, Send


class NoNews:
    """Tells who pushes into the snapshot that it goes nowhere."""

    async def lines(
        self,
        pushes: Sequence[Push],  # noqa: ARG002 the port's signature
        principal: Principal,  # noqa: ARG002
        *,
        follow: bool,  # noqa: ARG002
    ) -> AsyncGenerator[str, None]:
        """Yield the one line."""
        yield "this push stays in the run (windlass run): it is gone when the run is over"


async def _nothing(scope: Message, receive: Receive, send: Send) -> None:
    message = "this is the throw-away server of `windlass run`: it has a jobs' API and one git repository"
    await JSONResponse({"message": message}, 404)(scope, receive, send)


async def serve(
    runs: Pipelines,
    identity: Identity,
    repositories: Repositories,
    listener: socket.socket,
) -> None:
    """Serve until cancelled."""
    jobs = Starlette(routes=job_routes(runs, identity))
    with TemporaryDirectory(
        prefix="windlass-"
    ) as short:  # a cache folder may be too deep for a socket's name
        git = GitHTTP(repositories, identity, NoNews(), socket=Path(short) / "hooks.sock")

        async def app(scope: Message, receive: Receive, send: Send) -> None:
            path = str(scope.get("path", ""))
            part = git if GitHTTP.serves(path) else jobs if path.startswith(JOB_PATHS) else _nothing
            await part(scope, receive, send)

        async with git, listening(app, listener, git.stop_following):
            await anyio.sleep_forever()
