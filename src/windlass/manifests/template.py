"""The pod template's hash: what makes two rollouts the same rollout."""

from __future__ import annotations

import copy
import hashlib
import json
from typing import TYPE_CHECKING, Any

from windlass.manifests.objects import containers, pod_template

if TYPE_CHECKING:
    from windlass.manifests.objects import Object


def _plain(value: Any) -> Any:
    """Leave out what says nothing: nulls and empty maps and lists."""
    if isinstance(value, dict):
        kept = {key: _plain(item) for key, item in value.items()}
        return {key: item for key, item in kept.items() if item not in (None, {}, [])}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value


def template_hash(item: Object) -> str | None:
    """Return a hash over the workload's rendered pod template, or None where it has none.

    Images are taken by digest where they have one: the same digest under another tag is the same template.
    """
    template = pod_template(item)
    if template is None or item.get("kind") == "Pod":
        return None
    body = {"kind": "Pod", "metadata": template.get("metadata") or {}, "spec": template["spec"]}
    body = copy.deepcopy(body)
    for container in containers(body):
        image = str(container.get("image", ""))
        name, at, digest = image.partition("@")
        if at:
            slash = name.rfind("/")
            colon = name.find(":", slash + 1)
            container["image"] = f"{name if colon < 0 else name[:colon]}@{digest}"
    text = json.dumps(_plain(body), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
