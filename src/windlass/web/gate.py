"""The gate in front of every route: who asks, from where, and how much; deny by default."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from fastapi import HTTPException
from fastapi.responses import RedirectResponse
from starlette.datastructures import MutableHeaders
from starlette.requests import Request

from windlass.web.problems import answer, speaks_json

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from windlass.identity import Authenticator, Principal

OPEN = ("/healthz", "/login")
SAFE = {"GET", "HEAD", "OPTIONS"}
MAX_BODY = 1024 * 1024
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; connect-src 'self'; img-src 'self'; style-src 'self'; "
    "script-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def same_origin(request: Request) -> bool | None:
    """Whether a page of this server sent the request; None where the client does not say (no browser)."""
    origin = request.headers.get("origin") or request.headers.get("referer")
    return None if origin is None else urlsplit(origin).netloc == request.headers.get("host")


def _foreign(request: Request) -> bool:
    """Whether an unsafe request may be forged by another site's page.

    A browser names the origin; where it does not, a cookie alone vouches for nobody. Credentials of HTTP Basic
    are sent along by browsers as well, so that another origin is refused whatever vouches.
    """
    if request.method in SAFE:
        return False
    same = same_origin(request)
    return same is False or (
        same is None and "cookie" in request.headers and "authorization" not in request.headers
    )


class Gate:
    """ASGI middleware. Finds the principal (`scope["windlass.principal"]`) or answers 401, pages: the login.

    Refuses requests that other sites' pages may have forged, and bodies above `MAX_BODY` bytes. Sets the
    headers that keep browsers from running or framing what is not ours.
    """

    def __init__(self, app: ASGIApp, identity: Authenticator) -> None:
        self._app = app
        self._identity = identity

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request pass, or answer it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        dressed = _dressed(scope["path"], send)
        refusal = await self._refusal(request)
        if refusal is not None:
            await refusal(scope, receive, dressed)
        else:
            await self._app(scope, _limited(receive), dressed)

    async def _refusal(self, request: Request) -> Response | None:
        path = request.scope["path"]
        found = None
        if path not in OPEN and not path.startswith("/static/"):
            found = await self._identity.from_headers(request.scope["headers"])
            if found is None:
                return _who(request)
        request.scope["windlass.principal"] = found
        if _foreign(request):
            return answer(request, 403, "this request does not come from a page of this server")
        declared = request.headers.get("content-length", "0")
        if not declared.isdecimal() or int(declared) > MAX_BODY:
            return answer(request, 413, f"a request's body is at most {MAX_BODY} bytes")
        return None


def _who(request: Request) -> Response:
    if speaks_json(request):
        text = "no valid token: send Authorization: Bearer TOKEN"
        return answer(request, 401, text, {"WWW-Authenticate": 'Bearer realm="windlass"'})
    query = f"?{request.url.query}" if request.url.query and request.method == "GET" else ""
    target = request.url.path if request.method in SAFE else "/"
    return RedirectResponse(f"/login?next={quote(target + query)}", 303)


def _limited(receive: Receive) -> Receive:
    size = 0

    async def limited() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body") or b"")
        if size > MAX_BODY:
            raise HTTPException(413, f"a request's body is at most {MAX_BODY} bytes")
        return message

    return limited


def _dressed(path: str, send: Send) -> Send:
    async def dressed(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            headers.setdefault(
                "Cache-Control", "no-cache" if path.startswith("/static/") else "private, no-cache"
            )
        await send(message)

    return dressed


def principal_of(request: Request) -> Principal:
    """Return who asks, as the gate found it."""
    found: Principal = request.scope["windlass.principal"]
    return found
