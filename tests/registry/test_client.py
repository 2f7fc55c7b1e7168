from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import pytest

from windlass.registry import ImageNotFoundError, RegistryClient, ResolveError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

    from registry.conftest import Serving

BODY = json.dumps({"schemaVersion": 2}).encode()
DIGEST = f"sha256:{hashlib.sha256(BODY).hexdigest()}"


async def test_resolves_through_a_mirror_of_our_own(serving: Serving) -> None:
    digest = await serving.image("v1")
    mirrors = {"ghcr.io": serving.host}
    async with RegistryClient(mirrors=mirrors, credentials={serving.host: ("x", "rita-token")}) as client:
        assert await client.resolve("ghcr.io/acme/x:v1") == digest
        assert await client.resolve(f"ghcr.io/acme/x:other@{digest}") == digest
        assert (await client.manifest("ghcr.io/acme/x:v1"))["schemaVersion"] == 2
        for missing in ("ghcr.io/acme/x:v2", "ghcr.io/other/x:v1", f"ghcr.io/acme/x@sha256:{'0' * 64}"):
            with pytest.raises(ImageNotFoundError, match="has no such image"):
                await client.resolve(missing)
    async with RegistryClient(mirrors=mirrors) as nobody:
        with pytest.raises(ResolveError, match="status 401"):
            await nobody.resolve("ghcr.io/acme/x:v1")


async def test_no_answer_says_who_did_not() -> None:
    async with RegistryClient() as client:
        with pytest.raises(ResolveError, match=r"127\.0\.0\.1:9 did not answer"):
            await client.resolve("127.0.0.1:9/acme/x")


@dataclass
class TokenRegistry:
    """A registry with the token flow, as Docker Hub and GHCR have it."""

    port: int = 0
    digest_header: bool = True
    realm: str = ""
    scopes: list[str] = field(default_factory=list)

    async def __call__(
        self, scope: dict[str, Any], receive: Callable[..., Any], send: Callable[..., Any]
    ) -> None:
        headers = dict(scope["headers"])
        authorization = headers.get(b"authorization", b"").decode()
        if scope["path"] == "/token":
            query = parse_qs(scope["query_string"].decode())
            self.scopes += query["scope"]
            right = authorization == f"Basic {base64.b64encode(b'anna:secret').decode()}"
            status, extra, body = (200, [], b'{"token": "T"}') if right else (401, [], b"no")
        elif authorization != "Bearer T":
            realm = self.realm or f"http://127.0.0.1:{self.port}/token"
            challenge = f'Bearer realm="{realm}",service="here",scope="repository:acme/x:pull"'
            status, extra, body = 401, [(b"www-authenticate", challenge.encode())], b""
        else:
            digest = [(b"docker-content-digest", DIGEST.encode())] if self.digest_header else []
            status, extra, body = 200, digest, BODY
        if scope["method"] == "HEAD":
            body = b""
        await send({"type": "http.response.start", "status": status, "headers": extra})
        await send({"type": "http.response.body", "body": body})


@pytest.fixture
async def token_registry(
    listen: Callable[[Any], AbstractAsyncContextManager[int]],
) -> AsyncIterator[TokenRegistry]:
    app = TokenRegistry()
    async with listen(app) as app.port:
        yield app


@pytest.mark.parametrize("digest_header", [True, False])
async def test_the_token_flow(token_registry: TokenRegistry, digest_header: bool) -> None:
    token_registry.digest_header = digest_header
    host = f"127.0.0.1:{token_registry.port}"
    async with RegistryClient(credentials={host: ("anna", "secret")}) as client:
        assert await client.resolve(f"{host}/acme/x:v1") == DIGEST
        with pytest.raises(ResolveError, match="another content"):
            await client.manifest(f"{host}/acme/x@sha256:{'0' * 64}")
    assert set(token_registry.scopes) == {"repository:acme/x:pull"}
    async with RegistryClient(credentials={host: ("anna", "wrong")}) as client:
        with pytest.raises(ResolveError, match="token service gave none"):
            await client.resolve(f"{host}/acme/x:v1")


async def test_credentials_do_not_go_to_a_realm_without_tls(token_registry: TokenRegistry) -> None:
    token_registry.realm = "http://evil.example/token"
    host = f"127.0.0.1:{token_registry.port}"
    async with RegistryClient(credentials={host: ("anna", "secret")}) as client:
        with pytest.raises(ResolveError, match="not https"):
            await client.resolve(f"{host}/acme/x:v1")
