"""What routes ask of the gate: who is there, and may they."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, HTTPException, Path, Query, Request

from windlass.identity import Principal
from windlass.web.gate import principal_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from windlass.web.ports import Ports

LARGEST = 2**53
Number = Annotated[int, Path(ge=1, le=LARGEST)]
Before = Annotated[int | None, Query(ge=0, le=LARGEST)]
StepNumber = Annotated[int | None, Query(ge=0, le=100_000)]


def ports_of(request: Request) -> Ports:
    """Return what the application was made with."""
    ports: Ports = request.app.state.ports
    return ports


async def principal(request: Request) -> Principal:
    """Return who asks."""
    return principal_of(request)


Who = Annotated[Principal, Depends(principal)]


async def person(who: Who) -> Principal:
    """Let only users pass: what they get here may outlive the token they show, and a job's rights must not."""
    if who.kind != "user":
        raise HTTPException(403, f"{who.name} is a {who.kind}: only a user may do this")
    return who


Person = Annotated[Principal, Depends(person)]


def needs(action: str, resource: str = "*") -> Callable[[Request, Principal], Awaitable[Principal]]:
    """Make a dependency that lets only principals pass who may do `action` (such as `api:read`)."""

    async def check(request: Request, who: Who) -> Principal:  # noqa: ARG001 FastAPI's signature
        if not who.may(action, resource):
            raise HTTPException(403, f"{who.name} may not do this: it needs the scope {action}:{resource}")
        return who

    return check
