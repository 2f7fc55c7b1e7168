"""Principals and scopes. A scope is `AREA:VERB:RESOURCE`, or `admin` for everything."""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Literal

from windlass.identity.errors import IdentityError

Kind = Literal["user", "job", "robot"]
AREAS = ("repo", "registry", "kube", "api")
VERBS = ("read", "write", "admin")


class ScopeError(IdentityError):
    """A scope is not of the form `AREA:VERB:RESOURCE`."""


def check_scope(scope: str) -> str:
    """Return the scope if it is well formed.

    Raises ScopeError with what it should have been.
    """
    if scope == "admin":
        return scope
    area, _, rest = scope.partition(":")
    verb, _, resource = rest.partition(":")
    if area not in AREAS or verb not in VERBS or not resource or any(c.isspace() for c in scope):
        expected = (
            f"AREA:VERB:RESOURCE with AREA one of {', '.join(AREAS)} and VERB one of {', '.join(VERBS)}"
        )
        raise ScopeError(
            f"scope {scope!r} is not understood: write {expected}, such as repo:write:acme/*, or admin"
        )
    return scope


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody (or a job, or a part of Windlass) that has shown a valid token.

    `expires_at` (seconds since the epoch; None: never) is the token's, so that what is begun with it ends with it.
    """

    kind: Kind
    name: str
    scopes: tuple[str, ...] = ()
    expires_at: float | None = field(default=None, compare=False)

    def may(self, action: str, resource: str) -> bool:
        """Whether a scope grants `action` (`AREA:VERB`) on `resource`; a stronger verb includes the weaker."""
        if "admin" in self.scopes:
            return True
        area, _, verb = action.partition(":")
        enough = VERBS[VERBS.index(verb) :]
        for scope in self.scopes:
            granted_area, granted_verb, pattern = scope.split(":", 2)
            if granted_area == area and granted_verb in enough and fnmatchcase(resource, pattern):
                return True
        return False
