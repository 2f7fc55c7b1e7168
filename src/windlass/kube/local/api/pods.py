"""Subresources of pods: log, proxy, eviction; exec and its kin are refused with a reason."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NoReturn

import anyio
import httpx2

from windlass.kube.connecting import owning
from windlass.kube.errors import (
    BadRequestError,
    KubeError,
    MethodNotAllowedError,
    NotFoundError,
    NotImplementedInServerError,
    UnavailableError,
)
from windlass.kube.local.api.calls import Answer, Call, as_json

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from windlass.kube.local.api.routes import Target
    from windlass.kube.local.objects import Objects
    from windlass.kube.local.ports import NodePort

Object = dict[str, Any]
REFUSED = {
    "exec": "kubectl exec is not served yet: look at the pod's output with `kubectl logs`",
    "attach": "kubectl attach is not served: follow the pod's output with `kubectl logs -f`",
    "portforward": "kubectl port-forward is not served: each Service has an address of its own, see `kubectl get svc`",
    "ephemeralcontainers": "ephemeral containers are not supported",
    "resize": "pods cannot be resized in place",
    "binding": "pods are bound to the one node by itself",
}
HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
PRIVATE = frozenset({b"authorization", b"cookie", b"host", b"x-forwarded-for"})
FORWARDED = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
POD_AND_PORT = re.compile(r"(?:(?P<scheme>https?):)?(?P<pod>[a-z0-9.-]+)(?::(?P<port>[a-z0-9-]*))?")


def refuse(subresource: str) -> NoReturn:
    """Say why a subresource is not served."""
    raise NotImplementedInServerError(REFUSED[subresource])


def _container(pod: Object, asked: str | None) -> str:
    spec, name = pod["spec"], pod["metadata"]["name"]
    containers = [container["name"] for container in spec["containers"]]
    initial = [container["name"] for container in spec.get("initContainers") or ()]
    if asked:
        if asked not in containers + initial:
            raise BadRequestError(f"container {asked} is not valid for pod {name}")
        return asked
    default = (pod["metadata"].get("annotations") or {}).get("kubectl.kubernetes.io/default-container")
    if default in containers:
        return str(default)
    if len(containers) > 1:
        raise BadRequestError(
            f"a container name must be specified for pod {name}, choose one of: [{' '.join(containers)}]"
        )
    return str(containers[0])


async def log(call: Call, objects: Objects, node: NodePort, target: Target) -> None:
    """Stream a container's output."""
    namespace, name = target.namespace or "", target.name or ""
    pod = objects.stored("pods", namespace, name).obj
    lines = node.logs(
        namespace,
        name,
        _container(pod, call.query.get("container")),
        follow=call.flag("follow"),
        tail=call.number("tailLines"),
        since_seconds=call.number("sinceSeconds"),
        timestamps=call.flag("timestamps"),
        previous=call.flag("previous"),
    )
    await _stream(call, _limited(lines, call.number("limitBytes")))


async def _limited(pieces: AsyncIterator[bytes], limit: int | None) -> AsyncIterator[bytes]:
    async for piece in pieces:
        if limit is None:
            yield piece
        elif limit > 0:
            yield piece[:limit]
            limit -= len(piece)
        else:
            return


async def _stream(call: Call, pieces: AsyncIterator[bytes]) -> None:
    """Send pieces as they come, until they end or the client leaves. Errors before the first piece are raised."""
    headers = [(b"content-type", b"text/plain")]
    iterator = pieces.__aiter__()

    async def pump(scope: anyio.CancelScope) -> None:
        started = False
        async for piece in iterator:
            if not started:
                await call.send({"type": "http.response.start", "status": 200, "headers": headers})
                started = True
            await call.send({"type": "http.response.body", "body": piece, "more_body": True})
        if not started:
            await call.send({"type": "http.response.start", "status": 200, "headers": headers})
        await call.send({"type": "http.response.body", "body": b""})
        scope.cancel()

    await _while_there(call, pump)


async def _while_there(call: Call, work: Callable[[anyio.CancelScope], Awaitable[None]]) -> None:
    """Do work and give it up when the client leaves."""
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_until_gone, call, tasks.cancel_scope)
            await work(tasks.cancel_scope)
            tasks.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        errors = group.subgroup(KubeError)
        raise (errors.exceptions[0] if errors else group) from None


