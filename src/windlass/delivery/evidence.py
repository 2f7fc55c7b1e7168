"""Keeping what a bad candidate said, before it is gone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio

from windlass.kube import KubeError
from windlass.manifests import dig

if TYPE_CHECKING:
    from collections.abc import Sequence

    from windlass.delivery.book import Book
    from windlass.delivery.mirror import Mirror
    from windlass.delivery.rollout import Pod
    from windlass.delivery.trails import Trails
    from windlass.kube import Kube
    from windlass.manifests import Object

LINES = 100
LINE_LENGTH = 2000
PATIENCE = 2.0
MAX_PODS = 10
POD = ("", "Pod")


class Collector:
    """Collects the candidates' logs, answers and events within a few seconds."""

    def __init__(self, kube: Kube, mirror: Mirror, book: Book, trails: Trails) -> None:
        self._kube = kube
        self._mirror = mirror
        self._book = book
        self._trails = trails

    async def collect(self, delivery: int, pods: Sequence[Pod]) -> None:
        """Keep what there is; what cannot be read is noted as such. The pod that failed comes first."""
        first = sorted(pods, key=lambda pod: (not pod.failure, pod.name))[:MAX_PODS]
        logs: list[tuple[str, Any]] = []
        events: list[tuple[str, Any]] = []

        async def one(pod: Pod) -> None:
            logs.extend(await self._logs(pod))
            events.extend([(pod.name, found)] if (found := await self._events(pod)) else [])

        with anyio.move_on_after(PATIENCE):
            async with anyio.create_task_group() as tasks:
                for pod in first:
                    tasks.start_soon(one, pod)
        order = {pod.name: number for number, pod in enumerate(first)}
        logs.sort(key=lambda row: order.get(row[0].split("/")[0], MAX_PODS))
        await self._book.add_evidence(delivery, "log", logs)
        await self._book.add_evidence(delivery, "events", events)
        answers = [(pod.name, found) for pod in first if (found := self._trails.answers(pod.uid))]
        await self._book.add_evidence(delivery, "answers", answers)

    async def _logs(self, pod: Pod) -> list[tuple[str, Any]]:
        live = self._mirror.get(POD, pod.namespace, pod.name) or {}
        statuses = dig(live, "status", "containerStatuses") or []
        found = []
        for container in dig(live, "spec", "containers") or []:
            name = str(container.get("name"))
            restarts = next((s.get("restartCount") or 0 for s in statuses if s.get("name") == name), 0)
            lines = await self._log(pod, name, previous=False)
            if not lines and restarts:
                lines = await self._log(pod, name, previous=True)
            found.append((f"{pod.name}/{name}", lines))
        return found

    async def _log(self, pod: Pod, container: str, *, previous: bool) -> list[str]:
        text = bytearray()
        try:
            async for piece in self._kube.logs(
                pod.namespace, pod.name, container, tail=LINES, previous=previous
            ):
                text += piece
        except KubeError as error:
            return [] if previous else [f"(the log cannot be read: {error})"]
        return [line[:LINE_LENGTH] for line in text.decode(errors="replace").splitlines()[-LINES:]]

    async def _events(self, pod: Pod) -> list[Object]:
        try:
            found = await self._kube.list("v1/Event", pod.namespace, fields=f"involvedObject.name={pod.name}")
        except KubeError:
            return []
        rows = [
            {
                "type": event.get("type"),
                "reason": event.get("reason"),
                "message": event.get("message"),
                "count": event.get("count"),
                "at": event.get("lastTimestamp") or event.get("eventTime"),
            }
            for event in found.items
        ]
        return sorted(rows, key=lambda row: str(row["at"]))[-30:]
