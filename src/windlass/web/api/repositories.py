"""REST: hosted repositories."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from pydantic import BaseModel, Field

from windlass.identity import Principal
from windlass.web.access import Who, needs, ports_of

if TYPE_CHECKING:
    from windlass.web.ports import HostedRepository, Remote

router = APIRouter(tags=["repositories"])
Writer = Annotated[Principal, Depends(needs("api:write"))]
Admin = Annotated[Principal, Depends(needs("api:admin"))]


class NewRepository(BaseModel):
    """An empty repository. `applications`: the folder of a GitOps repository that holds its Applications."""

    name: str
    default_branch: str = "main"
    applications: str | None = None


Forge = Literal["github", "gitlab", "gitea", "bitbucket", "bitbucket-server", "git"]


class Credential(BaseModel):
    """A user and password (or token) of a forge. It is sealed, and never shown again."""

    user: str = Field(max_length=200)
    password: str = Field(max_length=4096, repr=False)


class Import(BaseModel):
    """A copy of a repository from a URL, or a path on the server's machine (administrators only)."""

    source: str
    name: str
    credential: Credential | None = None
    poll: float | None = Field(None, ge=5, le=86_400, description="Look there every so many seconds.")
    forge: Forge | None = Field(None, description="What the address does not tell.")
    api: str | None = Field(
        None, max_length=500, description="Where the forge's API is, if not in its usual place."
    )


class Webhook(BaseModel):
    """The secret that a forge signs its webhooks with; without one a new one is made."""

    secret: str | None = Field(None, repr=False, min_length=16, max_length=1024)


class Poll(BaseModel):
    """How often to look there, in seconds; null: only when a webhook asks."""

    seconds: float | None = Field(ge=5, le=86_400)


def _public(request: Request, found: HostedRepository, remote: Remote | None = None) -> dict[str, Any]:
    return {
        "name": found.name,
        "default_branch": found.default_branch,
        "applications": found.applications,
        "clone_url": f"{ports_of(request).url}/{found.name}.git",
        "remote": remote.public() if remote else None,
    }


@router.get("/repositories")
async def list_repositories(request: Request, who: Who) -> list[dict[str, Any]]:
    """List those that the principal may read."""
    ports = ports_of(request)
    remotes = {remote.repository: remote for remote in await ports.remotes.list()}
    return [
        _public(request, row, remotes.get(row.name))
        for row in await ports.hosting.list()
        if who.may("repo:read", row.name)
    ]


@router.get("/repositories/{owner}/{name}")
async def show_repository(request: Request, owner: str, name: str, who: Who) -> dict[str, Any]:
    """Show one: where it comes from, the webhooks that came last, and the statuses that the forge was told."""
    ports, repo = ports_of(request), f"{owner}/{name}"
    if not who.may("repo:read", repo):
        raise HTTPException(404, f"No repository {repo} that {who.name} may read.")
    shown = _public(request, await ports.hosting.get(repo), await ports.remotes.get(repo))
    return {**shown, "webhooks": await ports.remotes.arrived(repo), "told": await ports.remotes.told(repo)}


@router.post("/repositories", status_code=201)
async def create_repository(request: Request, body: NewRepository, who: Writer) -> dict[str, Any]:
    """Create an empty repository; only administrators create one whose Applications are adopted."""
    if body.applications is not None and not who.may("api:admin", "*"):
        raise HTTPException(403, "a repository whose Applications are adopted needs the scope api:admin:*")
    hosting = ports_of(request).hosting
    made = await hosting.create(body.name, default_branch=body.default_branch, applications=body.applications)
    return _public(request, made)


@router.post("/repositories/import", status_code=201)
async def import_repository(request: Request, body: Import, who: Admin) -> dict[str, Any]:
    """Copy a repository, all branches and tags; where it comes from is kept, and with `poll` it is followed."""
    ports = ports_of(request)
    credential = (body.credential.user, body.credential.password) if body.credential else None
    made = await ports.hosting.import_(body.source, body.name, credentials=credential)
    kept = await ports.remotes.keep(
        body.name,
        body.source,
        credential=credential,
        poll=body.poll,
        forge=body.forge,
        api=body.api,
        actor=who.name,
    )
    return _public(request, made, kept)


@router.put("/repositories/{owner}/{name}/webhook")
async def set_webhook(request: Request, owner: str, name: str, body: Webhook, who: Admin) -> dict[str, Any]:
    """Let a forge's webhooks in; the secret is in this answer and nowhere else."""
    ports, repo = ports_of(request), f"{owner}/{name}"
    secret = await ports.remotes.set_secret(repo, body.secret, actor=who.name)
    return {"url": f"{ports.url}/hooks/{repo}", "secret": secret}


@router.put("/repositories/{owner}/{name}/poll", status_code=204)
async def set_poll(request: Request, owner: str, name: str, body: Poll, who: Admin) -> Response:
    """Say how often to look where the repository comes from."""
    await ports_of(request).remotes.set_poll(f"{owner}/{name}", body.seconds, actor=who.name)
    return Response(status_code=204)


@router.delete("/repositories/{owner}/{name}/remote", status_code=204)
async def forget_remote(request: Request, owner: str, name: str, who: Admin) -> Response:
    """Follow no longer; what is here stays, and is pushed to here."""
    await ports_of(request).remotes.forget(f"{owner}/{name}", actor=who.name)
    return Response(status_code=204)


@router.delete("/repositories/{owner}/{name}", status_code=204)
async def delete_repository(request: Request, owner: str, name: str, who: Admin) -> Response:  # noqa: ARG001 the gate
    """Delete a repository with its history."""
    await ports_of(request).hosting.delete(f"{owner}/{name}")
    return Response(status_code=204)
