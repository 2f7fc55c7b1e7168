"""Lifecycle hooks: postStart and preStop by exec, httpGet or sleep."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from windlass.kube.local.node.probing import Answer, execute, http_get

if TYPE_CHECKING:
    from windlass.engine.port import Engine
    from windlass.kube.local.controllers.meta import Object


async def run_hook(
    engine: Engine, container: str, handler: Object, place: tuple[str, int] | None, limit: float
) -> Answer:
    """Run a hook for at most `limit` seconds; `place` is where its httpGet goes."""
    if handler.get("exec"):
        return await execute(engine, container, handler["exec"]["command"], limit)
    if handler.get("httpGet"):
        if place is None:
            return Answer(ok=False, said="httpGet: its port cannot be reached")
        return await http_get(handler["httpGet"], place, f"{place[0]}:{place[1]}", limit)
    if handler.get("sleep"):
        await anyio.sleep(min(limit, float(handler["sleep"]["seconds"])))
        return Answer(ok=True, said="slept")
    return Answer(ok=False, said=f"handlers of this kind are not supported: {sorted(handler)}")
