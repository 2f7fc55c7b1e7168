"""A client for any registry: resolve a reference to a digest."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from typing import TYPE_CHECKING, Any, Self

import httpx2

from windlass.registry.errors import ImageNotFoundError, ResolveError
from windlass.registry.manifests import DOCKER_LIST, DOCKER_MANIFEST, MAX_MANIFEST, OCI_INDEX, OCI_MANIFEST
from windlass.registry.reference import DIGEST, DOCKER_HUB, Reference

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

ACCEPT = f"{OCI_INDEX}, {DOCKER_LIST}, {OCI_MANIFEST}, {DOCKER_MANIFEST}"
LOOPBACK = re.compile(r"(?:localhost|127(?:\.\d+){3}|\[::1\])(?::\d+)?")
PARAMETER = re.compile(r'([A-Za-z]+)="((?:[^"\\]|\\.)*)"')
TIMEOUT = httpx2.Timeout(30, connect=10)
HUB = "registry-1.docker.io"


class RegistryClient:
    """Asks registries over HTTP(S) what a reference stands for. Safe to share between tasks.

    `mirrors` maps a registry's host to the `host:port` to ask instead. `credentials` maps the host that
    is asked (after mirroring) to user and password; without them it asks anonymously. Hosts on loopback
    and those in `insecure` are spoken to over plain HTTP. `async with` closes its connections.
    """

    def __init__(
        self,
        *,
        mirrors: Mapping[str, str] | None = None,
        credentials: Mapping[str, tuple[str, str]] | None = None,
        insecure: frozenset[str] = frozenset(),
        http: httpx2.AsyncClient | None = None,
    ) -> None:
        self._mirrors = dict(mirrors or {})
        self._credentials = dict(credentials or {})
        self._insecure = insecure
        self._http = http or httpx2.AsyncClient(timeout=TIMEOUT)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def resolve(self, reference: str | Reference) -> str:
        """Return the digest that the reference stands for now (of the index, if it is one).

        A reference with a digest is asked for too: what it names must exist. `ImageNotFoundError` if it is
        not there, `ResolveError` for anything else (no answer, no right, an answer that is none).
        """
        wanted = Reference.parse(reference) if isinstance(reference, str) else reference
        answer = await self._ask("HEAD", wanted)
        digest = str(wanted.digest or answer.headers.get("docker-content-digest", ""))
        if DIGEST.fullmatch(digest):
            return digest
        return f"sha256:{hashlib.sha256(await self._body(wanted)).hexdigest()}"

    async def manifest(self, reference: str | Reference) -> dict[str, Any]:
        """Return the manifest or index as parsed JSON, checked against the reference's digest if it has one."""
        wanted = Reference.parse(reference) if isinstance(reference, str) else reference
        body = await self._body(wanted)
        algorithm, _, expected = (wanted.digest or "").partition(":")
        if expected and hashlib.new(algorithm, body).hexdigest() != expected:
            raise ResolveError(f"{wanted}: the registry sent another content than the digest says.")
        try:
            found = json.loads(body)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise ResolveError(f"{wanted}: the registry's answer is no manifest.")
        return found

    async def _body(self, wanted: Reference) -> bytes:
        return (await self._ask("GET", wanted)).content

    async def _ask(self, method: str, wanted: Reference) -> httpx2.Response:
        there = wanted.mirrored(self._mirrors)
        url = f"{self._base(there.host)}/v2/{there.path}/manifests/{there.version}"
        try:
            answer = await self._send(method, url, self._headers(there.host))
            if answer.status_code == 401:
                authorization = await self._token(answer, there)
                headers = {"accept": ACCEPT, "authorization": authorization} if authorization else {}
                if headers:
                    answer = await self._send(method, url, headers)
        except httpx2.HTTPError as error:
            why = str(error) or type(error).__name__
            raise ResolveError(f"{wanted}: {there.host} did not answer: {why}.") from None
        _check(answer, wanted, there)
        return answer

    async def _send(self, method: str, url: str, headers: Mapping[str, str]) -> httpx2.Response:
        """Send one request and read its answer, at most `MAX_MANIFEST` bytes of it."""
        async with self._http.stream(method, url, headers=headers) as answer:
            body = bytearray()
            async for chunk in answer.aiter_bytes():
                body += chunk
                if len(body) > MAX_MANIFEST:
                    raise ResolveError(f"{url}: the answer has more than {MAX_MANIFEST} bytes.")
        return httpx2.Response(answer.status_code, headers=answer.headers, content=bytes(body))

    def _base(self, host: str) -> str:
        plain = host in self._insecure or LOOPBACK.fullmatch(host)
        return f"{'http' if plain else 'https'}://{HUB if host == DOCKER_HUB else host}"

    def _headers(self, host: str) -> dict[str, str]:
        """Return the headers of the first try: credentials go along at once only to loopback, which asks for Basic."""
        basic = self._basic(host) if LOOPBACK.fullmatch(host) else None
        return {"accept": ACCEPT, **({"authorization": basic} if basic else {})}

    def _basic(self, host: str) -> str | None:
        pair = self._credentials.get(host)
        return f"Basic {base64.b64encode(':'.join(pair).encode()).decode()}" if pair else None

    async def _token(self, refused: httpx2.Response, there: Reference) -> str | None:
        """Answer a challenge: Basic as it is, Bearer by asking its realm for a token."""
        scheme, _, rest = refused.headers.get("www-authenticate", "").partition(" ")
        basic = self._basic(there.host)
        if scheme.lower() != "bearer":
            return basic
        challenge = dict(PARAMETER.findall(rest))
        realm = challenge.get("realm", "")
        secure = realm.startswith("https://") or LOOPBACK.fullmatch(httpx2.URL(realm).netloc.decode())
        if not secure and there.host not in self._insecure:
            raise ResolveError(f"{there}: the registry wants a token from {realm!r}, which is not https.")
        params = {"scope": f"repository:{there.path}:pull"}
        if "service" in challenge:
            params["service"] = challenge["service"]
        url = str(httpx2.URL(realm).copy_merge_params(params))
        answer = await self._send("GET", url, {"authorization": basic} if basic else {})
        return f"Bearer {_read_token(answer, there)}"


def _read_token(answer: httpx2.Response, there: Reference) -> str:
    try:
        document = answer.json() if answer.is_success else {}
        token = document.get("token") or document.get("access_token")
    except (ValueError, AttributeError):
        token = None
    if not isinstance(token, str) or not token:
        raise ResolveError(f"{there}: its token service gave none (status {answer.status_code}).")
    return token


def _check(answer: httpx2.Response, wanted: Reference, there: Reference) -> None:
    if answer.status_code == 404:
        raise ImageNotFoundError(f"{wanted}: {there.host} has no such image. Was it pushed, under this name?")
    if answer.status_code in {401, 403}:
        raise ResolveError(f"{wanted}: {there.host} does not let us read it (status {answer.status_code}).")
    if not answer.is_success:
        raise ResolveError(f"{wanted}: {there.host} answered with status {answer.status_code}.")
