"""What browsers send when somebody presses a button."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated
from urllib.parse import parse_qs

from fastapi import Depends, HTTPException, Request
from fastapi.responses import RedirectResponse

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_FIELDS = 100
MAX_FORM = 256 * 1024
MAX_COMMENT = 1000


async def read_form(request: Request, most: int = MAX_FORM) -> dict[str, str]:
    """Return the fields of a form (`application/x-www-form-urlencoded`); of those that come twice the last.

    A checkbox with a hidden field of its name before it is therefore always there.
    """
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise HTTPException(413, f"this form is at most {most} bytes")
    try:
        found = parse_qs(
            body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=2 * MAX_FIELDS
        )
    except ValueError:
        raise HTTPException(422, f"a form has at most {2 * MAX_FIELDS} fields") from None
    return {key: values[-1] for key, values in found.items()}


async def form(request: Request) -> dict[str, str]:
    """Return the fields of a form of the usual size."""
    return await read_form(request)


Form = Annotated[dict[str, str], Depends(form)]


def line(form: Mapping[str, str], name: str, most: int = MAX_COMMENT) -> str:
    """Return one field without blanks around it, or say that it is too long."""
    value = form.get(name, "").strip()
    if len(value) > most:
        raise HTTPException(422, f"{name} is at most {most} characters")
    return value


def one_of(form: Mapping[str, str], name: str, *known: str) -> str:
    """Return a field that has one of these values, or say which there are."""
    if (value := form.get(name, "")) not in known:
        raise HTTPException(422, f"{name} is one of {', '.join(known)}")
    return value


def seen(path: str) -> RedirectResponse:
    """Send the browser to the page that shows what was done, so that loading it again does nothing again."""
    return RedirectResponse(path, 303)
