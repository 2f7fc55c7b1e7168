"""A client of any Kubernetes API for plain dict objects."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote, urlsplit

import httpx2
import structlog

from windlass.kube.connecting import owning
from windlass.kube.discovery import Discovery, ResourceInfo
from windlass.kube.errors import (
    ConfigError,
    GoneError,
    NotFoundError,
    TimedOutError,
    UnreachableError,
    error_from_status,
)
from windlass.kube.following import Follower
from windlass.kube.pods import TIMEOUT, Pods, ProxyAnswer, failure
from windlass.kube.types import SYNCED, Object, ObjectList, WatchEvent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

log = structlog.get_logger()

__all__ = ["Kube", "ProxyAnswer"]

PATCHES = {
    "json": "application/json-patch+json",
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "apply": "application/apply-patch+yaml",
}
WATCH_SECONDS = 290
WATCH_SILENCE = 150.0  # servers send a bookmark every minute; longer silence is a dead connection
LINE_LIMIT = 16 * 1024 * 1024
PAGE = 500


def _loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


class Kube(Pods):
    """One API server, as one user. Use it as an async context manager, from one event loop, by many tasks.

    It stands on httpx2 with lightkube's reading of kubeconfigs (certificates, tokens, exec plugins); lightkube's own
    client would turn objects into its models and lose the fields that these do not know.

    A `resource` is `plural[.group]` (`deployments.apps`), a kind (`Deployment`) or `apiVersion/Kind`; the server is
    asked once where it lives. Errors are those of `windlass.kube.errors`. Calls are not retried, but watches are.
    """

    def __init__(self, http: httpx2.AsyncClient, *, namespace: str = "default") -> None:
        super().__init__(http)
        self.namespace = namespace
        self._discovery = Discovery(self._document)

    @classmethod
    def from_kubeconfig(cls, path: Path | str | None = None, context: str | None = None) -> Kube:
        """Build a client from a kubeconfig file; without `path` from `KUBECONFIG` or the pod's service account."""
        from lightkube.config.client_adapter import AsyncClient, ConnectionParams
        from lightkube.config.kubeconfig import KubeConfig
        from lightkube.core.exceptions import ConfigError as LightkubeConfigError

        try:
            config = KubeConfig.from_file(path) if path is not None else KubeConfig.from_env()
            single = config.get(context)
            if single is None:
                raise ConfigError(f"{path}: no current context; name one")
            params = ConnectionParams(
                timeout=httpx2.Timeout(TIMEOUT), trust_env=not _loopback(single.cluster.server)
            )
            return cls(owning(AsyncClient(single, params)), namespace=single.namespace)
        except (LightkubeConfigError, KeyError, OSError, TypeError, ValueError) as error:
            raise ConfigError(f"the kubeconfig {path or ''} cannot be used: {error}") from error

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    # Discovery

    async def find(self, resource: str) -> ResourceInfo:
        """Return what the server knows of a resource; NotFoundError when it has none of that name."""
        return await self._discovery.find(resource)

    async def resources(self) -> list[ResourceInfo]:
        """Return all resources of the server."""
        return await self._discovery.all()

    async def version(self) -> Object:
        """Return the server's `/version`."""
        return await self._document("/version", "application/json")

    # Objects

    async def get(
        self, resource: str, name: str, namespace: str | None = None, *, subresource: str | None = None
    ) -> Object:
        """Return one object; NotFoundError when it is not there."""
        info = await self.find(resource)
        return await self._call("GET", info.path(self._where(info, namespace), name, subresource))

    async def list(
        self,
        resource: str,
        namespace: str | None = None,
        *,
        labels: str | None = None,
        fields: str | None = None,
    ) -> ObjectList:
        """List a resource, in one namespace or (None) all, filtered by selectors; pages are put together."""
        info = await self.find(resource)
        params = {"limit": str(PAGE), **_selectors(labels, fields)}
        items: list[Object] = []
        while True:
            page = await self._call("GET", info.path(namespace), params=params)
            items += page.get("items") or ()
            if not (token := page["metadata"].get("continue")):
                break
            params["continue"] = token
        for item in items:  # servers leave these out of lists
            item.setdefault("apiVersion", info.api_version)
            item.setdefault("kind", info.kind)
        return ObjectList(items, page["metadata"]["resourceVersion"])

    async def create(
        self, obj: Object, *, namespace: str | None = None, manager: str = "windlass", dry_run: bool = False
    ) -> Object:
        """Create an object; AlreadyExistsError, InvalidError."""
        info = await self._discovery.find_for(obj)
        path = info.path(self._where(info, namespace or obj["metadata"].get("namespace")))
        return await self._call("POST", path, params=_options(manager, dry_run=dry_run), body=obj)

    async def update(
        self, obj: Object, *, subresource: str | None = None, manager: str = "windlass", dry_run: bool = False
    ) -> Object:
        """Replace an object; ConflictError when its resourceVersion is not the latest."""
        info, meta = await self._discovery.find_for(obj), obj["metadata"]
        path = info.path(self._where(info, meta.get("namespace")), meta["name"], subresource)
        return await self._call("PUT", path, params=_options(manager, dry_run=dry_run), body=obj)

    async def apply(
        self,
        obj: Object,
        manager: str = "windlass",
        *,
        namespace: str | None = None,
        force: bool = True,
        dry_run: bool = False,
        subresource: str | None = None,
    ) -> Object:
        """Server-side apply; ConflictError without `force` when other managers own what would change."""
        info, meta = await self._discovery.find_for(obj), obj["metadata"]
        path = info.path(self._where(info, namespace or meta.get("namespace")), meta["name"], subresource)
        params = {**_options(manager, dry_run=dry_run), "force": str(force).lower()}
        return await self._call("PATCH", path, params=params, body=obj, content_type=PATCHES["apply"])

    async def patch(
        self,
        resource: str,
        name: str,
        namespace: str | None,
        patch: Any,
        *,
        kind: str = "merge",
        subresource: str | None = None,
        manager: str = "windlass",
        dry_run: bool = False,
    ) -> Object:
        """Patch an object. `kind`: json, merge, strategic. For a status: `subresource="status"`."""
        info = await self.find(resource)
        path = info.path(self._where(info, namespace), name, subresource)
        params = _options(manager, dry_run=dry_run)
        return await self._call("PATCH", path, params=params, body=patch, content_type=PATCHES[kind])

    async def delete(
        self,
        resource: str,
        name: str,
        namespace: str | None = None,
        *,
        propagation: str | None = None,
        grace: int | None = None,
        uid: str | None = None,
        missing_ok: bool = False,
    ) -> None:
        """Delete an object. `propagation`: Background, Foreground, Orphan; `uid` is a precondition."""
        info = await self.find(resource)
        options: Object = {"kind": "DeleteOptions", "apiVersion": "v1"}
        if propagation is not None:
            options["propagationPolicy"] = propagation
        if grace is not None:
            options["gracePeriodSeconds"] = grace
        if uid is not None:
            options["preconditions"] = {"uid": uid}
        try:
            await self._call("DELETE", info.path(self._where(info, namespace), name), body=options)
        except NotFoundError:
            if not missing_ok:
                raise

    # Watching

    @asynccontextmanager
    async def watch_from(
        self,
        resource: str,
        version: str,
        *,
        namespace: str | None = None,
        labels: str | None = None,
        fields: str | None = None,
    ) -> AsyncIterator[AsyncIterator[WatchEvent]]:
        """Watch once after `version`; the iterator ends when the server closes it. GoneError: list again."""
        info = await self.find(resource)
        params = {
            **_selectors(labels, fields),
            "watch": "true",
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(WATCH_SECONDS),
        }
        timeout = httpx2.Timeout(TIMEOUT, read=WATCH_SILENCE)
        try:
            async with self._http.stream(
                "GET", info.path(namespace), params=params, timeout=timeout
            ) as answer:
                if answer.status_code >= 400:
                    await answer.aread()
                    raise failure(answer)
                yield self._watched(info, answer)
        except httpx2.ReadTimeout:
            return
        except httpx2.HTTPError as error:
            raise UnreachableError(f"the watch of {resource} broke: {error!r}") from error

    @staticmethod
    async def _watched(info: ResourceInfo, answer: httpx2.Response) -> AsyncIterator[WatchEvent]:
        async for line in _lines(answer):
            event = json.loads(line)
            obj = event["object"]
            if event["type"] == "ERROR":
                raise error_from_status(obj, int(obj.get("code") or GoneError.code))
            yield WatchEvent(event["type"], info.key, obj, obj["metadata"]["resourceVersion"])

    async def watch(
        self,
        resource: str,
        namespace: str | None = None,
        *,
        labels: str | None = None,
        fields: str | None = None,
    ) -> AsyncIterator[WatchEvent]:
        """Yield what is there (ADDED) and then every change, for ever, over disconnects and 410 alike."""
        async for event in Follower(self, resource, namespace, labels, fields).events():
            if event.type != SYNCED:
                yield event

    # HTTP

    def _where(self, info: ResourceInfo, namespace: str | None) -> str | None:
        return (namespace or self.namespace) if info.namespaced else None

    async def _document(self, path: str, accept: str) -> Object:
        return await self._call("GET", path, accept=accept)

    async def _call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Any = None,
        accept: str = "application/json",
        content_type: str = "application/json",
    ) -> Object:
        headers = {"Accept": accept}
        content = None
        if body is not None:
            headers["Content-Type"] = content_type
            content = json.dumps(body, separators=(",", ":")).encode()
        try:
            answer = await self._http.request(
                method, quote(path, safe="/:%"), params=params, headers=headers, content=content
            )
        except httpx2.TimeoutException as error:
            raise TimedOutError(f"{method} {path}: no answer within {TIMEOUT} s") from error
        except httpx2.HTTPError as error:
            raise UnreachableError(f"{method} {path}: {error!r}") from error
        if answer.status_code >= 400:
            raise failure(answer)
        for warning in answer.headers.get_list("warning"):
            log.warning("kube.warning", method=method, path=path, warning=warning)
        result: Object = answer.json()
        return result


def _selectors(labels: str | None, fields: str | None) -> dict[str, str]:
    named = {"labelSelector": labels, "fieldSelector": fields}
    return {name: value for name, value in named.items() if value}


def _options(manager: str, *, dry_run: bool) -> dict[str, str]:
    return {"fieldManager": manager, **({"dryRun": "All"} if dry_run else {})}


async def _lines(answer: httpx2.Response) -> AsyncIterator[bytes]:
    rest = b""
    async for piece in answer.aiter_raw():
        *lines, rest = (rest + piece).split(b"\n")
        if len(rest) > LINE_LIMIT:
            raise UnreachableError("the watch sent an event beyond all bounds")
        for line in lines:
            if line.strip():
                yield line
