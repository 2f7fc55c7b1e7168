"""Copies a repository from elsewhere: its branches and tags."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit, urlunsplit

import anyio

from windlass.repos import commands
from windlass.repos.errors import GitError, ImportFailedError
from windlass.repos.parsing import parse_head, parse_refs
from windlass.repos.process import environment, run

if TYPE_CHECKING:
    from pathlib import Path

IMPORT_SECONDS = 3600.0
CONFIG = {"fetch.fsckObjects": "true", "http.followRedirects": "initial"}


def check_source(source: str) -> tuple[str, tuple[str, str] | None]:
    """Return the address without user and password, and these apart; only https, http and local paths."""
    parts = urlsplit(source)
    if parts.scheme in {"http", "https"} and parts.hostname:
        host = parts.netloc.rpartition("@")[2]
        url = urlunsplit((parts.scheme, host, parts.path, "", ""))
        if parts.password is not None:
            return url, (unquote(parts.username or ""), unquote(parts.password))
        return url, None
    if source.startswith("/") and "\0" not in source:
        return source, None
    if parts.scheme == "file":
        return parts.path, None
    raise ImportFailedError(
        f"{source.rpartition('@')[2][:200]!r} cannot be imported. Give an https address or an absolute path."
    )


def fetch_environment(url: str, credentials: tuple[str, str] | None) -> dict[str, str]:
    """Return git's environment for one address; the credentials go to that host only, and not in arguments."""
    config = dict(CONFIG)
    if credentials:
        parts = urlsplit(url)
        basic = base64.b64encode(":".join(credentials).encode()).decode()
        config[f"http.{parts.scheme}://{parts.netloc}/.extraHeader"] = f"Authorization: Basic {basic}"
    return environment({"GIT_ALLOW_PROTOCOL": "https:http:file"}, config.items())


async def copy_from(url: str, into: Path, credentials: tuple[str, str] | None) -> str:
    """Fetch all branches and tags into an empty bare repository and return the default branch."""
    env = fetch_environment(url, credentials)
    try:
        with anyio.fail_after(IMPORT_SECONDS):
            _, head = await run(commands.head_of(url), env=env)
            await run(commands.fetch_all(into, url), env=env)
        _, output = await run(commands.refs(into))
    except TimeoutError:
        raise ImportFailedError(f"{url} did not arrive within {IMPORT_SECONDS:.0f} s.") from None
    except GitError as error:
        raise ImportFailedError(f"{url} could not be imported. {error}") from None
    branch = default_branch(parse_head(head), parse_refs(output))
    await run(commands.set_head(into, f"refs/heads/{branch}"))
    return branch


def default_branch(head: str | None, refs: dict[str, str]) -> str:
    """Choose the default branch: what the source says, else main, master, or the first there is."""
    branches = [ref.removeprefix("refs/heads/") for ref in sorted(refs) if ref.startswith("refs/heads/")]
    preferred = [name for name in (head, "main", "master") if name in branches]
    return next((name for name in [*preferred, *branches] if name), "main")
