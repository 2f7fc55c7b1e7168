"""What people write into pull requests, and what is written for them. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from windlass.repos.errors import BadNameError
from windlass.repos.records import Identity

if TYPE_CHECKING:
    from windlass.identity import Principal
    from windlass.repos.pulls.records import Method, Pull

MAX_TITLE = 256
MAX_BODY = 65_536
CONTROL = re.compile(r"[\x00-\x1f\x7f]")
CONTROL_BUT_LINES = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
NO_MAIL = re.compile(r"[^A-Za-z0-9._+-]+")


def check_title(title: str) -> str:
    """Return a title of one line, or raise `BadNameError`."""
    title = title.strip()
    if not title or len(title) > MAX_TITLE or CONTROL.search(title):
        raise BadNameError(f"A title is one line of 1 to {MAX_TITLE} characters.")
    return title


def check_body(body: str) -> str:
    """Return a text, or raise `BadNameError`."""
    if len(body) > MAX_BODY or CONTROL_BUT_LINES.search(body):
        raise BadNameError(f"A description has at most {MAX_BODY} characters, and no control characters.")
    return body


def identity_of(principal: Principal) -> Identity:
    """Return whom commits name that Windlass makes for a principal."""
    local = NO_MAIL.sub("-", principal.name).strip("-.") or "nobody"
    return Identity(principal.name, f"{local}@{principal.kind}.windlass.invalid")


def merge_words(pull: Pull, method: Method, title: str | None, message: str | None) -> str:
    """Return the message of a merge, as GitHub words it where nothing else is asked for."""
    if method == "squash":
        subject, text = f"{pull.title} (#{pull.number})", pull.body
    else:
        owner = pull.repository.partition("/")[0]
        subject, text = f"Merge pull request #{pull.number} from {owner}/{pull.head}", pull.title
    subject = check_title(title) if title is not None else subject
    return f"{subject}\n\n{check_body(message) if message is not None else text}".rstrip() + "\n"
