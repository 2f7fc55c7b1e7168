"""A small agent that needs no network: it plans out loud, one token at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

THOUGHTS = "First look at what is asked : {prompt} . Then do the smallest step that helps . Done ."


async def think(prompt: str, delay: float = 0.01) -> AsyncIterator[str]:
    """Yield tokens, `delay` seconds apart."""
    for token in THOUGHTS.format(prompt=prompt).split():
        yield token
        await asyncio.sleep(delay)
