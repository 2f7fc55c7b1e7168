"""Addresses that are their own permission, for a short time: the toolkit's uploads and downloads bear no token."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import time
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from windlass.pipelines.errors import PipelinesError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

LIFETIME = 3600.0
"""Seconds for which a signed address is good."""
KEY_BYTES = 32


class SignatureError(PipelinesError):
    """The address is not signed by this server for this, or its time is over."""


def key_from(file: Path) -> bytes:
    """Return the key in a file that only the server reads; it is made when it is not there."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        key = file.read_bytes()
    else:
        key = secrets.token_bytes(KEY_BYTES)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(key)
            stream.flush()
            os.fsync(stream.fileno())
    if len(key) != KEY_BYTES:
        raise PipelinesError(f"{file} is not a key of {KEY_BYTES} bytes: delete it, a new one is made")
    return key


class Signer:
    """Signs and checks addresses. The path and what may be done with it are signed, and the time of its end."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def query(self, path: str, permission: str, *, lifetime: float = LIFETIME) -> str:
        """Return the query that makes the path good for `r` (read) or `w` (write) for so many seconds."""
        until = str(int(time.time() + lifetime))
        return urlencode({"se": until, "sp": permission, "sig": self._signature(path, permission, until)})

    def check(self, path: str, permission: str, query: Mapping[str, str]) -> None:
        """Raise `SignatureError` unless the query makes the path good for this, now."""
        until, given = query.get("se", ""), query.get("sig", "")
        expected = self._signature(path, permission, until)
        good = hmac.compare_digest(expected, given) if given.isascii() else False
        if not good or query.get("sp") != permission:
            raise SignatureError("the address is not signed for this: ask for a new one")
        if not until.isdecimal() or int(until) < time.time():
            raise SignatureError("the address was good for an hour, which is over: ask for a new one")

    def _signature(self, path: str, permission: str, until: str) -> str:
        message = f"{permission}\n{until}\n{path}".encode()
        return hmac.new(self._key, message, hashlib.sha256).hexdigest()
