"""What lies about after a time in which nobody looked: containers and directories without pods, forgotten networks."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import structlog

from windlass.engine.errors import EngineError
from windlass.kube.local.node.names import (
    CONTAINER,
    INSTANCE,
    NAMESPACE,
    POD,
    attempt_of,
    removal_order,
)

if TYPE_CHECKING:
    from collections.abc import Container as Holding
    from pathlib import Path

    from windlass.engine.port import Container, Engine
    from windlass.kube.local.node.logs import Archive

STOP_SECONDS = 10
log = structlog.get_logger()


async def end_orphans(engine: Engine, archive: Archive, uid: str, containers: list[Container]) -> None:
    """End containers whose pod was deleted, as it would have been: their logs are kept."""
    for container in removal_order(containers):
        log.info("ending a container without a pod", container=container.name, pod=uid)
        labels = container.labels
        place = (labels.get(NAMESPACE, ""), labels.get(POD, ""), labels.get(CONTAINER, ""))
        try:
            await engine.stop(container.id, STOP_SECONDS)
            await archive.save(engine, container.id, (*place, attempt_of(container)))
            await engine.remove(container.id)
        except EngineError as error:
            log.warning("container not removed", container=container.name, error=str(error))


def remove_strays(directory: Path, known: Holding[str]) -> None:
    """Remove the directories of pods that are not known by their uid."""
    for path in directory.iterdir() if directory.exists() else ():
        if path.name not in known:
            shutil.rmtree(path, ignore_errors=True)


async def networked(engine: Engine, instance: str) -> set[str]:
    """Return the namespaces that have a network; none, with a word in the log, where the engine does not tell."""
    try:
        networks = await engine.networks({INSTANCE: instance})
    except EngineError as error:
        log.warning("networks not looked at; they go at the next start", error=str(error))
        return set()
    return {network.labels[NAMESPACE] for network in networks if network.labels.get(NAMESPACE)}
