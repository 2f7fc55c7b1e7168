"""References to images: `ghcr.io/acme/x:tag@sha256:…`, with the defaults of Docker. Pure.

reference  := name [":" tag] ["@" digest]
name       := [host "/"] path          host has a dot, a colon, or is localhost
path       := component ("/" component)*
digest     := algorithm ":" hex        sha256 (64), sha512 (128)
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
PATH = re.compile(rf"{COMPONENT}(?:/{COMPONENT})*")
HOST = re.compile(
    r"(?:localhost|(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)"
    r"(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*|\[[0-9a-fA-F:]+\])(?::[0-9]{1,5})?"
)
TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")
DOCKER_HUB = "docker.io"
MAX_NAME = 255


class BadReferenceError(ValueError):
    """The text names no image."""


@dataclass(frozen=True, slots=True)
class Reference:
    """An image: where it lies (`host`), its `path` there, and a tag, a digest or both.

    `str()` is the canonical form: host always written, `:latest` only where it was written.
    """

    host: str
    path: str
    tag: str | None = None
    digest: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a reference as `docker pull` does; `BadReferenceError` says what is wrong."""
        name, at, digest = text.partition("@")
        if at and not DIGEST.fullmatch(digest):
            raise BadReferenceError(
                f"{text[:300]!r}: {digest[:150]!r} is not a digest (sha256:<64 hex digits>)."
            )
        head, colon, tag = name.rpartition(":")
        if not colon or "/" in tag:
            head, colon, tag = name, "", ""
        if colon and not TAG.fullmatch(tag):
            raise BadReferenceError(f"{text[:300]!r}: {tag[:150]!r} is not a tag.")
        host, path = _split(head)
        if not HOST.fullmatch(host):
            raise BadReferenceError(f"{text[:300]!r}: {host[:150]!r} is not a registry's host name.")
        if len(path) > MAX_NAME or not PATH.fullmatch(path):
            raise BadReferenceError(
                f"{text[:300]!r}: {path[:150]!r} is not an image's name (lower case only)."
            )
        return cls(host, path, tag or None, digest or None)

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.host}/{self.path}{tag}{digest}"

    @property
    def name(self) -> str:
        """Host and path, without tag and digest."""
        return f"{self.host}/{self.path}"

    @property
    def version(self) -> str:
        """What to ask the registry for: the digest, else the tag, else `latest`."""
        return self.digest or self.tag or "latest"

    def at(self, digest: str) -> Self:
        """Return the same image, pinned to `digest` and without its tag."""
        return replace(self, tag=None, digest=digest)

    def mirrored(self, mirrors: Mapping[str, str]) -> Self:
        """Return the reference to pull from: its host replaced as `mirrors` (`ghcr.io` → `host:port`) says."""
        return replace(self, host=mirrors.get(self.host, self.host))


def _split(name: str) -> tuple[str, str]:
    """Split a name into host and path; a first part without dot or colon is part of a path on Docker Hub."""
    first, slash, rest = name.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        host, path = first, rest
    else:
        host, path = DOCKER_HUB, name
    if host in {"index.docker.io", "registry-1.docker.io"}:
        host = DOCKER_HUB
    if host == DOCKER_HUB and "/" not in path:
        path = f"library/{path}"
    return host, path
