"""Pod templates: equality and the hash that names a ReplicaSet."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from windlass.kube.local.controllers.meta import annotations_of, created, labels_of, name_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from windlass.kube.local.controllers.meta import Object

HASH_LABEL = "pod-template-hash"
ALPHABET = "bcdfghjklmnpqrstvwxz2456789"  # no vowels: no words by accident


def _pruned(value: Any) -> Any:
    """Nil and empty are equal, as in Kubernetes' semantic comparison."""
    if isinstance(value, dict):
        pruned = {key: _pruned(item) for key, item in value.items()}
        return {key: item for key, item in pruned.items() if item not in (None, {}, [], "")}
    if isinstance(value, list):
        return [_pruned(item) for item in value]
    return value


def normal(template: Object) -> Object:
    """Return the template without what a ReplicaSet adds and without what means nothing."""
    metadata = dict(template.get("metadata") or {})
    metadata["labels"] = {
        key: value for key, value in (metadata.get("labels") or {}).items() if key != HASH_LABEL
    }
    metadata.pop("creationTimestamp", None)
    return dict(_pruned({**template, "metadata": metadata}))


def template_hash(template: Object, collisions: int = 0) -> str:
    """Ten characters that name this template; another `collisions` gives another name."""
    text = json.dumps([normal(template), collisions], sort_keys=True, separators=(",", ":"))
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
    letters = []
    for _ in range(10):
        number, index = divmod(number, len(ALPHABET))
        letters.append(ALPHABET[index])
    return "".join(letters)


def find_new(deployment: Object, replica_sets: Sequence[Object]) -> Object | None:
    """Return the oldest ReplicaSet with the Deployment's present template."""
    wanted = normal(deployment["spec"]["template"])
    for candidate in sorted(replica_sets, key=lambda rs: (created(rs), name_of(rs))):
        if normal(candidate["spec"]["template"]) == wanted:
            return candidate
    return None


def labelled(template: Object, value: str) -> Object:
    """Return the template with its hash as a label."""
    metadata = dict(template.get("metadata") or {})
    metadata["labels"] = {**(metadata.get("labels") or {}), HASH_LABEL: value}
    return {**template, "metadata": metadata}


def revision(obj: Object) -> int:
    """`deployment.kubernetes.io/revision` as a number, 0 where there is none."""
    text = annotations_of(obj).get("deployment.kubernetes.io/revision", "0")
    return int(text) if text.isdigit() else 0


def hash_of(replica_set: Object) -> str:
    """Return the hash label of a ReplicaSet."""
    return labels_of(replica_set).get(HASH_LABEL, "")
