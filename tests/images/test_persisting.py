"""Builds that met somebody who was tidying up."""

from __future__ import annotations

import pytest

from windlass.images.build import persist
from windlass.images.errors import BuildError

RACED = (
    "Error: checking if cached image exists from a previous build: getting top layer info: layer not known"
)


class Builds:
    """Fails with these words, one after the other, and then succeeds."""

    def __init__(self, *words: str) -> None:
        self.words = list(words)
        self.said: list[str] = []

    async def execute(self) -> str:
        if self.words:
            raise BuildError("The build failed.", lines=("STEP 1/2: FROM x", self.words.pop(0)))
        return "sha256:1"

    async def persist(self) -> str:
        return await persist(self.execute, self.said.append)


async def test_an_image_that_was_removed_meanwhile_fails_no_build() -> None:
    builds = Builds(RACED, RACED)
    assert await builds.persist() == "sha256:1"
    assert len(builds.said) == 2


async def test_what_fails_is_not_tried_again() -> None:
    builds = Builds("Error: building at STEP 2: exit status 1", "never asked")
    with pytest.raises(BuildError):
        await builds.persist()
    assert builds.words == ["never asked"]
    assert not builds.said


async def test_it_does_not_go_on_for_ever() -> None:
    with pytest.raises(BuildError):
        await Builds(*[RACED] * 10).persist()
