"""Objects in SQL: one row each, Secrets sealed, and the version counter that never goes back."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import msgspec

from windlass.kube.errors import KubeError
from windlass.kube.local.history import Change, Stored

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from windlass.kube.local.ports import Seal
    from windlass.store import Store, Transaction

SEALED = frozenset({"secrets"})
# What changes by itself all the time is not worth a line in the ledger.
UNRECORDED = frozenset(
    {"events", "leases.coordination.k8s.io", "endpoints", "endpointslices.discovery.k8s.io"}
)

encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder().decode


class UnreadableError(KubeError):
    """A stored object cannot be read back: the key or the row is not what it was."""


def _context(resource: str, namespace: str, name: str) -> bytes:
    return f"kube/{resource}/{namespace}/{name}".encode()


def _worth_recording(change: Change) -> bool:
    if change.resource in UNRECORDED:
        return False
    if change.type != "MODIFIED" or change.before is None:
        return True
    before, after = change.before.obj["metadata"], change.after.obj["metadata"]
    return any(before.get(key) != after.get(key) for key in ("generation", "deletionTimestamp"))


class Storage:
    """Reads all objects once, and writes each change in a transaction with its line in the ledger."""

    def __init__(self, store: Store, seal: Seal | None) -> None:
        self._store = store
        self._seal = seal

    async def version(self) -> int:
        """Return the version of the latest write there ever was."""
        row = await self._store.one("kube.version")
        return int(row["version"]) if row else 0

    async def rows(self) -> AsyncIterator[tuple[str, str, str, Stored]]:
        """Yield resource, namespace, name and object of everything there is."""
        for row in await self._store.read("kube.all"):
            body = row["body"].encode()
            if row["sealed"]:
                body = await self._unseal(body, row)
            stored = Stored(decode(body), body, int(row["version"]))
            yield row["resource"], row["namespace"], row["name"], stored

    async def _unseal(self, body: bytes, row: dict[str, Any]) -> bytes:
        where = (row["resource"], row["namespace"], row["name"])
        if self._seal is None:
            raise UnreadableError(f"{'/'.join(where)} is sealed and there is no key to read it with")
        return await self._seal.unseal(base64.b64decode(body), context=_context(*where))

    async def write(self, change: Change, manager: str) -> None:
        """Commit one change. Returns after it is in SQL."""
        where = {"resource": change.resource, "namespace": change.namespace, "name": change.name}
        version, body = change.after.version, change.after.encoded
        sealed = change.resource in SEALED and self._seal is not None
        if sealed and self._seal is not None and change.type != "DELETED":
            context = _context(change.resource, change.namespace, change.name)
            body = base64.b64encode(await self._seal.seal(body, context=context))
        meta = change.after.obj["metadata"]
        record = _worth_recording(change)

        def work(tx: Transaction) -> None:
            tx.run("kube.advance", version=version)
            if change.type == "DELETED":
                tx.run("kube.delete", **where)
            else:
                tx.run("kube.put", **where, version=version, sealed=int(sealed), body=body.decode())
            if record:
                subject = "/".join(filter(None, ("kube", change.resource, change.namespace, change.name)))
                tx.record(
                    f"kube.{change.type.lower()}",
                    subject,
                    actor=manager,
                    uid=meta.get("uid", ""),
                    version=version,
                    generation=meta.get("generation"),
                )

        await self._store.transact(work)
