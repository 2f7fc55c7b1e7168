"""REST: secrets, tokens, login links, kubeconfigs."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel, Field

from windlass.identity import Principal
from windlass.web.access import Person, Who, needs, ports_of

router = APIRouter(tags=["access"])
Reader = Annotated[Principal, Depends(needs("kube:read"))]
Admin = Annotated[Principal, Depends(needs("api:admin"))]


class NewSecret(BaseModel):
    """A secret to keep. `scope`: `owner/name`, `owner` or `*`."""

    scope: str
    name: str
    value: str = Field(repr=False)


KUBECONFIG_DAYS = 30
"""How long a kubeconfig serves when nobody says otherwise."""


class NewToken(BaseModel):
    """A token to make. `ttl` in seconds. A `robot` is a machine: its pushes do not wait for what follows."""

    name: str = Field(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]*$")
    scopes: list[str] = Field(min_length=1, max_length=100)
    ttl: float | None = Field(None, gt=0, le=3_155_760_000, allow_inf_nan=False)
    label: str = Field("", max_length=200)
    kind: Literal["user", "robot"] = "user"


class NewKubeconfig(BaseModel):
    """Which namespace the kubeconfig starts in, and for how many seconds its token lives."""

    ttl: float = Field(KUBECONFIG_DAYS * 86400, ge=60, le=3650 * 86400, allow_inf_nan=False)
    namespace: str = Field("default", pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")


@router.put("/secrets", status_code=204)
async def set_secret(request: Request, body: NewSecret, who: Admin) -> Response:
    """Keep a secret, replacing what the name held. A repository that is not hosted here has none: 404."""
    if "/" in body.scope:
        await ports_of(request).hosting.get(body.scope.partition(":")[0])
    await ports_of(request).secrets.set(body.scope, body.name, body.value, actor=who.name)
    return Response(status_code=204)


@router.get("/secrets")
async def list_secrets(request: Request, who: Admin, scope: str) -> list[dict[str, Any]]:  # noqa: ARG001 the gate
    """List names, never values. A repository that is not hosted here has none: 404."""
    if "/" in scope:
        await ports_of(request).hosting.get(scope.partition(":")[0])
    return await ports_of(request).secrets.listing(scope)


@router.delete("/secrets", status_code=204)
async def delete_secret(request: Request, who: Admin, scope: str, name: str) -> Response:
    """Forget a secret."""
    if not await ports_of(request).secrets.delete(scope, name, actor=who.name):
        raise HTTPException(404, f"{scope} has no secret {name.upper()}")
    return Response(status_code=204)


@router.post("/tokens", status_code=201)
async def create_token(request: Request, body: NewToken, who: Admin) -> dict[str, Any]:  # noqa: ARG001 the gate
    """Make a token; its value is in this answer and nowhere else."""
    token = await ports_of(request).identity.mint(
        body.kind, body.name, body.scopes, ttl=body.ttl, label=body.label
    )
    return {"name": body.name, "scopes": body.scopes, "token": token}


@router.get("/tokens")
async def list_tokens(request: Request, who: Admin) -> list[dict[str, Any]]:  # noqa: ARG001 the gate
    """List living tokens, without their values."""
    return await ports_of(request).identity.tokens()


@router.delete("/tokens/{token_id}", status_code=204)
async def revoke_token(request: Request, token_id: str, who: Admin) -> Response:  # noqa: ARG001 the gate
    """Revoke one token."""
    if not await ports_of(request).identity.revoke_id(token_id):
        raise HTTPException(404, f"no token has the id {token_id}: `windlass token list` shows them")
    return Response(status_code=204)


@router.post("/login-links", status_code=201)
async def login_link(request: Request, who: Person) -> dict[str, str]:
    """Make a link that logs a browser in as the asking principal, once."""
    ports = ports_of(request)
    return {"url": f"{ports.url}/login?code={ports.links.make(who)}"}


@router.post("/kubeconfig", response_class=PlainTextResponse)
async def kubeconfig(
    request: Request,
    body: NewKubeconfig,
    who: Person,
    may: Reader,  # noqa: ARG001 the gate
) -> str:
    """Make a kubeconfig with a token of its own."""
    return await ports_of(request).kubeconfigs.kubeconfig(who, body.namespace, body.ttl)


@router.get("/whoami")
async def whoami(who: Who) -> dict[str, Any]:
    """Say who the token belongs to."""
    return {"kind": who.kind, "name": who.name, "scopes": who.scopes}
