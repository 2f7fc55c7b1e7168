"""Smart HTTP for hosted repositories: git's own `http-backend`, behind an authenticator."""

from __future__ import annotations

import contextlib
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Protocol, Self
from uuid import uuid4

import anyio
import structlog

from windlass.repos import commands
from windlass.repos.backend import Backend
from windlass.repos.cgi import PATH, RefusedError, cgi_environment, parse_call, serving_config
from windlass.repos.errors import RepositoryNotFoundError
from windlass.repos.hooks import HookSocket, install, terminal_line
from windlass.repos.recording import Update
from windlass.repos.sessions import Session, Sessions, follows

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncGenerator, Awaitable, Callable, MutableMapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from windlass.identity import Authenticator, Principal
    from windlass.repos.cgi import Call
    from windlass.repos.hooks import Report
    from windlass.repos.records import Push
    from windlass.repos.repositories import Repositories

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]

log = structlog.get_logger()

PARALLEL = 24
"""Git processes that work at once; a push that only waits for its lines does not count."""
PATIENCE = 30.0
"""Seconds that a request waits for its turn."""
BRIEF = 2.0
"""Seconds in which a push that does not follow gets its lines."""
CHALLENGE = [(b"www-authenticate", b'Basic realm="windlass", charset="UTF-8"')]


class PushNews(Protocol):
    """What the person who pushed is told."""

    def lines(
        self, pushes: Sequence[Push], principal: Principal, *, follow: bool
    ) -> AsyncGenerator[str, None]:
        """Yield lines for the pushing terminal (git shows them as `remote: LINE`), until all is said.

        Called once after the pushes of one `git push` were recorded. With `follow` the lines come while
        things happen, for as long as it takes; without it yield what is known now and end (it is cut off
        after 2 s). The iterator is closed when the client leaves. Never called for job principals with
        `follow`.
        """
        ...


class GitHTTP:
    """ASGI application for `/{owner}/{name}[.git]/{info/refs,git-upload-pack,git-receive-pack}`.

    `socket` is where the post-receive hook reports to (a unix socket, e.g. `DIR/run/hooks.sock`).
    `async with GitHTTP(...)` opens it and installs the hook; call `Repositories.record_unseen()` inside.
    `follow` is the default for pushes that do not say `-o follow=no` or `-o follow=yes`. `max_push` is in
    bytes, as they arrive and unpacked.
    """

    def __init__(
        self,
        repositories: Repositories,
        authenticator: Authenticator,
        on_push: PushNews,
        *,
        socket: Path,
        follow: bool = True,
        max_push: int = 4 << 30,
    ) -> None:
        self._repositories = repositories
        self._authenticator = authenticator
        self._on_push = on_push
        self._follow = follow
        self._max_push = max_push
        self._hooks = repositories.root / ".hooks"
        self._socket = HookSocket(socket, self._reported)
        self._sessions = Sessions()
        self._turns = anyio.Semaphore(PARALLEL)

    async def __aenter__(self) -> Self:
        install(self._hooks)
        await self._socket.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop_following()
        await self._socket.close()

    def stop_following(self) -> None:
        """Let every push that waits for lines end now. To be called when the server begins to stop."""
        self._sessions.leave_all()

    @staticmethod
    def serves(path: str) -> bool:
        """Tell whether a request's path is one of git's, so that the server can dispatch to this app."""
        return PATH.fullmatch(path) is not None

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        headers = dict(scope["headers"])
        try:
            principal = await self._authenticate(scope["headers"])
            call = parse_call(scope["method"], scope["path"], scope["query_string"], headers)
            await self._authorise(call, principal)
            await self._serve(call, principal, receive, send)
        except RefusedError as refusal:
            await _answer(send, refusal)

    async def _authenticate(self, headers: list[tuple[bytes, bytes]]) -> Principal:
        """Only `Authorization` counts: a cookie would let any page in the browser push."""
        shown = [(name, value) for name, value in headers if name.lower() == b"authorization"]
        principal = await self._authenticator.from_headers(shown)
        if principal is None:
            raise RefusedError(
                401, "Sign in with a token as the password: `windlass token create` makes one."
            )
        return principal

    async def _authorise(self, call: Call, principal: Principal) -> None:
        missing = RefusedError(404, f"No repository {call.repository} that {principal.name} may read.")
        if not principal.may("repo:read", call.repository):
            raise missing
        try:
            await self._repositories.get(call.repository)
        except RepositoryNotFoundError:
            raise missing from None
        if not principal.may(call.right, call.repository):
            raise RefusedError(
                403,
                f"{principal.name} may read {call.repository}, but not push to it (repo:write is needed).",
            )

    async def _serve(self, call: Call, principal: Principal, receive: Receive, send: Send) -> None:
        session = Session(uuid4().hex, call.repository, principal)
        env = cgi_environment(
            call,
            self._repositories.root.absolute(),
            principal,
            session=session.id,
            hooks=self._socket.path,
            config=serving_config(self._hooks.absolute(), self._max_push),
            rules=await self._repositories.push_rules(call.repository) if call.pushes else (),
        )
        backend = Backend(commands.http_backend(), env, receive, send, limit=self._max_push)
        with self._sessions.open(session):
            async with self._turn(session):
                await backend.run(keep=call.pushes, left=session.leave)
        if call.pushes and not session.recorded:
            # Nothing was moved, or the hook did not come through.
            with anyio.CancelScope(shield=True):
                await self._repositories.record_changes(call.repository)

    @contextlib.asynccontextmanager
    async def _turn(self, session: Session) -> AsyncGenerator[None, None]:
        try:
            with anyio.fail_after(PATIENCE):
                await self._turns.acquire()
        except TimeoutError:
            raise RefusedError(503, "The server is busy with other clones and pushes. Try again.") from None
        session.release = self._turns.release
        try:
            yield
        finally:
            session.done_with_turn()

    async def _reported(self, report: Report, writer: asyncio.StreamWriter) -> None:
        """Record what the hook reports, then tell the person who pushed."""
        session = self._sessions.get(report.session)
        if session is None:
            await self._stray(report)
            return
        who = session.principal
        updates = [
            Update(ref, before, after, who.name, who.kind, session.id, options=report.options)
            for before, after, ref in report.updates
        ]
        pushes = await self._repositories.record(session.repository, updates)
        session.recorded = True
        session.done_with_turn()
        if pushes:
            await self._tell(
                session, pushes, writer, follow=follows(who.kind, report.options, default=self._follow)
            )

    async def _stray(self, report: Report) -> None:
        """Record a push that an earlier process of the server let in: its refs tell the rest."""
        root = str(self._repositories.root.absolute())
        name = report.folder.removeprefix(f"{root}/").removesuffix(".git")
        await self._repositories.get(name)
        await self._repositories.record_changes(name)

    async def _tell(
        self, session: Session, pushes: Sequence[Push], writer: asyncio.StreamWriter, *, follow: bool
    ) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(session.cancel_when_left, tasks.cancel_scope)
            with contextlib.suppress(ConnectionError), anyio.move_on_after(None if follow else BRIEF):
                async with aclosing(self._on_push.lines(pushes, session.principal, follow=follow)) as lines:
                    async for line in lines:
                        writer.write(terminal_line(line))
                        await writer.drain()
            tasks.cancel_scope.cancel()


async def _answer(send: Send, refusal: RefusedError) -> None:
    body = f"{refusal.text}\n".encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(body))]
    headers += CHALLENGE if refusal.status == 401 else []
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
