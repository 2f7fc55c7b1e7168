"""`windlass down` against a real engine: what outlives a server is found by its labels."""

from __future__ import annotations

import shutil
import uuid
from typing import TYPE_CHECKING

import pytest

from windlass.engine.choose import podman
from windlass.kube.local.node.names import INSTANCE, NAMESPACE
from windlass.server.datadir import DataDirectory
from windlass.server.teardown import end_everything

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(shutil.which("podman") is None, reason="podman is not installed"),
]


async def test_networks_go_though_no_pod_is_left_in_them(tmp_path: Path) -> None:
    instance, other = f"t{uuid.uuid4().hex[:8]}", f"t{uuid.uuid4().hex[:8]}"
    directory = DataDirectory(tmp_path)
    directory.folder("keys").mkdir(parents=True, exist_ok=True)
    (directory.folder("keys") / "instance").write_text(instance, encoding="ascii")
    engine = podman()
    names = [f"windlass-{mark}-shop" for mark in (instance, other)]
    try:
        for name, mark in zip(names, (instance, other), strict=True):
            await engine.network_ensure(name, {INSTANCE: mark, NAMESPACE: "shop"})
        ended = await end_everything(directory, "podman")
        assert ended["containers"] == 0
        assert await engine.networks({INSTANCE: instance}) == []
        assert [network.name for network in await engine.networks({INSTANCE: other})] == [names[1]]
    finally:
        for name in names:
            await engine.network_remove(name)
        await engine.aclose()
