"""Who sent a webhook: the signatures of the forges. Pure; every comparison takes the same time.

The secret is the repository's own. One scheme is judged, the strongest that the request claims; a request that
claims none is refused, and so are SHA-1 signatures.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

TOLERANCE = 300.0
"""Seconds that a signed time may be away from ours (Standard Webhooks)."""
IDS = (
    "webhook-id",
    "x-github-delivery",
    "x-gitea-delivery",
    "x-forgejo-delivery",
    "x-gitlab-event-uuid",
    "x-request-uuid",
    "x-request-id",
    "idempotency-key",
)
HEX = ("x-hub-signature-256", "x-forgejo-signature", "x-gitea-signature", "x-hub-signature")
MAX_ID = 200
NOBODY = "no repository has this secret"
"""Stands for the secret where there is none, so that looking for it takes as long."""


@dataclass(frozen=True, slots=True)
class Signed:
    """A request whose signature is good.

    `binds_id`: the delivery's id and its time are signed too, so that a copy is known.
    `binds_body`: the body is signed (a plain token says only who sent it).
    """

    delivery: str
    binds_id: bool
    binds_body: bool


def digest_of(body: bytes) -> str:
    """Return what a body is known by."""
    return hashlib.sha256(body).hexdigest()


def delivery_of(headers: Mapping[str, str], body: bytes) -> str:
    """Return the id that the sender gave the delivery, or one that follows from its body."""
    given = next((headers[name] for name in IDS if headers.get(name)), "")
    return given if given and len(given) <= MAX_ID and given.isprintable() else f"sha256:{digest_of(body)}"


def verify(
    headers: Mapping[str, str], body: bytes, secret: str | None, *, now: float, bearer: bool = False
) -> Signed | None:
    """Judge a request; names of headers are in lower case. None: it is not signed with this secret.

    With `bearer` the secret itself may come as `Authorization: Bearer`.
    """
    key = (NOBODY if secret is None else secret).encode()
    delivery = delivery_of(headers, body)
    found: Signed | None = None
    if "webhook-signature" in headers:
        good, found = _standard(headers, body, key, now), Signed(delivery, binds_id=True, binds_body=True)
    elif any(name in headers for name in HEX):
        good, found = _hex(headers, body, key), Signed(delivery, binds_id=False, binds_body=True)
    elif "x-gitlab-token" in headers:
        good = _same(headers["x-gitlab-token"].encode(), key)
        found = Signed(delivery, binds_id=False, binds_body=False)
    elif bearer and headers.get("authorization", "").lower().startswith("bearer "):
        good = _same(headers["authorization"][7:].strip().encode(), key)
        found = Signed(delivery, binds_id=False, binds_body=False)
    else:
        good = False
    return found if good and secret is not None else None


def _same(one: bytes, other: bytes) -> bool:
    """Compare in a time that tells neither where they differ nor how long the secret is."""
    return hmac.compare_digest(hashlib.sha256(one).digest(), hashlib.sha256(other).digest())


def _hex(headers: Mapping[str, str], body: bytes, key: bytes) -> bool:
    """Judge by HMAC-SHA256 of the body in hexadecimal: GitHub, Gitea, Forgejo, Bitbucket."""
    given = next(headers[name] for name in HEX if name in headers)
    scheme, equals, value = given.partition("=")
    if equals and scheme != "sha256":
        value = ""
    expected = hmac.new(key, body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected.encode(), (value if equals else given).strip().lower().encode())


def _standard(headers: Mapping[str, str], body: bytes, key: bytes, now: float) -> bool:
    """Judge by Standard Webhooks: HMAC-SHA256 of `ID.TIMESTAMP.BODY` in base64, one of several, not old."""
    identifier, stamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    signed = f"{identifier}.{stamp}.".encode() + body
    expected = base64.b64encode(hmac.new(standard_key(key), signed, hashlib.sha256).digest())
    given = [word.partition(",") for word in headers["webhook-signature"].split()[:8]]
    matches = [
        hmac.compare_digest(expected, value.encode()) for version, _, value in given if version == "v1"
    ]
    timely = stamp.isascii() and stamp.isdigit() and len(stamp) < 13 and abs(now - int(stamp)) <= TOLERANCE
    return any(matches) and timely and bool(identifier)


def standard_key(key: bytes) -> bytes:
    """Return the key of a Standard Webhooks secret: what `whsec_` precedes is base64."""
    if key.startswith(b"whsec_"):
        try:
            return base64.b64decode(key.removeprefix(b"whsec_"), validate=True)
        except binascii.Error:
            return key
    return key
