"""Asking: httpGet, tcpSocket and exec, each answering with a verdict and what was asked and answered."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

from windlass.engine.errors import EngineError, EngineTimeoutError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from windlass.engine.port import Engine
    from windlass.kube.local.controllers.meta import Object

EVIDENCE = 200
READ_LIMIT = 16 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """The verdict and its evidence, worded for an Event."""

    ok: bool
    said: str


def request_bytes(action: Object, host: str, port: int) -> bytes:
    """Return an HTTP/1.1 GET as kubelet sends it."""
    headers = {
        "Host": f"{host}:{port}",
        "User-Agent": "kube-probe/1.32",
        "Accept": "*/*",
        "Connection": "close",
    }
    for header in action.get("httpHeaders") or ():
        if header["name"].lower() == "host":
            headers["Host"] = header["value"]
        else:
            headers[header["name"]] = header["value"]
    lines = [f"GET {action.get('path') or '/'} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items())]
    if any("\r" in line or "\n" in line for line in lines):
        raise ValueError("path or header of the probe holds a line break")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


async def http_get(action: Object, place: tuple[str, int], shown: str, timeout: float) -> Answer:
    """GET; 200 to 399 is a success. `shown` is the address as it appears in the evidence."""
    asked = f"GET {action.get('scheme', 'HTTP').lower()}://{shown}{action.get('path') or '/'}"
    context = None
    if action.get("scheme", "HTTP").upper() == "HTTPS":
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE  # as kubelet: a probe asks for life, not for identity
    try:
        async with asyncio.timeout(timeout):
            reader, writer = await asyncio.open_connection(*place, ssl=context, limit=READ_LIMIT)
            try:
                writer.write(request_bytes(action, *place))
                status, body = await _response(reader)
            finally:
                writer.close()
    except TimeoutError:
        return Answer(ok=False, said=f"{asked}: no answer within {timeout:g} s")
    except (OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
        return Answer(ok=False, said=f"{asked}: {_reason(error)}")
    text = body[:EVIDENCE].decode(errors="replace").strip()
    return Answer(
        ok=200 <= status < 400, said=f"{asked}: HTTP probe got statuscode: {status} {text}".rstrip()
    )


async def _response(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    words = head.split(b"\r\n", 1)[0].split()
    if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
        raise ValueError(f"this is not HTTP: {head[:60]!r}")
    status = int(words[1])
    body = b""
    if not 200 <= status < 400:
        try:
            async with asyncio.timeout(0.2):  # evidence only: a body that streams must not decide
                body = await reader.read(EVIDENCE)
        except TimeoutError:
            body = b""
    return status, body


def _reason(error: Exception) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "connection refused (nothing listens there)"
    if isinstance(error, asyncio.IncompleteReadError | ConnectionResetError):
        return "the connection was closed without an answer"
    return str(error) or type(error).__name__


async def tcp_socket(place: tuple[str, int], shown: str, timeout: float) -> Answer:
    """Open a connection."""
    try:
        async with asyncio.timeout(timeout):
            _, writer = await asyncio.open_connection(*place)
            writer.close()
    except TimeoutError:
        return Answer(ok=False, said=f"connect {shown}: no answer within {timeout:g} s")
    except OSError as error:
        return Answer(ok=False, said=f"connect {shown}: {_reason(error)}")
    return Answer(ok=True, said=f"connect {shown}: open")


async def execute(engine: Engine, container: str, argv: Sequence[str], timeout: float) -> Answer:
    """Run a command in the container; exit code 0 is a success."""
    asked = f"exec {' '.join(argv)[:120]}"
    try:
        result = await engine.exec(container, argv, timeout=timeout)
    except EngineTimeoutError:
        return Answer(ok=False, said=f"{asked}: not finished within {timeout:g} s")
    except EngineError as error:
        return Answer(ok=False, said=f"{asked}: {error}")
    text = (result.stdout + result.stderr)[:EVIDENCE].decode(errors="replace").strip()
    return Answer(ok=result.exit_code == 0, said=f"{asked}: exit code {result.exit_code} {text}".rstrip())
