"""Image references as Docker's reference grammar has them, and where a mirror map sends them."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_HOST = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-fA-F:]+\])(?::[0-9]{{1,5}})?"
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REFERENCE = re.compile(
    rf"(?:(?P<registry>{_HOST})/)??(?P<repository>{_PART}(?:/{_PART})*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)


class ReferenceSyntaxError(ValueError):
    """The image reference is not a valid one."""


@dataclass(frozen=True, slots=True)
class Reference:
    """An image's full name; `registry` "docker.io" and tag "latest" stand in where none is written."""

    registry: str
    repository: str
    tag: str
    digest: str

    @property
    def name(self) -> str:
        """Registry and repository."""
        return f"{self.registry}/{self.repository}"

    def __str__(self) -> str:
        return self.at(self.registry)

    def at(self, registry: str) -> str:
        """Spell the reference at another registry; with a digest the tag is left out, as podman wants it."""
        suffix = f"@{self.digest}" if self.digest else f":{self.tag}"
        return f"{registry}/{self.repository}{suffix}"


@dataclass(frozen=True, slots=True)
class Location:
    """Where an image is really fetched from or sent to; `tls_verify` is off on loopback only."""

    reference: str
    registry: str
    tls_verify: bool


def parse_reference(text: str) -> Reference:
    """Take an image reference apart; raises `ReferenceSyntaxError`."""
    first, slash, rest = text.partition("/")
    is_host = bool(slash) and ("." in first or ":" in first or first == "localhost")
    match = _REFERENCE.fullmatch(text) if len(text) < 512 else None
    if is_host and match and not match["registry"]:
        match = _REFERENCE.fullmatch(rest)
        if match and match["registry"]:
            match = None
    elif not is_host and match and match["registry"]:
        match = None
    if match is None:
        raise ReferenceSyntaxError(
            f"{text[:200]!r} is not an image reference: REGISTRY/NAME:TAG or REGISTRY/NAME@sha256:…, "
            "names in lower case, such as ghcr.io/acme/service:1.0"
        )
    registry = first if is_host else "docker.io"
    repository = match["repository"]
    if registry in {"index.docker.io", "registry-1.docker.io"}:
        registry = "docker.io"
    if registry == "docker.io" and "/" not in repository:
        repository = f"library/{repository}"
    digest = match["digest"] or ""
    return Reference(registry, repository, match["tag"] or ("" if digest else "latest"), digest)


def locate(reference: str, mirrors: Mapping[str, str]) -> Location:
    """Apply the mirror map (registry host to host:port); raises `ReferenceSyntaxError`."""
    parsed = parse_reference(reference)
    registry = mirrors.get(parsed.registry, parsed.registry)
    return Location(parsed.at(registry), registry, tls_verify=not is_loopback(registry))


def is_loopback(registry: str) -> bool:
    """Tell whether a registry's HOST[:PORT] is this machine's loopback, where plain HTTP is in order."""
    host = registry[1:].partition("]")[0] if registry.startswith("[") else registry.partition(":")[0]
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
