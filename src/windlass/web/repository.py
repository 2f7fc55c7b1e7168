"""What the pages of one repository have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, HTTPException, Request

from windlass.identity import Principal
from windlass.web.access import Who, needs, ports_of

if TYPE_CHECKING:
    from windlass.web.ports import HostedRepository

Reader = Annotated[Principal, Depends(needs("api:read"))]


async def readable(request: Request, owner: str, name: str, who: Reader) -> str:
    """Return the repository's name; one that is not there, or not for who asks, is a page that says so."""
    repo = f"{owner}/{name}"
    if not who.may("repo:read", repo):
        raise HTTPException(404, f"No repository {repo} that {who.name} may read.")
    await hosted(request, repo)
    return repo


async def hosted(request: Request, repo: str) -> HostedRepository:
    """Return the repository, or 404: an address that cannot be a repository's leads nowhere either."""
    ports = ports_of(request)
    try:
        return await ports.hosting.get(repo)
    except tuple(ports.refusals) as error:
        raise HTTPException(404, str(error)) from None


async def writable_by(owner: str, name: str, who: Who) -> Principal:
    """Let those pass who may write the repository."""
    if not who.may("repo:write", f"{owner}/{name}"):
        raise HTTPException(403, f"{who.name} may not do this: it needs the scope repo:write:{owner}/{name}")
    return who


async def startable_by(owner: str, name: str, who: Who) -> Principal:
    """Let those pass who may start workflows of the repository."""
    scope = f"actions/{owner}/{name}"
    if not who.may("api:write", scope):
        raise HTTPException(403, f"{who.name} may not do this: it needs the scope api:write:{scope}")
    return who


Repo = Annotated[str, Depends(readable)]
Writer = Annotated[Principal, Depends(writable_by)]
Starter = Annotated[Principal, Depends(startable_by)]
