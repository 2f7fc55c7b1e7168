"""Where a repository comes from, and which forge that is."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from windlass.store import Row

FORGES = ("github", "gitlab", "gitea", "bitbucket", "bitbucket-server", "git")
KNOWN = {
    "github.com": ("github", "https://api.github.com"),
    "gitlab.com": ("gitlab", "https://gitlab.com/api/v4"),
    "bitbucket.org": ("bitbucket", "https://api.bitbucket.org/2.0"),
    "codeberg.org": ("gitea", "https://codeberg.org/api/v1"),
}
PATHS = {
    "github": "/api/v3",
    "gitlab": "/api/v4",
    "gitea": "/api/v1",
    "bitbucket-server": "/rest",
    "bitbucket": "",
}
MIN_POLL, MAX_POLL = 5.0, 86_400.0


@dataclass(frozen=True, slots=True)
class Remote:
    """Where a repository comes from.

    `forge` is one of `FORGES` (`git`: none whose API is known) and `api` the address of its API. `credential` and
    `secret` are sealed. `poll`: seconds between two looks, None: only a webhook asks for one. `looked_at`,
    `next_at` and `changed_at` are times; `error` says what is wrong, empty where nothing is.
    """

    repository: str
    url: str
    forge: str
    api: str
    credential: str | None
    secret: str | None
    poll: float | None
    wanted_at: float | None
    looked_at: float | None
    changed_at: float | None
    next_at: float | None
    failures: int
    error: str
    etags: Mapping[str, str]

    @property
    def follows(self) -> bool:
        """Whether what happens there happens here; then nobody pushes here."""
        return bool(self.url) and (self.poll is not None or self.secret is not None)

    @property
    def host(self) -> str:
        """The forge's host, as name of whoever pushed there."""
        return urlsplit(self.url).hostname or "elsewhere"

    @property
    def full_name(self) -> str:
        """What the forge calls it: the path of its address."""
        path = urlsplit(self.url).path.strip("/").removesuffix(".git")
        return path.removeprefix("scm/") if self.forge == "bitbucket-server" else path

    @classmethod
    def of(cls, row: Row) -> Remote:
        """Return the record of a row."""
        given = {field.name: row[field.name] for field in fields(cls)}
        return cls(**{**given, "etags": json.loads(row["etags"])})

    def public(self) -> dict[str, Any]:
        """Return what everybody may know who may read the repository."""
        names = ("url", "forge", "poll", "looked_at", "changed_at", "next_at", "error")
        shown = {name: getattr(self, name) for name in names}
        return {**shown, "webhook": self.secret is not None, "follows": self.follows}


def guess_forge(url: str, forge: str | None = None, api: str | None = None) -> tuple[str, str]:
    """Return which forge an address is of and where its API is, as far as the address (or who asks) says."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme not in {"http", "https"}:
        return forge or "git", api or ""
    if host in KNOWN and forge in {None, KNOWN[host][0]}:
        return KNOWN[host][0], api or KNOWN[host][1]
    named = next((name for name in ("gitlab", "gitea", "github") if name in host), None)
    forge = forge or named or ("gitea" if "forgejo" in host else "git")
    if forge == "git":
        return forge, api or ""
    return forge, api or f"{parts.scheme}://{parts.netloc}{PATHS[forge]}"
