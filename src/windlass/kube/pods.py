"""What a client asks of running pods through the API server: their logs, and to be spoken to."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio
import httpx2

from windlass.kube.errors import (
    KubeError,
    TimedOutError,
    UnavailableError,
    UnreachableError,
    error_from_status,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

TIMEOUT = 30.0
PROXY_LIMIT = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class ProxyAnswer:
    """What a pod answered through the API server. `seconds`: from the request to the end of the body."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float


def failure(answer: httpx2.Response) -> KubeError:
    """Turn an answer of 400 and above into its error."""
    try:
        status = answer.json()
    except ValueError:
        status = {"message": answer.text[:1000]}
    return error_from_status(status if isinstance(status, dict) else {}, answer.status_code)


def _raise_if_the_server_speaks(code: int, body: bytes) -> None:
    """Raise when an answer is the API server's own and not the pod's."""
    if code < 400 or b'"Status"' not in body:
        return
    try:
        status = json.loads(body)
    except ValueError:
        return
    if not isinstance(status, dict) or status.get("kind") != "Status" or status.get("code") != code:
        return
    error = error_from_status(status, code)
    if code >= 500 and "error trying to reach service" in error.message:
        raise UnavailableError(error.message, details=error.details, status=status)
    raise error


async def _read(answer: httpx2.Response) -> bytes:
    """Read a body, its first 4 MiB at most."""
    content = bytearray()
    try:
        async for piece in answer.aiter_bytes():
            content += piece[: PROXY_LIMIT - len(content)]
            if len(content) >= PROXY_LIMIT:
                break
    finally:
        await answer.aclose()
    return bytes(content)


class Pods:
    """The part of `Kube` that speaks to pods."""

    def __init__(self, http: httpx2.AsyncClient) -> None:
        self._http = http

    async def logs(
        self,
        namespace: str,
        pod: str,
        container: str | None = None,
        *,
        follow: bool = False,
        tail: int | None = None,
        since_seconds: int | None = None,
        timestamps: bool = False,
        previous: bool = False,
    ) -> AsyncIterator[bytes]:
        """Yield a container's output in pieces; with `follow` until it ends."""
        options = {
            "container": container,
            "tailLines": tail,
            "sinceSeconds": since_seconds,
            "follow": "true" if follow else None,
            "timestamps": "true" if timestamps else None,
            "previous": "true" if previous else None,
        }
        params = {name: str(value) for name, value in options.items() if value is not None}
        path = f"/api/v1/namespaces/{namespace}/pods/{pod}/log"
        timeout = httpx2.Timeout(TIMEOUT, read=None if follow else TIMEOUT)
        try:
            async with self._http.stream("GET", path, params=params, timeout=timeout) as answer:
                if answer.status_code >= 400:
                    await answer.aread()
                    raise failure(answer)
                async for piece in answer.aiter_bytes():
                    yield piece
        except httpx2.HTTPError as error:
            raise UnreachableError(f"the log of pod {namespace}/{pod} broke off: {error!r}") from error

    async def proxy(
        self,
        namespace: str,
        pod: str,
        port: int | str,
        method: str = "GET",
        path: str = "/",
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout: float = TIMEOUT,
    ) -> ProxyAnswer:
        """Ask a pod through the API server; redirects are not followed.

        Any status that the pod answers is an answer. UnavailableError: the pod cannot be reached; TimedOutError: no
        answer within `timeout` seconds; NotFoundError: there is no such pod.
        """
        url = f"/api/v1/namespaces/{namespace}/pods/{pod}:{port}/proxy/{path.lstrip('/')}"
        request = self._http.build_request(method, url, headers=headers, content=body, timeout=timeout)
        start = time.perf_counter()
        try:
            with anyio.fail_after(timeout):
                answer = await self._http.send(request, stream=True)
                content = await _read(answer)
        except (httpx2.TimeoutException, TimeoutError) as error:
            raise TimedOutError(f"pod {namespace}/{pod}:{port} did not answer within {timeout} s") from error
        except httpx2.HTTPError as error:
            raise UnreachableError(f"asking pod {namespace}/{pod}:{port}: {error!r}") from error
        seconds = time.perf_counter() - start
        _raise_if_the_server_speaks(answer.status_code, content)
        return ProxyAnswer(answer.status_code, dict(answer.headers), content, seconds)
