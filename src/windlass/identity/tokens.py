"""Tokens: random, shown once, stored as a hash, limited in scope and time."""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from typing import TYPE_CHECKING, Any

from windlass.identity.authentication import token_from_headers
from windlass.identity.errors import IdentityError
from windlass.identity.principal import Kind, Principal, check_scope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from windlass.store import Row, Store, Transaction

PREFIX = "wl_"
CACHE_SECONDS = 5.0
CACHE_SIZE = 4096

__all__ = ["Identity", "IdentityError"]


def fingerprint(token: str) -> str:
    """Return the hash under which a token is stored.

    Tokens carry 256 random bits, so one round of SHA-256 is enough (unlike for passwords).
    """
    return hashlib.sha256(token.encode()).hexdigest()


class Identity:
    """Mints, recognises and revokes tokens. Implements `Authenticator`.

    A recognised token is remembered for `CACHE_SECONDS`; a revoked one is forgotten at once by this process.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._cache: dict[str, tuple[float, Principal]] = {}

    async def mint(
        self, kind: Kind, name: str, scopes: Sequence[str], *, ttl: float | None = None, label: str = ""
    ) -> str:
        """Make a token for the principal and return it, the only time that it is seen.

        `ttl` is in seconds; None does not expire. Raises ScopeError for a malformed scope.
        """
        token, work = self.minting(kind, name, scopes, ttl=ttl, label=label)
        await self._store.transact(work)
        return token

    async def adopt(self, token: str, kind: Kind, name: str, scopes: Sequence[str]) -> None:
        """Let an existing secret value serve as the principal's token."""
        await self._store.transact(self.adopting(token, kind, name, scopes))

    def minting(
        self, kind: Kind, name: str, scopes: Sequence[str], *, ttl: float | None = None, label: str = ""
    ) -> tuple[str, Callable[[Transaction], None]]:
        """Return a new token and the work that makes it valid, for a transaction that does more than this."""
        token = PREFIX + secrets.token_urlsafe(32)
        return token, self.adopting(token, kind, name, scopes, ttl=ttl, label=label)

    @staticmethod
    def adopting(
        token: str,
        kind: Kind,
        name: str,
        scopes: Sequence[str],
        *,
        ttl: float | None = None,
        label: str = "",
    ) -> Callable[[Transaction], None]:
        """Return the work of `adopt`, for a transaction that does more than this."""
        now = time.time()
        row = {
            "hash": fingerprint(token),
            "kind": kind,
            "name": name,
            "scopes": json.dumps([check_scope(scope) for scope in scopes]),
            "label": label,
            "created_at": now,
            "expires_at": None if ttl is None else now + ttl,
        }

        def work(tx: Transaction) -> None:
            tx.run("identity.delete_expired", now=now)
            tx.run("identity.insert_token", **row)
            tx.record("token.created", f"principal/{name}", principal=kind, scopes=list(scopes), label=label)

        return work

    async def authenticate(self, token: str) -> Principal | None:
        """Return the principal whose token this is, or None."""
        key = fingerprint(token)
        now = time.time()
        known = self._cache.get(key)
        if known and known[0] > now:
            return known[1]
        row = await self._store.one("identity.token", hash=key, now=now)
        if row is None:
            self._cache.pop(key, None)
            return None
        principal = Principal(row["kind"], row["name"], tuple(json.loads(row["scopes"])), row["expires_at"])
        if len(self._cache) >= CACHE_SIZE:
            self._cache.clear()
        self._cache[key] = (min(now + CACHE_SECONDS, row["expires_at"] or float("inf")), principal)
        return principal

    async def from_headers(self, headers: Iterable[tuple[bytes, bytes]]) -> Principal | None:
        """Find the principal behind a request's headers, or None."""
        token = token_from_headers(headers)
        return await self.authenticate(token) if token else None

    async def revoke(self, name: str) -> int:
        """Revoke all tokens of the principal and return how many there were."""

        def work(tx: Any) -> int:
            rows: list[Row] = tx.run("identity.delete_tokens", name=name)
            if rows:
                tx.record("token.revoked", f"principal/{name}", tokens=len(rows))
            return len(rows)

        count = await self._store.transact(work)
        self._cache.clear()
        return count

    async def revoke_token(self, token: str) -> None:
        """Revoke this one token, as a log-out does."""
        await self._store.transact(lambda tx: tx.run("identity.delete_token", hash=fingerprint(token)))
        self._cache.pop(fingerprint(token), None)

    async def revoke_id(self, token_id: str) -> bool:
        """Revoke the token whose listed id this is, and say whether there was one."""
        rows = await self._store.transact(lambda tx: tx.run("identity.delete_token_by_id", id=token_id))
        self._cache.clear()
        return bool(rows)

    async def tokens(self) -> list[Row]:
        """List living tokens: id, kind, name, scopes (list), label, created_at, expires_at."""
        rows = await self._store.read("identity.tokens", now=time.time())
        return [{**row, "scopes": json.loads(row["scopes"])} for row in rows]
