"""HAProxy's configuration as a pure function of the edge's state (for HAProxy 2.6 and later)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from windlass.kube.local.edge.model import Backend, EdgeState, Listener, Route, Server

WEIGHT = 100
POOL = "pool-max-conn -1 pool-purge-delay 5s"
"""HAProxy's defaults, in words: a server from `add server` does not get them, and would be connected to anew for each
request, which takes three times as long (2.6)."""


@dataclass(frozen=True, slots=True)
class Files:
    """Where HAProxy finds its things, and the secret that makes it tell which pod answered."""

    socket: str
    trace_secret: str


DEFAULTS = """\
defaults
    timeout connect 2s
    timeout client 1h
    timeout server 1h
    timeout http-request 15s
    timeout http-keep-alive 2m
    timeout tunnel 24h
    timeout client-fin 30s
    timeout queue 10s
    retries 1
    option redispatch 1
    option dontlognull
    balance roundrobin"""


def structure(state: EdgeState, files: Files) -> str:
    """Digest of all that needs a reload when it changes: everything but the servers."""
    bare = replace(state, backends=tuple(replace(backend, servers=()) for backend in state.backends))
    return hashlib.sha256(_text(bare, files, "").encode()).hexdigest()[:20]


def render(state: EdgeState, files: Files) -> str:
    """Return the whole file. Its `description` is the structure's digest, so a running HAProxy says what it runs."""
    return _text(state, files, structure(state, files))


def _text(state: EdgeState, files: Files, digest: str) -> str:
    head = [
        "# Written by windlass; changes made here are lost.",
        "global",
        f"    description windlass-{digest}",
        f"    stats socket {files.socket} mode 600 level admin expose-fd listeners",
        "    stats timeout 1m",
        "    hard-stop-after 1h",
        "",
        DEFAULTS,
    ]
    sections = ["\n".join(head)]
    sections += ["\n".join(_listener(listener, files)) for listener in state.listeners]
    sections += ["\n".join(_backend(backend)) for backend in state.backends]
    sections += [
        "\n".join(_refusal(item)) for item in state.listeners if not item.default and item.mode == "http"
    ]
    return "\n\n".join(sections) + "\n"


def _listener(listener: Listener, files: Files) -> list[str]:
    lines = [
        f"frontend {listener.name}",
        f"    bind {listener.bind}{' transparent' if listener.foreign else ''}",
        f"    mode {listener.mode}",
    ]
    if listener.mode == "http":
        lines += ["    option http-no-delay", "    option idle-close-on-response", "    option forwardfor"]
        lines += ["    http-request set-header X-Forwarded-Proto http"]
        if listener.traced:
            lines += _tracing(files.trace_secret)
    for number, route in enumerate(listener.routes):
        lines += _route(f"r{number}", route)
    if listener.default or listener.mode == "http":
        lines.append(f"    default_backend {listener.default or f'refuse_{listener.name}'}")
    return lines


def _refusal(listener: Listener) -> list[str]:
    text = listener.otherwise or "windlass: no route for this address"
    answer = f'    http-request return status 404 content-type text/plain string "{text}\\n"'
    return [f"backend refuse_{listener.name}", "    mode http", answer]


def _tracing(secret: str) -> list[str]:
    """Only who knows the secret is told the pod; the secret itself never reaches a pod."""
    return [
        f"    http-request set-var(txn.trace) bool(true) if {{ req.hdr(X-Windlass-Trace) -m str {secret} }}",
        "    http-request del-header X-Windlass-Trace",
        "    http-response del-header X-Windlass-Pod",
        "    http-response set-header X-Windlass-Pod %[srv_name,field(1,_)] if { var(txn.trace) -m bool }",
    ]


def _route(name: str, route: Route) -> list[str]:
    """ACLs of one name are alternatives; a route needs its host and its path."""
    lines = [f"    acl {name}_host {test}" for test in map(_host_test, route.hosts)]
    terms = [f"{name}_host"] if lines else []
    if route.path and (route.exact or route.path != "/"):
        lines.append(f"    acl {name}_path path -m str {route.path}")
        if not route.exact:
            lines.append(f"    acl {name}_path path_beg {route.path.rstrip('/')}/")
        terms.append(f"{name}_path")
    condition = f" if {' '.join(terms)}" if terms else ""
    lines.append(f"    use_backend {route.backend}{condition}")
    return lines


def _host_test(host: str) -> str:
    if host.startswith("*."):
        pattern = host[1:].replace(".", "\\.")
        return f"req.hdr(host),field(1,:),lower -m reg ^[^.]+{pattern}$"
    return f"req.hdr(host),field(1,:),lower -m str {host}"


def _backend(backend: Backend) -> list[str]:
    lines = [f"backend {backend.name}", f"    mode {backend.mode}"]
    if backend.mode == "http":
        none = f"windlass: no ready pod of Service {backend.title}"
        broken = f"windlass: a pod of Service {backend.title} broke off its answer"
        late = f"windlass: a pod of Service {backend.title} did not answer in time"
        lines += [
            "    option http-no-delay",
            *_retrying(backend),
            f'    http-error status 503 content-type text/plain string "{none}\\n" hdr Retry-After 1',
            f'    http-error status 502 content-type text/plain string "{broken}\\n"',
            f'    http-error status 504 content-type text/plain string "{late}\\n"',
        ]
    return lines + [
        f"    server {server.name} {server_line(server, http2=backend.http2)}" for server in backend.servers
    ]


def _retrying(backend: Backend) -> list[str]:
    """Send a request that reached no pod to another one; one that a pod took only where that can do no harm.

    With `retries 1` a request that kills the pod it reaches gets one more pod, and not all of them.
    """
    if not backend.replay:
        return ["    retry-on conn-failure"]
    return [
        "    retry-on conn-failure empty-response",
        "    http-request disable-l7-retry if !{ method GET HEAD OPTIONS }",
    ]


def server_line(server: Server, *, http2: bool) -> str:
    """Address and parameters of a server, the same in the file and for `add server`."""
    return f"{server.host}:{server.port} weight {WEIGHT} {POOL}{' proto h2' if http2 else ''}"
