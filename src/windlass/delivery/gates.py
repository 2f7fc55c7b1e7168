"""Opening and closing pods to traffic: the condition behind their readiness gate."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from windlass.delivery import marks
from windlass.kube import NotFoundError

if TYPE_CHECKING:
    from windlass.delivery.mirror import Mirror
    from windlass.delivery.rollout import Pod
    from windlass.kube import Kube


class Gates:
    """Writes the traffic condition into pods' status."""

    def __init__(self, kube: Kube, mirror: Mirror) -> None:
        self._kube = kube
        self._mirror = mirror

    async def set(self, pod: Pod, *, open_: bool) -> None:
        """Open or close a pod; one that is gone meanwhile needs neither."""
        condition = {
            "type": marks.TRAFFIC,
            "status": "True" if open_ else "False",
            "reason": "Open" if open_ else "Closed",
            "message": "windlass gives it traffic" if open_ else "windlass gives it no traffic",
            "lastTransitionTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        patch = {"metadata": {"uid": pod.uid}, "status": {"conditions": [condition]}}
        try:
            found = await self._kube.patch(
                "v1/Pod",
                pod.name,
                pod.namespace,
                patch,
                kind="strategic",
                subresource="status",
                manager=marks.MANAGER,
            )
        except NotFoundError:
            return
        self._mirror.wrote(found)
