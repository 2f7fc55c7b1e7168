"""Secrets, sealed at rest with AES-256-GCM under a key that lives outside the database."""

from __future__ import annotations

import base64
import os
import re
import time
from typing import TYPE_CHECKING, Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from windlass.identity.errors import IdentityError

if TYPE_CHECKING:
    from pathlib import Path

    from windlass.store import Row, Store

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
SCOPE = re.compile(
    r"\*|[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*(:[a-z0-9][a-z0-9._/ -]{0,99})?)?"
)
MAX_VALUE = 48 * 1024
NONCE = 12


class SecretError(IdentityError):
    """A secret cannot be kept or opened."""


def _load_key(key_file: Path) -> bytes:
    key_file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        descriptor = os.open(key_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        key = key_file.read_bytes()
    else:
        key = AESGCM.generate_key(256)
        with os.fdopen(descriptor, "wb") as file:
            file.write(key)
            file.flush()
            os.fsync(file.fileno())
    if len(key) != 32:
        raise SecretError(f"{key_file} is not a key of 32 bytes: restore it from your backup")
    return key


class Secrets:
    """Secrets of a repository (`acme/app`), of an owner (`acme`), or of all (`*`).

    And of an environment of a repository (`acme/app:production`, in lower case), for jobs that name it.

    Names follow GitHub's rules: letters, digits and underscores, not starting with a digit or `GITHUB_`, and
    are kept in upper case. Values up to 48 KiB.
    """

    def __init__(self, store: Store, key_file: Path) -> None:
        self._store = store
        self._cipher = AESGCM(_load_key(key_file))

    async def seal(self, plaintext: bytes, *, context: bytes = b"") -> bytes:
        """Encrypt; `context` is bound to the result and must be given again to open it."""
        nonce = os.urandom(NONCE)
        return nonce + self._cipher.encrypt(nonce, plaintext, context)

    async def unseal(self, sealed: bytes, *, context: bytes = b"") -> bytes:
        """Decrypt.

        Raises SecretError when the key is another one or the data was changed.
        """
        try:
            return self._cipher.decrypt(sealed[:NONCE], sealed[NONCE:], context)
        except InvalidTag:
            raise SecretError("a sealed value does not open: another key file, or changed data") from None

    async def set(self, scope: str, name: str, value: str, *, actor: str = "windlass") -> None:
        """Keep a secret, replacing what the name held.

        Raises SecretError for a bad scope, name or size.
        """
        name = self._check(scope, name)
        if len(value.encode()) > MAX_VALUE:
            raise SecretError(f"secret {name} is larger than 48 KiB: keep a key here and the data elsewhere")
        sealed = await self.seal(value.encode(), context=f"{scope}\0{name}".encode())
        row = {
            "scope": scope,
            "name": name,
            "sealed": base64.b64encode(sealed).decode(),
            "updated_at": time.time(),
        }

        def work(tx: Any) -> None:
            tx.run("identity.set_secret", **row)
            tx.record("secret.set", f"secret/{scope}/{name}", actor=actor)

        await self._store.transact(work)

    @staticmethod
    def _check(scope: str, name: str) -> str:
        if not SCOPE.fullmatch(scope):
            raise SecretError(
                f"{scope!r} is not a repository (owner/name), its environment (owner/name:env), an owner, or *"
            )
        if not NAME.fullmatch(name) or name.upper().startswith("GITHUB_"):
            raise SecretError(
                f"{name!r} cannot name a secret: use letters, digits and _, and no GITHUB_ in front"
            )
        return name.upper()

    async def delete(self, scope: str, name: str, *, actor: str = "windlass") -> bool:
        """Forget a secret and say whether there was one."""
        name = self._check(scope, name)

        def work(tx: Any) -> bool:
            gone = tx.run("identity.delete_secret", scope=scope, name=name)
            if gone:
                tx.record("secret.deleted", f"secret/{scope}/{name}", actor=actor)
            return bool(gone)

        return await self._store.transact(work)

    async def names(self, scope: str) -> list[str]:
        """List the names of the scope's own secrets."""
        return [row["name"] for row in await self._store.read("identity.secrets", scope=scope)]

    async def listing(self, scope: str) -> list[Row]:
        """List the scope's own secrets: name and updated_at, never a value."""
        rows = await self._store.read("identity.secrets", scope=scope)
        return [{"name": row["name"], "updated_at": row["updated_at"]} for row in rows]

    async def reveal(self, repository: str) -> dict[str, str]:
        """Open all secrets that a repository's jobs may see; the narrower scope wins."""
        return await self._of("*", repository.partition("/")[0], repository)

    async def of_environment(self, repository: str, environment: str) -> dict[str, str]:
        """Open the secrets of an environment, for a job that it has let pass."""
        return await self._of(f"{repository}:{environment.lower()}")

    async def _of(self, *scopes: str) -> dict[str, str]:
        found: dict[str, str] = {}
        rows = await self._store.view(
            lambda view: [row for scope in scopes for row in view.read("identity.secrets", scope=scope)]
        )
        for row in rows:
            sealed = base64.b64decode(row["sealed"])
            opened = await self.unseal(sealed, context=f"{row['scope']}\0{row['name']}".encode())
            found[row["name"]] = opened.decode()
        return found
