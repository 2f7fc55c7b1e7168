"""Sending images to registries and fetching them, under the names their users know."""

from __future__ import annotations

from typing import TYPE_CHECKING

from windlass.engine.fake import FakeEngine
from windlass.engine.references import locate
from windlass.images.tiny import TinyImage, upload

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from windlass.engine.port import Engine, ImageInfo


async def push(
    engine: Engine,
    image: str,
    *,
    mirrors: Mapping[str, str],
    auth_file: Path | None = None,
    on_line: Callable[[str], None] | None = None,
) -> str:
    """Send a local image to the registry its name says, or to that one's mirror; returns the digest there.

    Raises `ReferenceSyntaxError` and the engine's errors. TLS is expected everywhere but on loopback.
    """
    place = locate(image, mirrors)
    if isinstance(engine, FakeEngine):
        await _send_tiny(engine, image, place.reference, auth_file)
    return await engine.push(
        image, place.reference, auth_file=auth_file, tls_verify=place.tls_verify, on_line=on_line
    )


async def pull(
    engine: Engine, image: str, *, mirrors: Mapping[str, str], auth_file: Path | None = None
) -> ImageInfo:
    """Fetch an image from the registry its name says, or from that one's mirror, and name it as it was asked for."""
    place = locate(image, mirrors)
    found = await engine.pull(place.reference, auth_file=auth_file, tls_verify=place.tls_verify)
    if place.reference != image and "@" not in image:
        await engine.tag(place.reference, image)
    return found


async def _send_tiny(engine: FakeEngine, image: str, destination: str, auth_file: Path | None) -> None:
    """Put what the fake built into a real registry, so that what reads registries needs to know of no fake."""
    info = await engine.image(image)
    made = engine.built.get(info.digest) if info else None
    if isinstance(made, TinyImage):
        await upload(made, destination, auth_file)
