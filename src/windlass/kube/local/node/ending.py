"""The end of a pod: out of the edge, drained, preStop, SIGTERM, SIGKILL, log kept, removed, object finalised."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import anyio
import structlog

from windlass.engine.errors import EngineError
from windlass.kube.errors import KubeError
from windlass.kube.local.controllers.effects import EVENT_NORMAL
from windlass.kube.local.controllers.meta import name_of, namespace_of, uid_of
from windlass.kube.local.node.names import CONTAINER, POD_UID, attempt_of, removal_order

if TYPE_CHECKING:
    from windlass.engine.port import Container
    from windlass.kube.local.controllers.meta import Object
    from windlass.kube.local.node.worker import PodWorker

DEFAULT_GRACE = 30.0
log = structlog.get_logger()


async def terminate(worker: PodWorker) -> None:
    """End a pod gracefully. Safe to begin again: what is done already is found done."""
    pod, node = worker.pod, worker.node
    await worker.close_probes()
    running = [item for item in worker.known.values() if item.state == "running"]
    if running:
        await node.drained(namespace_of(pod), name_of(pod))
    grace = pod["metadata"].get("deletionGracePeriodSeconds")
    async with anyio.create_task_group() as group:
        for item in running:
            group.start_soon(_end, worker, item, DEFAULT_GRACE if grace is None else float(grace))
    await destroy(worker)
    with contextlib.suppress(KubeError):
        await node.objects.delete("pods", namespace_of(pod), name_of(pod), uid=uid_of(pod), grace=0)


async def _end(worker: PodWorker, container: Container, grace: float) -> None:
    name = container.labels.get(CONTAINER, "")
    worker.node.tell(worker.pod, EVENT_NORMAL, "Killing", f"Stopping container {name}")
    spec: Object = next((item for item in worker.specs() if item["name"] == name), {})
    try:
        await worker.stop(spec, container.id, grace)
    except EngineError as error:  # removing it ends it as well
        log.warning("container not stopped", container=container.name, error=str(error))


async def destroy(worker: PodWorker) -> None:
    """Keep the logs, then remove containers and files."""
    pod, node = worker.pod, worker.node
    for container in removal_order(await node.engine.list({POD_UID: uid_of(pod)})):
        name = container.labels.get(CONTAINER, "")
        place = (namespace_of(pod), name_of(pod), name, attempt_of(container))
        await node.archive.save(node.engine, container.id, place)
        await node.engine.remove(container.id)
    worker.known.clear()
    await anyio.to_thread.run_sync(node.remove_files, uid_of(pod))
