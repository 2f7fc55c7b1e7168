"""The objects of the embedded Kubernetes API: memory for reads, SQL for every write, one order of versions."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from windlass.kube.errors import (
    AlreadyExistsError,
    BadRequestError,
    ForbiddenError,
    MethodNotAllowedError,
    NotFoundError,
)
from windlass.kube.local import deletion
from windlass.kube.local.admission import (
    Write,
    admit_apply,
    admit_create,
    admit_update,
    scale_of,
    scaled,
)
from windlass.kube.local.history import Change, Stored
from windlass.kube.local.kinds import Resource, resource_of
from windlass.kube.local.memory import Memory
from windlass.kube.local.patches import json_patch, merge_patch, strategic_merge
from windlass.kube.local.schema.check import copy_of
from windlass.kube.local.schema.fields import shape_of
from windlass.kube.local.storage import Storage, encode
from windlass.kube.types import Object, ObjectList, WatchEvent

if TYPE_CHECKING:
    from collections.abc import Callable

    from windlass.kube.local.ports import Seal
    from windlass.store import Store

__all__ = ["Object", "ObjectList", "Objects", "WatchEvent", "Write", "copy_of"]

ALWAYS = ("default", "kube-system")


class Objects(Memory):
    """All objects of the embedded cluster, with the semantics of the Kubernetes API and without HTTP.

    Resources are named `plural[.group]`: `pods`, `deployments.apps`, `applications.argoproj.io`. `namespace` is
    None for cluster-scoped resources. Errors are those of `windlass.kube.errors`.

    **What is returned is a shared snapshot**: never change it; `copy_of(obj)` gives a cheap deep copy, and `modify`
    hands one to its function. What is passed in is copied. Everything runs on one event loop. A write is in SQL
    before any reader or watcher sees it, and is finished even when its caller is cancelled.
    """

    def __init__(self, store: Store, *, seal: Seal | None = None) -> None:
        super().__init__()
        self._storage = Storage(store, seal)
        self._lock = asyncio.Lock()
        self._writing: set[asyncio.Task[Stored]] = set()

    async def load(self) -> None:
        """Read all objects from SQL, and create the namespaces that are always there (default, kube-system)."""
        version = await self._storage.version()
        async for resource, namespace, name, stored in self._storage.rows():
            self._fill((resource, namespace, name), stored)
        self._begin(version)
        for name in ALWAYS:
            if not self.has("namespaces", None, name):
                await self.create("namespaces", {"metadata": {"name": name}})

    async def create(
        self, resource: str, obj: Object, *, manager: str = "windlass", dry_run: bool = False
    ) -> Object:
        """Create an object: defaults, validation, generateName, uid, creationTimestamp, generation.

        `metadata.namespace` must be set for namespaced resources. Status is dropped for kinds with a status
        subresource. Raises AlreadyExistsError, InvalidError, NotFoundError (no such namespace).
        """
        return (await self.create_with(resource, obj, Write(manager, dry_run=dry_run))).obj

    async def create_with(self, resource: str, obj: Object, write: Write) -> Stored:
        """`create` with all options."""
        kind = resource_of(resource)
        return await self._write(kind, lambda: (None, self._new(kind, admit_create(kind, obj, write))), write)

    def _new(self, kind: Resource, new: Object) -> Object:
        """Check where a new object goes."""
        meta = new["metadata"]
        name, namespace = meta["name"], meta.get("namespace")
        if kind.namespaced:
            if not namespace:
                raise BadRequestError(f"metadata.namespace is required: {kind.key} live in a namespace")
            home = self.stored("namespaces", None, namespace).obj
            if "deletionTimestamp" in home["metadata"]:
                raise ForbiddenError(
                    f'{kind.key} "{name}" is forbidden: unable to create new content in namespace {namespace}'
                    " because it is being terminated"
                )
        if self.has(kind.key, namespace, name):
            raise AlreadyExistsError.of(kind.key, name)
        return new

    async def update(
        self,
        resource: str,
        obj: Object,
        *,
        subresource: str | None = None,
        manager: str = "windlass",
        dry_run: bool = False,
    ) -> Object:
        """Replace an object. With metadata.resourceVersion it is optimistic: ConflictError when it has changed.

        `subresource="status"` replaces only the status; without, the status of kinds that have it as a subresource
        stays. `subresource="scale"` takes an autoscaling/v1 Scale. The generation counts changes of the spec.
        Nothing is written when nothing has changed.
        """
        meta = obj["metadata"]
        write = Write(manager, subresource, dry_run=dry_run)
        return (await self.update_with(resource, meta.get("namespace"), meta["name"], obj, write)).obj

    async def update_with(
        self, resource: str, namespace: str | None, name: str, obj: Object, write: Write
    ) -> Stored:
        """`update` with all options. For the subresource `scale` the object itself is returned, not its Scale."""
        kind = resource_of(resource)
        return await self._change(
            kind, namespace, name, lambda old: self._replaced(kind, old, obj, write), write
        )

    @staticmethod
    def _replaced(kind: Resource, old: Object, obj: Any, write: Write) -> Object:
        if write.subresource == "scale":
            obj = scaled(kind, old, obj)
        return admit_update(kind, old, obj, write)

    async def modify(
        self,
        resource: str,
        namespace: str | None,
        name: str,
        change: Callable[[Object], Object | None],
        *,
        subresource: str | None = None,
        manager: str = "windlass",
    ) -> Object | None:
        """Read, hand a copy to `change`, write what it returns; None means no change.

        Nothing comes between the reading and the writing, so `change` must be quick and is called once.
        """
        kind, write = resource_of(resource), Write(manager, subresource)
        unchanged = False

        def decide(old: Object) -> Object:
            nonlocal unchanged
            new = change(copy_of(old))
            unchanged = new is None
            return old if new is None else self._replaced(kind, old, new, write)

        stored = await self._change(kind, namespace, name, decide, write)
        return None if unchanged else stored.obj

    async def patch(
        self,
        resource: str,
        namespace: str | None,
        name: str,
        patch: Any,
        kind: str,
        *,
        subresource: str | None = None,
        manager: str = "windlass",
        force: bool = False,
        dry_run: bool = False,
    ) -> Object:
        """Patch an object. `kind`: json (RFC 6902), merge (RFC 7386), strategic, apply (server-side apply).

        Apply creates the object when it is missing; ConflictError names the managers that own what would change.
        """
        write = Write(manager, subresource, force, dry_run)
        return (await self.patch_with(resource, namespace, name, patch, kind=kind, write=write)).obj

    async def patch_with(
        self, resource: str, namespace: str | None, name: str, patch: Any, *, kind: str, write: Write
    ) -> Stored:
        """`patch` with all options."""
        target = resource_of(resource)
        if kind == "apply" and write.subresource != "scale":
            return await self._apply(target, namespace, name, patch, write)

        def decide(old: Object) -> Object:
            base = scale_of(old) if write.subresource == "scale" else old
            return self._replaced(target, old, _patched(target, base, patch, kind), write)

        return await self._change(target, namespace, name, decide, write)

    async def _apply(
        self, kind: Resource, namespace: str | None, name: str, config: Any, write: Write
    ) -> Stored:
        config = _named(config, namespace if kind.namespaced else None, name)

        def decide() -> tuple[Stored | None, Object]:
            old = self.stored(kind.key, namespace, name) if self.has(kind.key, namespace, name) else None
            if old is None and write.subresource:
                raise NotFoundError.of(kind.key, name)
            new = admit_apply(kind, old.obj if old else None, config, write)
            return old, new if old else self._new(kind, new)

        return await self._write(kind, decide, write)

    async def delete(
        self,
        resource: str,
        namespace: str | None,
        name: str,
        *,
        uid: str | None = None,
        grace: float | None = None,
        propagation: str | None = None,
        version: str | None = None,
        dry_run: bool = False,
    ) -> Object:
        """Delete an object, or mark it (deletionTimestamp) while finalizers or a pod's grace period hold it.

        A pod that is bound to a node stays until the node deletes it with `grace=0`. `propagation`: Background
        (default), Foreground, Orphan. `uid` and `version` (resourceVersion) are preconditions (ConflictError).
        Returns the last state; it is gone when that bears no deletionTimestamp or nothing holds it.
        """
        kind = resource_of(resource)

        def decide(old: Object) -> Object | None:
            deletion.check(kind, old, uid, version)
            return deletion.marked(kind, old, grace, propagation)

        return (await self._change(kind, namespace, name, decide, Write(dry_run=dry_run))).obj

    async def finalize_namespace(self, name: str) -> None:
        """Let go of a namespace that is being deleted and empty."""
        await self._change(
            resource_of("namespaces"), None, name, lambda old: {**old, "spec": {"finalizers": []}}, Write()
        )

    async def _change(
        self,
        kind: Resource,
        namespace: str | None,
        name: str,
        decide: Callable[[Object], Object | None],
        write: Write,
    ) -> Stored:
        """Change an object that must be there. `decide` returns it as it becomes; itself or None: as is, or gone."""

        def step() -> tuple[Stored, Object | None]:
            old = self.stored(kind.key, namespace, name)
            return old, decide(old.obj)

        return await self._write(kind, step, write)

    async def _write(
        self, kind: Resource, decide: Callable[[], tuple[Stored | None, Object | None]], write: Write
    ) -> Stored:
        task = asyncio.get_running_loop().create_task(self._commit(kind, decide, write))
        self._writing.add(task)
        task.add_done_callback(self._written)
        return await asyncio.shield(task)

    def _written(self, task: asyncio.Task[Stored]) -> None:
        self._writing.discard(task)
        if not task.cancelled():
            task.exception()  # its caller has it, unless that was cancelled

    async def _commit(
        self, kind: Resource, decide: Callable[[], tuple[Stored | None, Object | None]], write: Write
    ) -> Stored:
        """Decide and commit with nothing in between; then memory, then watchers."""
        async with self._lock:
            old, new = decide()
            if old is not None and new is old.obj:
                return old
            gone = new is None or (old is not None and deletion.is_over(kind, new))
            change = self._as_change(kind, old, old.obj if new is None and old else new or {}, gone=gone)
            if write.dry_run:
                return _dry(change, old)
            await self._storage.write(change, write.manager)
            self._take(change)
            return change.after

    def _as_change(self, kind: Resource, old: Stored | None, obj: Object, *, gone: bool) -> Change:
        version = self._version + 1
        meta = obj["metadata"]
        obj = {**obj, "metadata": {**meta, "resourceVersion": str(version)}}
        stored = Stored(obj, encode(obj), version)
        verb = "DELETED" if gone else "MODIFIED" if old else "ADDED"
        return Change(verb, kind.key, meta.get("namespace", ""), meta["name"], old, stored)


def _named(config: Any, namespace: str | None, name: str) -> Object:
    if not isinstance(config, dict):
        raise BadRequestError("an applied configuration is a JSON object")
    meta = dict(config.get("metadata") or {})
    for key, value in (("name", name), ("namespace", namespace)):
        if value is not None and meta.get(key) not in {None, "", value}:
            raise BadRequestError(
                f"metadata.{key} of the object ({meta[key]}) does not match the URL ({value})"
            )
        if value is not None:
            meta[key] = value
    return {**config, "metadata": meta}


def _patched(kind: Resource, base: Object, patch: Any, how: str) -> Object:
    match how:
        case "json":
            new = json_patch(base, patch)
        case "merge":
            new = merge_patch(base, patch)
        case "strategic" if kind.merges:
            if not isinstance(patch, dict):
                raise BadRequestError("a strategic merge patch is a JSON object")
            new = strategic_merge(base, patch, shape_of(kind.type))
        case _:
            raise MethodNotAllowedError(f"{kind.key} cannot be patched by {how!r}")
    return new if isinstance(new, dict) else {}


def _dry(change: Change, old: Stored | None) -> Stored:
    """Show what a write would have made, without a version of its own."""
    meta = dict(change.after.obj["metadata"])
    if old is None:
        meta.pop("resourceVersion")
    else:
        meta["resourceVersion"] = old.obj["metadata"]["resourceVersion"]
    obj = {**change.after.obj, "metadata": meta}
    return Stored(obj, encode(obj), change.after.version)
