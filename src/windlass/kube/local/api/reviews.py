"""Who am I, and may I: the reviews behind `kubectl auth can-i` and `kubectl auth whoami`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from windlass.kube.errors import MethodNotAllowedError, NotFoundError
from windlass.kube.local.api import access
from windlass.kube.local.api.calls import Answer, Call, as_json
from windlass.kube.local.api.discovery import REVIEWS
from windlass.kube.local.api.routes import NOT_FOUND

if TYPE_CHECKING:
    from windlass.identity import Principal

Object = dict[str, Any]


def _access(principal: Principal, body: Object) -> Object:
    attributes = (body.get("spec") or {}).get("resourceAttributes")
    if attributes is None:  # a URL outside of the resources: whoever is there may look
        return {"allowed": True}
    if (verb := attributes.get("verb", "")) == "*":
        verb = "update"
    allowed = access.may(
        principal,
        verb,
        attributes.get("resource", ""),
        namespace=attributes.get("namespace") or None,
        name=attributes.get("name") or None,
        subresource=attributes.get("subresource") or None,
    )
    return {"allowed": allowed, **({} if allowed else {"reason": f"no scope of {principal.name} grants it"})}


def _rules(principal: Principal, body: Object) -> Object:
    namespace = (body.get("spec") or {}).get("namespace", "")
    verbs = []
    if principal.may("kube:read", namespace):
        verbs = ["get", "list", "watch"]
    if principal.may("kube:write", namespace):
        verbs = ["*"]
    rules = [{"verbs": verbs, "apiGroups": ["*"], "resources": ["*"]}] if verbs else []
    return {"resourceRules": rules, "nonResourceRules": [], "incomplete": False}


async def answer(call: Call) -> Answer:
    """Answer a review; NotFoundError when the path names none."""
    segments = call.path.strip("/").split("/")
    for group, plural, kind in REVIEWS:
        if segments == ["apis", group, "v1", plural]:
            if call.method != "POST":
                raise MethodNotAllowedError(f"{plural} are created, and are not kept")
            body = await call.data() or {}
            body = body if isinstance(body, dict) else {}
            status: Object = {"userInfo": {"username": call.principal.name, "groups": [call.principal.kind]}}
            if plural == "selfsubjectaccessreviews":
                status = _access(call.principal, body)
            elif plural == "selfsubjectrulesreviews":
                status = _rules(call.principal, body)
            meta = {"creationTimestamp": None}
            head = {"kind": kind, "apiVersion": f"{group}/v1", "metadata": meta}
            return as_json({**head, "spec": body.get("spec") or {}, "status": status}, 201)
    raise NotFoundError(NOT_FOUND)
