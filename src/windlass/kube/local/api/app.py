"""The Kubernetes API as an ASGI application."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import structlog

from windlass.kube.errors import (
    KubeError,
    MethodNotAllowedError,
    NotFoundError,
    NotImplementedInServerError,
    UnauthorizedError,
    UnavailableError,
)
from windlass.kube.local.api import (
    access,
    discovery,
    listing,
    openapi,
    pods,
    reviews,
    routes,
    watching,
    writing,
)
from windlass.kube.local.api.calls import Answer, Call, as_json, query_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from windlass.identity import Authenticator
    from windlass.kube.local.api.calls import Receive, Scope, Send
    from windlass.kube.local.api.routes import Target
    from windlass.kube.local.kinds import Resource
    from windlass.kube.local.objects import Objects
    from windlass.kube.local.ports import NodePort

log = structlog.get_logger()

OPEN = frozenset({"/healthz", "/livez", "/readyz"})
VERBS = {
    ("GET", True): "get",
    ("GET", False): "list",
    ("POST", False): "create",
    ("POST", True): "create",
    ("PUT", True): "update",
    ("PATCH", True): "patch",
    ("DELETE", True): "delete",
    ("DELETE", False): "deletecollection",
    ("HEAD", True): "get",
    ("OPTIONS", True): "get",
}
# verb, on a subresource (status, scale)
HANDLERS: dict[tuple[str, bool], Callable[[Call, Objects, Target], Awaitable[Answer]]] = {
    ("get", False): listing.get,
    ("get", True): writing.get_part,
    ("list", False): listing.collection,
    ("create", False): writing.create,
    ("update", False): writing.update,
    ("update", True): writing.update,
    ("patch", False): writing.patch,
    ("patch", True): writing.patch,
    ("delete", False): writing.delete,
    ("deletecollection", False): writing.delete_collection,
}


class _StoppingError(UnavailableError):
    """The server stops; a watch ends in good order, and its client comes back."""


async def _end(error: KubeError, send: Send) -> None:
    """End an answer that has begun: in good order where the server stops, else with the error."""
    if not isinstance(error, _StoppingError):
        raise error
    await send({"type": "http.response.body", "body": b""})


class KubernetesAPI:
    """Serves `objects` as a Kubernetes API, v1.32.

    `/healthz`, `/livez` and `/readyz` are open, all else needs a principal with `kube:read` or `kube:write` on the
    namespace (`*`: on all, and on what is cluster-scoped). Serve it over TLS (`serve_tls`): kubectl sends no token
    otherwise. `close` ends the connections to pods.
    """

    def __init__(self, objects: Objects, authenticator: Authenticator, node: NodePort) -> None:
        self._objects = objects
        self._authenticator = authenticator
        self._node = node
        self._proxy: pods.Proxy | None = None
        self._lasting: set[anyio.CancelScope] = set()

    def stop(self) -> None:
        """End watches, whose clients come back by themselves, and break off followed logs."""
        for scope in self._lasting:
            scope.cancel()

    async def close(self) -> None:
        """Close what is open towards pods."""
        if self._proxy is not None:
            await self._proxy.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection's request."""
        if scope["type"] == "websocket":
            await send(
                {"type": "websocket.close", "code": 1008, "reason": "exec and port-forward are not served"}
            )
            return
        if scope["type"] != "http":
            return
        started = False

        async def watched(message: object) -> None:
            nonlocal started
            started = True
            await send(message)  # type: ignore[arg-type]

        warnings: list[str] = []
        try:
            answer = await self._answer(scope, receive, watched, warnings)
        except KubeError as error:
            if started:
                await _end(error, send)
                return
            answer = writing.failure(error)
        except Exception:
            if started:
                raise
            log.exception("kube.api.failed", method=scope["method"], path=scope["path"])
            answer = writing.failure(KubeError("an internal error occurred; the server's log has it"))
        if answer is not None:
            await answer.send(send, warnings)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, warnings: list[str]) -> Answer | None:
        path = scope["path"]
        if path.partition("?")[0] in OPEN or path.startswith(("/livez/", "/readyz/")):
            return Answer(b"ok", content_type=b"text/plain; charset=utf-8")
        principal = await self._authenticator.from_headers(scope["headers"])
        if principal is None:
            raise UnauthorizedError("Unauthorized")
        query_string = scope["query_string"]
        call = Call(
            scope["method"],
            path,
            scope.get("raw_path") or path.encode(),
            query_string,
            query_of(query_string),
            dict(scope["headers"]),
            receive,
            send,
            principal,
            warnings,
        )
        return await self._route(call)

    async def _route(self, call: Call) -> Answer | None:
        segments = call.path.strip("/").split("/")
        if segments[0] == "api" and len(segments) <= 2:
            return _discovery(call, segments)
        if segments[0] == "apis" and len(segments) <= 3:
            return _discovery(call, segments)
        if segments[0] in {"api", "apis"}:
            try:
                target = routes.parse(call.path)
            except NotFoundError:
                return await reviews.answer(call)
            return await self._resource(call, target)
        match segments[0]:
            case "version":
                return as_json(discovery.VERSION)
            case "openapi":
                return await openapi.answer(call)
        raise NotFoundError(routes.NOT_FOUND)

    async def _resource(self, call: Call, target: Target) -> Answer | None:
        proxied = target.subresource == "proxy" and target.resource.key == "pods"
        verb = VERBS.get((call.method, target.name is not None))
        if verb is None:
            raise MethodNotAllowedError(f"the server does not allow {call.method} on {call.path}")
        watches = verb in {"get", "list"} and call.flag("watch") and target.subresource is None
        if (target.resource.key, verb, target.name) != (
            "namespaces",
            "create",
            None,
        ):  # its name is in the body
            access.check(call.principal, "watch" if watches else verb, target)
        if watches or proxied or target.subresource == "log":
            await self._last(call, target, watches=watches)
            return None
        if target.subresource not in writing.SUBRESOURCES:
            return await self._subresource(call, target)
        if target.subresource and target.subresource not in self._subresources(target.resource):
            raise NotFoundError(f"{target.resource.key} have no {target.subresource}: {routes.NOT_FOUND}")
        return await self._verb(call, target, verb)

    @staticmethod
    def _subresources(resource: Resource) -> set[str]:
        return {name for name, there in (("status", resource.status), ("scale", resource.scale)) if there}

    async def _last(self, call: Call, target: Target, *, watches: bool) -> None:
        """Answer what may last: a watch, a log, a pod."""
        with anyio.CancelScope() as scope:
            self._lasting.add(scope)
            try:
                if watches:
                    await watching.watch(call, self._objects, target)
                elif target.subresource == "log":
                    if target.resource.key != "pods" or call.method != "GET":
                        raise NotFoundError(routes.NOT_FOUND)
                    await pods.log(call, self._objects, self._node, target)
                else:
                    await self._forward(call, target)
            finally:
                self._lasting.discard(scope)
        if scope.cancelled_caught and watches:
            raise _StoppingError("the server is stopping")

    async def _verb(self, call: Call, target: Target, verb: str) -> Answer:
        handler = HANDLERS.get((verb, target.subresource is not None))
        if handler is None or (verb == "create" and target.name is not None):
            raise MethodNotAllowedError(f"the server does not allow {call.method} on {call.path}")
        return await handler(call, self._objects, target)

    async def _subresource(self, call: Call, target: Target) -> Answer | None:
        if target.resource.key == "pods":
            if target.subresource == "eviction" and call.method == "POST":
                return await pods.evict(call, self._objects, target)
            if target.subresource in pods.REFUSED:
                pods.refuse(target.subresource)
        if target.subresource == "proxy":
            raise NotImplementedInServerError(
                "only pods are proxied; a Service has an address of its own: see its annotation windlass.dev/address"
            )
        if target.subresource == "token":
            raise NotImplementedInServerError(
                "service accounts have no tokens here: `windlass token create` makes one"
            )
        raise NotFoundError(routes.NOT_FOUND)

    async def _forward(self, call: Call, target: Target) -> None:
        if self._proxy is None:
            self._proxy = pods.Proxy(self._objects, self._node)
        await self._proxy.forward(call, target)


def _discovery(call: Call, segments: list[str]) -> Answer:
    if call.method != "GET":
        raise MethodNotAllowedError(f"the server does not allow {call.method} on {call.path}")
    match segments:
        case ["api"] | ["apis"]:
            return discovery.root(f"/{segments[0]}", call.accept)
        case ["api", version]:
            return Answer(discovery.resource_list("", version))
        case ["apis", group]:
            return Answer(discovery.group(group))
        case _:
            return Answer(discovery.resource_list(segments[1], segments[2]))
