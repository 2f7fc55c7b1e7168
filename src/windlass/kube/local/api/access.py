"""Who may do what: `kube:read` and `kube:write` on a namespace, or on `*` for all of them and what is above them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from windlass.kube.errors import ForbiddenError

if TYPE_CHECKING:
    from windlass.identity import Principal
    from windlass.kube.local.api.routes import Target

READS = frozenset({"get", "list", "watch"})
# Who may only look must not come by what is kept secret, nor speak as the cluster to what runs in it.
GUARDED = frozenset(
    {("secrets", None), ("pods", "proxy"), ("pods", "exec"), ("pods", "attach"), ("pods", "portforward")}
)


def may(
    principal: Principal,
    verb: str,
    plural: str,
    *,
    namespace: str | None,
    name: str | None = None,
    subresource: str | None = None,
) -> bool:
    """Decide on one request. A namespace itself counts as being in it."""
    scope = namespace or (name if plural == "namespaces" and name else "*")
    guarded = (plural, None) in GUARDED or (plural, subresource) in GUARDED
    action = "kube:read" if verb in READS and not guarded else "kube:write"
    return principal.may(action, scope)


def check(principal: Principal, verb: str, target: Target) -> None:
    """Raise ForbiddenError, worded as Kubernetes words it, unless the principal may."""
    resource = target.resource
    if may(
        principal,
        verb,
        resource.plural,
        namespace=target.namespace,
        name=target.name,
        subresource=target.subresource,
    ):
        return
    plural = f"{resource.plural}/{target.subresource}" if target.subresource else resource.plural
    where = f'in the namespace "{target.namespace}"' if target.namespace else "at the cluster scope"
    named = f' "{target.name}"' if target.name else ""
    raise ForbiddenError(
        f'{resource.key}{named} is forbidden: User "{principal.name}" cannot {verb} resource "{plural}" in API group '
        f'"{resource.group}" {where}',
        details={"kind": resource.plural, **({"name": target.name} if target.name else {})},
    )
