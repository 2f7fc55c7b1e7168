"""Names that come from outside: repositories, refs, revisions, paths, and forges' addresses. All pure."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from windlass.repos.errors import BadNameError

if TYPE_CHECKING:
    from collections.abc import Iterable

OWNER = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,37}[A-Za-z0-9])?")
NAME = re.compile(r"[A-Za-z0-9._][A-Za-z0-9._-]{0,99}")
SHA = re.compile(r"[0-9a-f]{40}")
# What git allows in a ref, and what would read as another ref's name where lines end: control characters and
# separators of lines, marks that turn text around, and bytes that are not UTF-8 (as `surrogateescape` shows them).
ODD_IN_REF = re.compile(r"[\x00-\x20\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
# What git itself forbids in a ref (git-check-ref-format), and an option's leading dash.
BAD_REF = re.compile(rf"{ODD_IN_REF.pattern}|[~^:?*\[\\]|\.\.|@\{{|//|/\.|^[-./]|\.lock(?:/|$)|[/.]$|^@$")
SCP = re.compile(r"(?:[\w.-]+@)?([\w.-]+):(?!//)(.+)")
RESERVED_OWNERS = frozenset(
    {
        "api", "applications", "commits", "deliveries", "docs", "events", "healthz", "holds", "hooks", "login",
        "logout", "metrics", "runs", "static", "v2",
    }
)  # fmt: skip
"""The server's own addresses: the pages of a repository below one of them could not be reached."""
MAX_REF = 255


def repository_name(name: str) -> str:
    """Return `name` if it is a well-formed `owner/name`, else raise `BadNameError`."""
    owner, slash, short = name.partition("/")
    if not (slash and OWNER.fullmatch(owner) and NAME.fullmatch(short)):
        raise BadNameError(
            f"{name[:200]!r} is not a repository's name. Write OWNER/NAME: letters, digits and dashes, "
            "in NAME also dots and underscores."
        )
    if owner.lower() in RESERVED_OWNERS:
        raise BadNameError(f"The owner {owner!r} is an address of the server itself. Choose another owner.")
    if short in {".", ".."} or short.lower().endswith((".git", ".lock", ".tmp")):
        raise BadNameError(f"{short!r} may not name a repository, and no name ends in .git, .lock or .tmp.")
    return name


def branch_ref(branch: str, what: str = "branch") -> str:
    """Return the full ref of a branch: `main` and `refs/heads/main` both give `refs/heads/main`.

    `what` else it is that is named and follows the same rules: BadNameError says so.
    """
    short = branch.removeprefix("refs/heads/")
    if not short or len(short) > MAX_REF or BAD_REF.search(short):
        raise BadNameError(f"{branch[:200]!r} is not a {what}'s name (see git check-ref-format).")
    return f"refs/heads/{short}"


def revision(rev: str) -> str:
    """Return `rev` if it is a full commit id or the plain name of a ref; never an option or an expression."""
    if not rev or len(rev) > MAX_REF or BAD_REF.search(rev):
        raise BadNameError(f"{rev[:200]!r} is not a revision. Write a commit id, a branch or a tag.")
    return rev


def tree_path(path: str) -> str:
    """Return a path inside a tree without leading, trailing or doubled slashes; `""` is the root."""
    parts = [part for part in path.split("/") if part not in {"", "."}]
    if path.startswith("/") or ".." in parts or "\0" in path or len(path) > 4096:
        raise BadNameError(f"{path[:200]!r} is not a path inside a repository.")
    return "/".join(parts)


def windlass_clone_url(base: str, name: str) -> str:
    """Return the address to clone `owner/name` from, on the server whose own address is `base`."""
    return f"{base.rstrip('/')}/{repository_name(name)}.git"


def hosted_name(url: str, forges: Iterable[str]) -> str | None:
    """Return the hosted `owner/name` that stands in for a forge's address, or None.

    `https://github.com/acme/x`, `…/x.git`, `git@github.com:acme/x.git`, `ssh://git@github.com/acme/x` are
    all `acme/x` where `forges` holds `github.com`. The server's own `host:port` may be one of the forges.
    """
    scp = SCP.fullmatch(url)
    if scp and "://" not in url:
        host, path = scp.group(1), scp.group(2)
    else:
        parts = urlsplit(url)
        host, path = parts.netloc.rpartition("@")[2], parts.path
        if parts.scheme not in {"http", "https", "ssh", "git"}:
            return None
    if host.lower() not in {forge.lower() for forge in forges}:
        return None
    name = path.strip("/").removesuffix(".git")
    try:
        return repository_name(name)
    except BadNameError:
        return None


def forge_url(name: str, forge: str) -> str:
    """Return the address under which a forge would know the hosted repository `owner/name`."""
    return f"https://{forge}/{repository_name(name)}"


def inside(path: str, folders: Iterable[str]) -> bool:
    """Tell whether a file's path is one of `folders` or lies in one of them; `""` holds everything."""
    parts = PurePosixPath(path).parts
    return any(parts[: len(PurePosixPath(folder).parts)] == PurePosixPath(folder).parts for folder in folders)
