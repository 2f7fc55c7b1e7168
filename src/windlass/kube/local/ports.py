"""What the API server needs of others: the node that runs the pods, and the seal for secrets at rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class NodePort(Protocol):
    """The node, as the API server sees it. Methods may be called at any time and from many tasks.

    They raise `kube.errors.NotFoundError` when the pod or the container is unknown, `BadRequestError` when the
    container has not started or the port is not one of the pod's, `UnavailableError` when it cannot be reached.
    """

    def logs(
        self,
        namespace: str,
        pod: str,
        container: str,
        *,
        follow: bool = False,
        tail: int | None = None,
        since_seconds: float | None = None,
        timestamps: bool = False,
        previous: bool = False,
    ) -> AsyncIterator[bytes]:
        """Yield the container's output as it is (whole lines not guaranteed).

        With `follow` until the container ends or the iterator is closed. `tail` counts lines. With `timestamps`
        each line starts with RFC3339 and a space.
        """
        ...

    async def address(self, namespace: str, pod: str, port: int) -> tuple[str, int]:
        """Return host and port at which the pod's container port is reached from here."""
        ...


class Seal(Protocol):
    """Encrypts Secrets before they reach the disk (`identity.Secrets`)."""

    async def seal(self, plaintext: bytes, *, context: bytes = b"") -> bytes:
        """Encrypt and authenticate; `context` says where it belongs and must be the same to unseal."""
        ...

    async def unseal(self, sealed: bytes, *, context: bytes = b"") -> bytes:
        """Return what was sealed; raise when it was tampered with."""
        ...
