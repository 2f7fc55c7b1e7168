"""One smart HTTP request as a CGI call of `git http-backend`. The decisions; pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from windlass.repos.errors import BadNameError
from windlass.repos.names import repository_name
from windlass.repos.process import environment
from windlass.repos.recording import committer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from windlass.identity import Principal

PATH = re.compile(r"/([^/]+)/([^/]+?)(?:\.git)?/(info/refs|git-upload-pack|git-receive-pack)")
PROTOCOL = re.compile(r"[a-z0-9=:.-]{1,128}")
SERVICES = {"git-upload-pack": "repo:read", "git-receive-pack": "repo:write"}
ENCODINGS = {"": "", "identity": "", "gzip": "gzip", "x-gzip": "gzip"}
# Branches, tags and notes are people's; the rest of refs/ is nobody's to write over HTTP.
HIDDEN = ("refs/", "!refs/heads/", "!refs/tags/", "!refs/notes/")
# What can be fetched besides: the refs of pull requests, which only the server writes.
FETCHED = ("!refs/pull/",)


class RefusedError(Exception):
    """The request is answered without git: status and a text for the person."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


@dataclass(frozen=True, slots=True)
class Call:
    """A request that is well formed: to which repository, for which of git's services."""

    repository: str
    service: str
    advertise: bool
    """Whether it asks for the refs (`info/refs`), the first of the two requests."""
    method: str
    content_type: str
    encoding: str
    protocol: str

    @property
    def right(self) -> str:
        """The right it needs on the repository."""
        return SERVICES[self.service]

    @property
    def pushes(self) -> bool:
        """Whether it may move refs."""
        return self.service == "git-receive-pack" and not self.advertise


def parse_call(method: str, path: str, query: bytes, headers: Mapping[bytes, bytes]) -> Call:
    """Read a request; `RefusedError` says what git over HTTP would not do."""
    match = PATH.fullmatch(path)
    if not match:
        raise RefusedError(404, "Not an address of a repository.")
    try:
        name = repository_name(f"{match[1]}/{match[2]}")
    except BadNameError as error:
        raise RefusedError(404, str(error)) from None
    advertise = match[3] == "info/refs"
    if advertise:
        values = parse_qs(query.decode("latin-1"), max_num_fields=8).get("service", [])
        service = values[0] if len(values) == 1 else ""
        if service not in SERVICES:
            raise RefusedError(403, "Only the smart protocol is served: use git 1.6.6 or newer.")
    else:
        service = match[3]
    if method not in ({"GET", "HEAD"} if advertise else {"POST"}):
        raise RefusedError(405, f"{method} is not served here.")
    text = {key: value.decode("latin-1") for key, value in headers.items()}
    return Call(
        name, service, advertise, "GET" if advertise else "POST", *_body(service, text, advertise=advertise)
    )


def _body(service: str, headers: Mapping[bytes, str], *, advertise: bool) -> tuple[str, str, str]:
    """Return content type, encoding and protocol, each in a form that is known to be harmless."""
    protocol = headers.get(b"git-protocol", "")
    if not PROTOCOL.fullmatch(protocol):
        protocol = ""
    if advertise:
        return "", "", protocol
    kind = headers.get(b"content-type", "")
    if kind != f"application/x-{service}-request":
        raise RefusedError(415, f"The body must be application/x-{service}-request.")
    encoding = ENCODINGS.get(headers.get(b"content-encoding", "").lower())
    if encoding is None:
        raise RefusedError(415, "The body may be compressed with gzip only.")
    length = headers.get(b"content-length", "")
    if length and not (length.isascii() and length.isdigit()):
        raise RefusedError(400, "Content-Length is not a number.")
    return kind, encoding, protocol


def serving_config(hooks: Path, max_push: int) -> dict[str, str]:
    """Return git's configuration for serving: it comes with each request, a repository's own does not count."""
    return {
        "core.hooksPath": str(hooks),
        "http.getanyfile": "false",
        "http.receivepack": "true",
        "uploadpack.allowFilter": "true",
        "uploadpack.allowAnySHA1InWant": "true",
        "receive.fsckObjects": "true",
        # Harmless faults of old commits, which would keep whole histories out.
        "receive.fsck.zeroPaddedFilemode": "ignore",
        "receive.fsck.missingSpaceBeforeDate": "ignore",
        "receive.fsck.badTimezone": "ignore",
        "receive.advertisePushOptions": "true",
        "receive.maxInputSize": str(max_push),
        "receive.autogc": "false",
        "receive.denyDeleteCurrent": "refuse",
        "receive.shallowUpdate": "false",
        "transfer.advertiseSID": "false",
    }


def cgi_environment(
    call: Call,
    root: Path,
    principal: Principal,
    *,
    session: str,
    hooks: Path,
    config: Mapping[str, str],
    rules: Sequence[str] = (),
) -> dict[str, str]:
    """Return the whole environment of `git http-backend`; nothing in it is taken over from the client unchecked.

    `rules` are the lines that the pre-receive hook goes by (`Repositories.push_rules`).

    There is no CONTENT_LENGTH on purpose: given one, `http-backend` spins for ever when the body ends early (its
    `pipe_fixed_length` takes the end of input for an empty read), as when this server is killed. Without one git
    reads to the end of its input, and a body cut short is an early end of the pack.
    """
    action = "info/refs" if call.advertise else call.service
    variables = {
        "GATEWAY_INTERFACE": "CGI/1.1",
        "GIT_PROJECT_ROOT": str(root),
        "GIT_HTTP_EXPORT_ALL": "1",
        "PATH_INFO": f"/{call.repository}.git/{action}",
        "QUERY_STRING": f"service={call.service}" if call.advertise else "",
        "REQUEST_METHOD": call.method,
        "CONTENT_TYPE": call.content_type,
        "REMOTE_USER": f"{principal.kind}:{principal.name}",
        "REMOTE_ADDR": "-",
        "WINDLASS_SESSION": session,
        "WINDLASS_HOOKS": str(hooks),
        "WINDLASS_RULES": "\n".join(rules),
        **committer(principal.kind, principal.name, session),
        **({"HTTP_CONTENT_ENCODING": call.encoding} if call.encoding else {}),
        **({"GIT_PROTOCOL": call.protocol} if call.protocol else {}),
    }
    hidden = [("transfer.hideRefs", ref) for ref in HIDDEN]
    fetched = [("uploadpack.hideRefs", ref) for ref in FETCHED]
    return environment(variables, [*config.items(), *hidden, *fetched])


def parse_head(head: bytes) -> tuple[int, list[tuple[bytes, bytes]]]:
    """Parse a CGI response's header: the status, and those headers that git has reason to send."""
    status, headers = 200, []
    for line in head.replace(b"\r\n", b"\n").split(b"\n"):
        name, _, value = line.partition(b":")
        name, value = name.strip().lower(), value.strip()
        if name == b"status":
            status = int(value[:3])
        elif name in {b"content-type", b"content-length", b"cache-control", b"expires", b"pragma"}:
            headers.append((name, value))
    return status, headers
