"""The content hash that kustomize appends to the names of generated ConfigMaps and Secrets."""

from __future__ import annotations

import hashlib
import json
from typing import Any

ALPHABET = str.maketrans("013ae", "ghkmt")


def canonical(value: Any) -> str:
    """Write JSON as Go's `encoding/json` does: sorted keys, no spaces, `<`, `>` and `&` escaped."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text


def content_hash(item: dict[str, Any]) -> str:
    """Return the ten characters for a ConfigMap, a Secret, or any other object.

    kustomize leaves the name empty there, so that a prefix does not change the hash.
    """
    kind = item.get("kind")
    body: dict[str, Any] = item
    if kind in ("ConfigMap", "Secret"):
        body = {"kind": kind, "name": "", "data": item.get("data", "")}
        extra = "binaryData" if kind == "ConfigMap" else "stringData"
        if isinstance(item.get(extra), dict):
            body[extra] = item[extra]
        if kind == "Secret":
            body["type"] = item.get("type", "")
    digest = hashlib.sha256(canonical(body).encode()).hexdigest()
    return digest[:10].translate(ALPHABET)
