"""Kubeconfigs for people and for our own parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from windlass.kube.local.kubeconfig import kubeconfig_yaml

if TYPE_CHECKING:
    from pathlib import Path

    from windlass.identity import Identity, Principal
    from windlass.server.datadir import DataDirectory


class Kubeconfigs:
    """Makes kubeconfigs for the Kubernetes API at `url`, trusted through `ca_pem`."""

    def __init__(self, identity: Identity, url: str, ca_pem: str) -> None:
        self._identity = identity
        self._url = url
        self._ca_pem = ca_pem

    async def kubeconfig(self, principal: Principal, namespace: str, ttl: float) -> str:
        """Return YAML with a token of its own, which may do in the cluster what the principal may for `ttl` seconds."""
        scopes = [scope for scope in principal.scopes if scope.startswith("kube:")]
        if "admin" in principal.scopes:
            scopes = ["kube:admin:*"]
        token = await self._identity.mint("user", principal.name, scopes, ttl=ttl, label="kubeconfig")
        return self.text(token, namespace)

    def text(self, token: str, namespace: str) -> str:
        """Return YAML around a token."""
        return kubeconfig_yaml(self._url, self._ca_pem, token, namespace)


def write_kubeconfig(directory: DataDirectory, text: str) -> Path:
    """Write the kubeconfig that our own parts use."""
    return directory.write_secret(directory.folder("kube") / "delivery.kubeconfig", text)
