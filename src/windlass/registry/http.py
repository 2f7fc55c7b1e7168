"""The OCI distribution API 1.1 as an ASGI application."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import structlog

from windlass.registry.blobs import DiskFullError
from windlass.registry.errors import (
    BlobUnknownError,
    DeniedError,
    ManifestUnknownError,
    NameUnknownError,
    RefusedError,
    UnauthorizedError,
    UnsupportedError,
)
from windlass.registry.manifests import MAX_MANIFEST, OCI_INDEX
from windlass.registry.messages import ClientLeftError, Exchange
from windlass.registry.uploads import UploadsHTTP
from windlass.registry.wire import READING, error_body, json_body, next_page, page, parse_range, parse_request
from windlass.store import is_disk_full

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from windlass.identity import Authenticator, Principal
    from windlass.registry.storage import Registry
    from windlass.registry.wire import Request

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]

log = structlog.get_logger()
CHALLENGE = 'Basic realm="windlass", charset="UTF-8"'


class RegistryHTTP:
    """Serves `/v2/…` (the whole path must reach it). Rights: `registry:read|write` on `owner/name`."""

    def __init__(self, registry: Registry, authenticator: Authenticator) -> None:
        self._registry = registry
        self._authenticator = authenticator
        self._uploads = UploadsHTTP(registry)
        self._handlers: dict[tuple[str, str], Callable[[Request, Exchange], Awaitable[None]]] = {
            ("base", "GET"): self._base,
            ("catalog", "GET"): self._catalog,
            ("tags", "GET"): self._tags,
            ("referrers", "GET"): self._referrers,
            ("blob", "GET"): self._blob,
            ("blob", "DELETE"): self._delete_blob,
            ("manifest", "GET"): self._manifest,
            ("manifest", "PUT"): self._push_manifest,
            ("manifest", "DELETE"): self._delete_manifest,
            ("begin", "POST"): self._uploads.begin,
            ("upload", "GET"): self._uploads.status,
            ("upload", "PATCH"): self._uploads.extend,
            ("upload", "PUT"): self._uploads.finish,
            ("upload", "DELETE"): self._uploads.cancel,
        }

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        exchange = Exchange(receive, send, head=scope["method"] == "HEAD")
        try:
            exchange.principal = await self._authenticate(scope["headers"])
            request = parse_request(
                scope["method"], scope["path"], scope["query_string"], dict(scope["headers"])
            )
            handler = self._handlers.get((request.route, "GET" if exchange.head else request.method))
            if handler is None:
                raise UnsupportedError(f"{request.method} is not served here.")
            _authorise(request, exchange.principal)
            await handler(request, exchange)
        except RefusedError as refusal:
            headers, body = error_body(refusal)
            await exchange.answer(refusal.status, headers + refusal.headers, body)
        except ClientLeftError:
            return
        except (OSError, sqlite3.Error) as error:
            if not is_disk_full(error):
                raise
            log.warning("the disk is full", path=scope["path"])
            full = DiskFullError("The registry's disk is full. What has arrived of an upload is kept.")
            headers, body = error_body(full)
            await exchange.answer(full.status, headers, body)

    async def _authenticate(self, headers: list[tuple[bytes, bytes]]) -> Principal:
        """Only `Authorization` counts: a cookie would let any page in the browser push."""
        shown = [(name, value) for name, value in headers if name.lower() == b"authorization"]
        principal = await self._authenticator.from_headers(shown)
        if principal is None:
            raise UnauthorizedError(
                "Log in with a token as the password: `windlass token create` makes one.",
                www_authenticate=CHALLENGE,
            )
        return principal

    async def _base(self, request: Request, exchange: Exchange) -> None:  # noqa: ARG002 the handlers' form
        await exchange.answer(200, *json_body({}))

    async def _catalog(self, request: Request, exchange: Exchange) -> None:
        limit, last = page(request.query)
        may = exchange.principal.may
        everything = await self._registry.repositories(last=last)
        names = [name for name in everything if may("registry:read", "/".join(name.split("/")[:2]))]
        link = next_page("/v2/_catalog", limit, names[:limit], more=len(names) > limit)
        headers, body = json_body({"repositories": names[:limit]})
        await exchange.answer(200, headers + link, body)

    async def _tags(self, request: Request, exchange: Exchange) -> None:
        if not await self._registry.known(request.name):
            raise NameUnknownError(f"No repository {request.name}.")
        limit, last = page(request.query)
        found = list(await self._registry.tags(request.name, last=last, limit=limit + 1))
        link = next_page(f"/v2/{request.name}/tags/list", limit, found[:limit], more=len(found) > limit)
        headers, body = json_body({"name": request.name, "tags": found[:limit]})
        await exchange.answer(200, headers + link, body)

    async def _referrers(self, request: Request, exchange: Exchange) -> None:
        found = await self._registry.referrers(request.name, request.reference)
        wanted = request.query.get("artifactType")
        applied = [(b"oci-filters-applied", b"artifactType")] if wanted else []
        if wanted:
            found = [entry for entry in found if entry.get("artifactType") == wanted]
        document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": found}
        headers, body = json_body(document, OCI_INDEX)
        await exchange.answer(200, headers + applied, body)

    async def _manifest(self, request: Request, exchange: Exchange) -> None:
        digest = await self._registry.resolve(request.name, request.reference)
        manifest = digest and await self._registry.manifest(request.name, digest)
        if not manifest:
            raise ManifestUnknownError(f"{request.name} has no {request.reference}.")
        headers = [
            (b"content-type", manifest.media_type.encode()),
            (b"content-length", b"%d" % manifest.size),
            (b"docker-content-digest", manifest.digest.encode()),
            (b"etag", f'"{manifest.digest}"'.encode()),
        ]
        await exchange.answer(200, headers, manifest.body)

    async def _push_manifest(self, request: Request, exchange: Exchange) -> None:
        body = await exchange.body(MAX_MANIFEST)
        kind = request.header(b"content-type")
        who = exchange.principal
        digest, said = await self._registry.push_manifest(request.name, request.reference, body, kind, who)
        headers = [
            (b"location", f"/v2/{request.name}/manifests/{digest}".encode()),
            (b"docker-content-digest", digest.encode()),
            *([(b"oci-subject", said.subject.encode())] if said.subject else []),
        ]
        await exchange.answer(201, headers)

    async def _delete_manifest(self, request: Request, exchange: Exchange) -> None:
        await self._registry.delete_manifest(request.name, request.reference, exchange.principal)
        await exchange.answer(202)

    async def _delete_blob(self, request: Request, exchange: Exchange) -> None:
        await self._registry.delete_blob(request.name, request.reference)
        await exchange.answer(202)

    async def _blob(self, request: Request, exchange: Exchange) -> None:
        digest = request.reference
        size = await self._registry.blob_size(request.name, digest)
        path = self._registry.blobs.path(digest)
        if size is None or not await anyio.Path(path).exists():
            raise BlobUnknownError(f"{request.name} has no blob {digest}.")
        wanted = parse_range(request.header(b"range"), size)
        first, last = wanted or (0, size - 1)
        headers = [
            (b"content-type", b"application/octet-stream"),
            (b"content-length", b"%d" % (last - first + 1)),
            (b"docker-content-digest", digest.encode()),
            (b"etag", f'"{digest}"'.encode()),
            (b"accept-ranges", b"bytes"),
            (b"cache-control", b"private, max-age=31536000, immutable"),
            *([(b"content-range", f"bytes {first}-{last}/{size}".encode())] if wanted else []),
        ]
        await exchange.answer_file(206 if wanted else 200, headers, path, first, last - first + 1)


def _authorise(request: Request, principal: Principal) -> None:
    if not request.name or principal.may(request.right, request.resource):
        return
    if request.method in READING:
        raise NameUnknownError(f"No repository {request.name} that {principal.name} may read.")
    raise DeniedError(f"{principal.name} may not push to {request.name}: registry:write is needed.")
