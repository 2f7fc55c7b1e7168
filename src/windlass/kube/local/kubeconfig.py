"""Kubeconfigs for clients of the embedded API."""

from __future__ import annotations

import base64
from typing import Any

import yaml


def kubeconfig(
    server_url: str, ca_pem: str, token: str, namespace: str = "default", *, name: str = "windlass"
) -> dict[str, Any]:
    """Return a kubeconfig with one cluster, one user and one context of this name."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": name,
                "cluster": {
                    "server": server_url,
                    "certificate-authority-data": base64.b64encode(ca_pem.encode()).decode(),
                },
            }
        ],
        "users": [{"name": name, "user": {"token": token}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name, "namespace": namespace}}],
        "current-context": name,
    }


def kubeconfig_yaml(
    server_url: str, ca_pem: str, token: str, namespace: str = "default", *, name: str = "windlass"
) -> str:
    """Return it as the file's text. It holds the token: write it with mode 0600."""
    return yaml.safe_dump(kubeconfig(server_url, ca_pem, token, namespace, name=name), sort_keys=False)