async def _until_gone(call: Call, scope: anyio.CancelScope) -> None:
    while (await call.receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


def _port(pod: Object, asked: str) -> int:
    """Return the container port that is meant: a number, a name, or the first there is."""
    ports = [port for container in pod["spec"]["containers"] for port in container.get("ports") or ()]
    if asked.isdigit():
        return int(asked)
    for port in ports:
        if not asked or port.get("name") == asked:
            return int(port["containerPort"])
    raise BadRequestError(f"pod {pod['metadata']['name']} has no port {asked!r}")


def split_name(text: str) -> tuple[str, str]:
    """Split `NAME[:PORT]`; BadRequestError for https, which nobody terminates inside a pod here."""
    match = POD_AND_PORT.fullmatch(text)
    if not match:
        raise BadRequestError(f"invalid pod request {text!r}: NAME or NAME:PORT is expected")
    if match["scheme"] == "https":
        raise BadRequestError("proxying to pods over https is not supported")
    return match["pod"], match["port"] or ""


class Proxy:
    """Hands requests on to pods and streams their answers back."""

    def __init__(self, objects: Objects, node: NodePort) -> None:
        self._objects, self._node = objects, node
        limits = httpx2.Limits(max_connections=200, max_keepalive_connections=0)
        timeout = httpx2.Timeout(connect=5, read=None, write=60, pool=10)
        self._http = owning(
            httpx2.AsyncClient(trust_env=False, limits=limits, timeout=timeout, follow_redirects=False)
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def forward(self, call: Call, target: Target) -> None:
        """Answer with what the pod answers; UnavailableError when it cannot be reached."""
        if call.method not in FORWARDED:
            raise MethodNotAllowedError(f"{call.method} is not forwarded to pods")
        pod, asked = split_name(target.name or "")
        namespace = target.namespace or ""
        port = _port(self._objects.stored("pods", namespace, pod).obj, asked)
        host, published = await self._node.address(namespace, pod, port)
        request = self._http.build_request(
            call.method,
            httpx2.URL(scheme="http", host=host, port=published, raw_path=_raw_path(call)),
            headers=[pair for pair in call.headers.items() if pair[0] not in HOP | PRIVATE],
            content=_body(call) if _has_body(call) else None,
        )
        request.headers["host"] = f"{pod}:{port}"
        try:
            answer = await self._http.send(request, stream=True)
        except httpx2.HTTPError as error:
            raise UnavailableError(
                f"error trying to reach service: {str(error) or type(error).__name__}"
            ) from error
        try:
            await self._answer(call, answer, streamed=not _has_body(call))
        finally:
            await answer.aclose()

    @staticmethod
    async def _answer(call: Call, answer: httpx2.Response, *, streamed: bool) -> None:
        async def pump(_: anyio.CancelScope) -> None:
            headers = [(key.lower(), value) for key, value in answer.headers.raw if key.lower() not in HOP]
            await call.send({"type": "http.response.start", "status": answer.status_code, "headers": headers})
            async for piece in answer.aiter_raw():
                await call.send({"type": "http.response.body", "body": piece, "more_body": True})
            await call.send({"type": "http.response.body", "body": b""})

        if streamed:
            await _while_there(call, pump)
        else:
            with anyio.CancelScope() as scope:
                await pump(scope)


def _has_body(call: Call) -> bool:
    return b"transfer-encoding" in call.headers or call.headers.get(b"content-length", b"0") != b"0"


async def _body(call: Call) -> AsyncIterator[bytes]:
    while True:
        message = await call.receive()
        if message["type"] == "http.disconnect":
            raise BadRequestError("the client went away before its body was complete")
        yield message.get("body", b"")
        if not message.get("more_body"):
            return


def _raw_path(call: Call) -> bytes:
    """Return what follows `/proxy` in the URL as it came, with the query."""
    _, _, rest = call.raw_path.partition(b"/proxy")
    return (rest or b"/") + (b"?" + call.query_string if call.query_string else b"")


async def evict(call: Call, objects: Objects, target: Target) -> Answer:
    """Delete a pod as its eviction asks; there are no disruption budgets to ask first."""
    eviction = await call.data() or {}
    options = (eviction.get("deleteOptions") if isinstance(eviction, dict) else None) or {}
    grace = options.get("gracePeriodSeconds")
    if not objects.has("pods", target.namespace, target.name or ""):
        raise NotFoundError.of("pods", target.name or "")
    await objects.delete("pods", target.namespace, target.name or "", grace=grace, dry_run=call.dry_run)
    return as_json({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}, 201)
