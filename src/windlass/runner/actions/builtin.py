"""All built-in actions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from windlass.runner.actions import (
    artifacts,
    build,
    cache,
    checkout,
    codecov,
    docker,
    download,
    gate,
    metadata,
    node,
    publish,
    python,
    scripts,
    tools,
    uv,
)

if TYPE_CHECKING:
    from windlass.runner.actions.base import Action

ACTIONS: tuple[Action, ...] = (
    checkout.Checkout(),
    uv.SetupUv(),
    python.SetupPython(),
    node.SetupNode(),
    cache.Cache(),
    cache.Restore(),
    cache.Save(),
    artifacts.Upload(),
    download.Download(),
    download.Merge(),
    docker.Login(),
    docker.SetupBuildx(),
    docker.SetupQemu(),
    metadata.Metadata(),
    build.BuildPush(),
    codecov.Codecov(),
    scripts.GithubScript(),
    scripts.Ruff(),
    scripts.PreCommit(),
    gate.AllsGreen(),
    publish.PypiPublish(),
    tools.KUBECTL,
    tools.KUSTOMIZE,
    tools.HELM,
)
