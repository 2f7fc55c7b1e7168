"""From the headers of a request to a principal: the port that everything that listens is given."""

from __future__ import annotations

import base64
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from windlass.identity.principal import Principal

SESSION_COOKIE = "windlass_session"


class Authenticator(Protocol):
    """Says who sent a request. None means nobody: the listener answers 401, unless the path is open to all."""

    async def from_headers(self, headers: Iterable[tuple[bytes, bytes]]) -> Principal | None:
        """Find the principal behind `Authorization: Bearer|Basic` or the session cookie (RFC 6750, RFC 7617)."""
        ...


def _from_authorization(value: str) -> str | None:
    scheme, _, credentials = value.partition(" ")
    if scheme.lower() in {"bearer", "token"}:
        return credentials.strip() or None
    if scheme.lower() != "basic":
        return None
    try:
        user, _, password = base64.b64decode(credentials, validate=True).decode().partition(":")
    except ValueError:
        return None
    return password or user or None


def token_from_headers(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """Find the token that a request carries, without judging it.

    With Basic the password is the token; clients that send only a user name send the token there.
    An Authorization header wins over the cookie.
    """
    cookie = None
    for name, value in headers:
        text = value.decode("latin-1")
        if name.lower() == b"authorization":
            return _from_authorization(text)
        if name.lower() == b"cookie":
            try:
                morsel = SimpleCookie(text).get(SESSION_COOKIE)
            except CookieError:
                continue
            cookie = morsel.value if morsel else cookie
    return cookie


class FixedAuthenticator:
    """A scripted `Authenticator`: a fixed map from token to principal, for tests."""

    def __init__(self, principals: Mapping[str, Principal]) -> None:
        self._principals = principals

    async def from_headers(self, headers: Iterable[tuple[bytes, bytes]]) -> Principal | None:
        """Look the token up."""
        return self._principals.get(token_from_headers(headers) or "")
