"""Refusals and failures: JSON `{"detail"}` for the API, a page for browsers."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import structlog
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from windlass.identity import ScopeError, SecretError
from windlass.store import is_disk_full
from windlass.web.templating import render

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastapi import FastAPI
    from starlette.requests import Request

log = structlog.get_logger()
PROGRAMS = ("/api/", "/events", "/healthz")
MAX_SHOWN = 8
DISK_FULL = (
    "The disk of the server's data directory is full, and nothing was changed. Make room and try again."
)


def speaks_json(request: Request) -> bool:
    """Whether a program asks, as far as one can tell."""
    return request.url.path.startswith(PROGRAMS)


def answer(request: Request, status: int, text: str, headers: Mapping[str, str] | None = None) -> Response:
    """Say what went wrong in the asker's way."""
    text = text.encode(errors="replace").decode()
    if speaks_json(request):
        return JSONResponse({"detail": text}, status, dict(headers or {}))
    title = HTTPStatus(status).phrase
    return render(
        request, "problem.html", status=status, code=status, title=title, text=text, headers=headers
    )


def words(error: RequestValidationError) -> str:
    """Say what is wrong with a request, and where; what was sent is not repeated, for it may be a secret."""
    found = [
        f"{'.'.join(str(part) for part in item['loc'])}: {str(item['msg'])[:200]}"
        for item in error.errors()[:MAX_SHOWN]
    ]
    return "; ".join(found)


async def _http(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    text = str(error.detail)
    if error.status_code == 404 and text == "Not Found":
        text = f"There is nothing at {request.url.path}."
    return answer(request, error.status_code, text, error.headers)


async def _invalid(request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    # A page's address that is not understood leads nowhere; a program is told what to write.
    in_path = all(item["loc"][:1] == ("path",) for item in error.errors())
    return answer(request, 404 if in_path and not speaks_json(request) else 422, words(error))


async def _broken(request: Request, error: Exception) -> Response:
    log.error("web.broken", path=request.url.path, error=repr(error))
    if is_disk_full(error):
        return answer(request, 507, DISK_FULL)
    text = "The server met an error of its own. Its log says more: the terminal of `windlass up`."
    return answer(request, 500, text)


def add_handlers(app: FastAPI, refusals: Mapping[type[Exception], int]) -> None:
    """Teach the application how each refusal of the rooms below is told."""

    def refuse(status: int) -> Any:
        async def say(request: Request, error: Exception) -> Response:
            return answer(request, status, str(error))

        return say

    statuses: dict[type[Exception], int] = {SecretError: 422, ScopeError: 422, **refusals}
    for kind, status in statuses.items():
        app.add_exception_handler(kind, refuse(status))
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(Exception, _broken)
