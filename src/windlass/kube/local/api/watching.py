"""Watches: one chunked answer that lasts, with bookmarks, in JSON or as tables."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import anyio

from windlass.kube.errors import GoneError, KubeError
from windlass.kube.local.api import events, tables
from windlass.kube.local.api.calls import JSON, Call
from windlass.kube.local.storage import encode
from windlass.kube.local.views import seen_as
from windlass.kube.selectors import selects

if TYPE_CHECKING:
    from collections.abc import Callable

    from windlass.kube.local.api.routes import Target
    from windlass.kube.local.history import Change, Stored, Subscription
    from windlass.kube.local.objects import Objects

Object = dict[str, Any]
BOOKMARK_SECONDS = 60.0
LONGEST = 3600.0
DEFAULT = 1800.0
PIECE = 200  # events in one chunk, so that a slow reader is noticed


class Watch:
    """One watch of one client."""

    def __init__(self, call: Call, objects: Objects, target: Target) -> None:
        self._call, self._objects, self._target = call, objects, target
        fields = events.field_selector(target.resource, call.query.get("fieldSelector"))
        if target.name:
            fields = ",".join(filter(None, (fields, f"metadata.name={target.name}")))
        self._labels, self._fields = call.query.get("labelSelector"), fields
        self._chosen: Callable[[Object], bool] = selects(self._labels, fields)
        self._as = tables.wanted(call.accept)
        self._headed = True
        self._bookmarks = call.flag("allowWatchBookmarks")

    async def run(self) -> None:
        """Answer until the client leaves, its timeout is over, or it falls behind (410)."""
        version = self._call.query.get("resourceVersion") or None
        initial = self._call.query.get("sendInitialEvents")
        everything = self._call.flag("sendInitialEvents") if initial else version in {None, "0"}
        since = None if everything else version
        key = events.stored_as(self._target.resource)
        seconds = min(LONGEST, float(self._call.number("timeoutSeconds") or DEFAULT))
        async with self._objects.subscribe(key, since) as subscription:
            first = self._initial(ended=bool(initial) and everything) if everything else []
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._until_gone, tasks.cancel_scope)
                await self._start()
                await self._send(first)
                await self._follow(subscription, time.monotonic() + seconds)
                tasks.cancel_scope.cancel()
        await self._call.send({"type": "http.response.body", "body": b""})

    async def _until_gone(self, scope: anyio.CancelScope) -> None:
        while (await self._call.receive())["type"] != "http.disconnect":
            pass
        scope.cancel()

    async def _start(self) -> None:
        headers = [(b"content-type", JSON), (b"cache-control", b"no-cache, private")]
        await self._call.send({"type": "http.response.start", "status": 200, "headers": headers})
        await self._call.send({"type": "http.response.body", "body": b"", "more_body": True})

    def _initial(self, *, ended: bool) -> list[bytes]:
        entries = self._objects.stored_list(
            events.stored_as(self._target.resource), self._target.namespace, self._labels, self._fields
        )
        found = [self._event("ADDED", stored) for _, stored in entries]
        if ended and self._bookmarks:
            found.append(self._bookmark(initial=True))
        return found

    async def _follow(self, subscription: Subscription, end: float) -> None:
        while (left := end - time.monotonic()) > 0:
            with anyio.move_on_after(min(left, BOOKMARK_SECONDS)) as waiting:
                try:
                    changes = await subscription.take()
                except GoneError as error:
                    await self._send([_line("ERROR", encode(error.to_status()))])
                    return
            if not waiting.cancelled_caught:
                await self._send([line for change in changes if (line := self._seen(change))])
            elif self._bookmarks and subscription.idle and left > BOOKMARK_SECONDS:
                await self._send([self._bookmark()])

    def _seen(self, change: Change) -> bytes | None:
        kind = seen_as(change, self._target.namespace, self._chosen)
        return self._event(kind, change.after) if kind else None

    def _event(self, kind: str, stored: Stored) -> bytes:
        resource = self._target.resource
        if self._as == "Table":
            meta = {"resourceVersion": str(stored.version)}
            include = self._call.query.get("includeObject", "Metadata")
            shown = tables.table(resource, [stored], meta, include=include, headed=self._headed)
            self._headed = False
            return _line(kind, encode(shown))
        if self._as:
            return _line(kind, encode(tables.metadata_of(stored.obj)))
        return _line(kind, events.encoded(resource, stored))

    def _bookmark(self, *, initial: bool = False) -> bytes:
        resource = self._target.resource
        meta: Object = {"resourceVersion": self._objects.version, "creationTimestamp": None}
        if initial:
            meta["annotations"] = {"k8s.io/initial-events-end": "true"}
        bare: Object = {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": meta}
        if self._as == "Table":
            row = {"cells": [], "object": tables.metadata_of(bare)}
            head = {
                "kind": "Table",
                "apiVersion": "meta.k8s.io/v1",
                "metadata": meta,
                "columnDefinitions": [],
            }
            return _line("BOOKMARK", encode({**head, "rows": [row]}))
        if self._as:
            return _line("BOOKMARK", encode(tables.metadata_of(bare)))
        return _line("BOOKMARK", encode(bare))

    async def _send(self, lines: list[bytes]) -> None:
        for start in range(0, len(lines), PIECE):
            body = b"".join(lines[start : start + PIECE])
            await self._call.send({"type": "http.response.body", "body": body, "more_body": True})


def _line(kind: str, encoded: bytes) -> bytes:
    return b'{"type":"' + kind.encode() + b'","object":' + encoded + b"}\n"


async def watch(call: Call, objects: Objects, target: Target) -> None:
    """Answer a watch. What is wrong before it starts is raised; a version that is too old is said in the stream."""
    try:
        await Watch(call, objects, target).run()
    except GoneError as error:
        headers = [(b"content-type", JSON)]
        await call.send({"type": "http.response.start", "status": 200, "headers": headers})
        await call.send({"type": "http.response.body", "body": _line("ERROR", encode(error.to_status()))})
    except BaseExceptionGroup as group:
        errors = group.subgroup(KubeError)
        raise (errors.exceptions[0] if errors else group) from None
