"""Logging a browser in: by the link that the server prints, or by a pasted token."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from windlass.identity.authentication import SESSION_COOKIE
from windlass.web.access import ports_of
from windlass.web.forms import read_form
from windlass.web.templating import render

if TYPE_CHECKING:
    from windlass.identity import Principal

router = APIRouter(include_in_schema=False)
SESSION_SECONDS = 30 * 86400.0
MAX_FORM = 4096


def _inside(path: str) -> str:
    """Keep a redirect on this server. Browsers read a backslash as a slash and drop control characters."""
    odd = "\\" in path or any(ord(letter) < 33 or ord(letter) == 127 for letter in path)
    return path if path.startswith("/") and not path.startswith("//") and not odd else "/"


def _lifetime(found: Principal) -> float:
    """Return a session's seconds: it never outlives the token that it was begun with."""
    left = SESSION_SECONDS if found.expires_at is None else found.expires_at - time.time()
    return max(1.0, min(SESSION_SECONDS, left))


async def _begin(request: Request, found: Principal | None, target: str) -> Response:
    if found is None:
        problem = "That is not valid (any more). `windlass login` prints a new link."
        return render(request, "login.html", status=401, next=_inside(target), problem=problem)
    if found.kind != "user":
        problem = f"This is the token of a {found.kind}. Only users log in."
        return render(request, "login.html", status=403, next=_inside(target), problem=problem)
    identity, seconds = ports_of(request).identity, _lifetime(found)
    session = await identity.mint(found.kind, found.name, found.scopes, ttl=seconds, label="browser")
    answer = RedirectResponse(_inside(target), 303)
    answer.set_cookie(
        SESSION_COOKIE,
        session,
        max_age=int(seconds),
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https",
    )
    return answer


@router.get("/login")
async def login(request: Request, code: str = "", next: str = "/") -> Response:  # noqa: A002 the query's name
    """Show the form, or use up the code of a login link."""
    if code:
        return await _begin(request, ports_of(request).links.take(code), next)
    return render(request, "login.html", next=_inside(next), problem="")


@router.post("/login")
async def login_with_token(request: Request) -> Response:
    """Log in with a pasted token."""
    form = await read_form(request, MAX_FORM)
    found = await ports_of(request).identity.authenticate(form.get("token", "").strip())
    return await _begin(request, found, form.get("next", "/"))


@router.post("/logout")
async def logout(request: Request) -> Response:
    """End this browser's session."""
    if session := request.cookies.get(SESSION_COOKIE):
        await ports_of(request).identity.revoke_token(session)
    answer = RedirectResponse("/login", 303)
    answer.delete_cookie(SESSION_COOKIE)
    return answer
