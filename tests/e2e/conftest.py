from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from e2e.scene import Scene, stage

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """A server with a tiny service live on it, and users who never stop asking."""
    with stage(tmp_path_factory.mktemp("kill")) as made:
        yield made
