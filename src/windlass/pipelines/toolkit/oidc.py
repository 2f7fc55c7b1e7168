"""Identity tokens of jobs (OpenID Connect), signed with the server's own key, with GitHub's claims."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import time
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PREFIX = "/_jobs/oidc"
LIFETIME = 300
"""Seconds for which an identity token is good."""
BITS = 2048
_FROM_CONTEXT = (
    "actor", "actor_id", "base_ref", "event_name", "head_ref", "ref", "ref_type", "repository", "repository_id",
    "repository_owner", "repository_owner_id", "run_attempt", "run_id", "run_number", "sha", "workflow",
    "workflow_ref", "workflow_sha",
)  # fmt: skip


def load_key(file: Path) -> rsa.RSAPrivateKey:
    """Return the key in the file; one is made when it is not there."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        found = serialization.load_pem_private_key(file.read_bytes(), password=None)
        if not isinstance(found, rsa.RSAPrivateKey):
            raise TypeError(f"{file} is not an RSA key") from None
        return found
    made = rsa.generate_private_key(public_exponent=65537, key_size=BITS)
    pem = made.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(pem)
        stream.flush()
        os.fsync(stream.fileno())
    return made


def subject(github: Mapping[str, Any], environment: str) -> str:
    """Return the claim `sub`: what a job is trusted by. Pure.

    The environment where there is one, else that it is a pull request's, else the ref.
    """
    repository = github.get("repository")
    if environment:
        return f"repo:{repository}:environment:{environment}"
    if str(github.get("event_name", "")).startswith("pull_request"):
        return f"repo:{repository}:pull_request"
    return f"repo:{repository}:ref:{github.get('ref')}"


class Issuer:
    """Makes identity tokens (RFC 7519, RS256) and says how they are checked (RFC 7517, OpenID Connect Discovery)."""

    def __init__(self, server_url: str, key_file: Path) -> None:
        self._server_url = server_url
        self._key_file = key_file
        self._key: rsa.RSAPrivateKey | None = None

    @property
    def issuer(self) -> str:
        """The claim `iss`."""
        return f"{self._server_url}{PREFIX}"

    def token(self, github: Mapping[str, Any], *, audience: str = "", environment: str = "") -> str:
        """Return a token about the job whose `github` context this is. Makes the key, the first time."""
        now = int(time.time())
        claims: dict[str, Any] = {
            "jti": str(uuid4()),
            "sub": subject(github, environment),
            "aud": audience or f"{self._server_url}/{github.get('repository_owner')}",
            "iss": self.issuer,
            "nbf": now - 60,
            "iat": now,
            "exp": now + LIFETIME,
            "runner_environment": "self-hosted",
            "repository_visibility": "private",
            **{name: str(github[name]) for name in _FROM_CONTEXT if github.get(name) not in {None, ""}},
        }
        if environment:
            claims["environment"] = environment
        if github.get("workflow_ref"):
            claims["job_workflow_ref"] = str(github["workflow_ref"])
        header = {"typ": "JWT", "alg": "RS256", "kid": self.key_id()}
        signed = ".".join(
            _base64(json.dumps(part, separators=(",", ":")).encode()) for part in (header, claims)
        )
        signature = self.key().sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{signed}.{_base64(signature)}"

    def key(self) -> rsa.RSAPrivateKey:
        """Return the signing key."""
        self._key = self._key or load_key(self._key_file)
        return self._key

    def key_id(self) -> str:
        """Return the key's id: its public part's digest."""
        public = (
            self.key()
            .public_key()
            .public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        )
        return hashlib.sha256(public).hexdigest()[:40]

    def keys(self) -> dict[str, Any]:
        """Return the key set that tokens are checked with."""
        numbers = self.key().public_key().public_numbers()
        key = {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.key_id()}
        return {"keys": [{**key, "n": _integer(numbers.n), "e": _integer(numbers.e)}]}

    def configuration(self) -> dict[str, Any]:
        """Return the discovery document."""
        return {
            "issuer": self.issuer,
            "jwks_uri": f"{self.issuer}/.well-known/jwks",
            "subject_types_supported": ["public", "pairwise"],
            "response_types_supported": ["id_token"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "scopes_supported": ["openid"],
            "claims_supported": [
                "sub",
                "aud",
                "exp",
                "iat",
                "iss",
                "jti",
                "nbf",
                "environment",
                *_FROM_CONTEXT,
            ],
        }


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _integer(number: int) -> str:
    return _base64(number.to_bytes((number.bit_length() + 7) // 8, "big"))
