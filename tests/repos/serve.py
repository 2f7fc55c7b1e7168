"""A server process of its own, to be killed and measured: `python serve.py DIR`. Prints its port."""

from __future__ import annotations

import asyncio
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn

from windlass.identity import FixedAuthenticator, Principal
from windlass.registry import Registry, RegistryHTTP
from windlass.repos import GitHTTP, Push, Repositories
from windlass.store import Store

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence


class Quiet:
    """Tells how many refs were pushed."""

    async def lines(
        self, pushes: Sequence[Push], principal: Principal, *, follow: bool
    ) -> AsyncGenerator[str, None]:
        yield f"{len(pushes)} refs of {principal.name}{', following' if follow else ''}"


async def main(folder: Path) -> None:
    store = Store(folder / "windlass.db")
    repositories = Repositories(store, folder / "repos")
    who = FixedAuthenticator({"t": Principal("user", "anna", ("admin",))})
    registry = RegistryHTTP(Registry(store, folder / "registry"), who)
    async with GitHTTP(repositories, who, Quiet(), socket=folder / "run" / "hooks.sock") as git:
        if not await repositories.list():
            await repositories.create("acme/x")
        for push in await repositories.record_unseen():
            sys.stdout.write(f"unseen {push.ref} {push.before} {push.after} {push.pusher}\n")

        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            serve = git if GitHTTP.serves(scope.get("path", "")) else registry
            await serve(scope, receive, send)

        listener = socket.create_server(("127.0.0.1", 0))
        sys.stdout.write(f"port {listener.getsockname()[1]}\n")
        sys.stdout.flush()
        config = uvicorn.Config(app, log_level="warning", lifespan="off", ws="none")
        await uvicorn.Server(config).serve([listener])


if __name__ == "__main__":
    try:
        import uvloop
    except ImportError:
        asyncio.run(main(Path(sys.argv[1])))
    else:
        uvloop.run(main(Path(sys.argv[1])))
