"""Images by command line: fetch, send, look up, name, import."""

from __future__ import annotations

import contextlib
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from windlass.engine.cli import argv as vectors
from windlass.engine.cli.core import Core, check_image
from windlass.engine.cli.failures import failure
from windlass.engine.cli.follow import LineSink
from windlass.engine.errors import EngineError, ImageNotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from windlass.engine.port import ImageInfo

_DIGEST = re.compile(r"digest: (sha256:[0-9a-f]{64})")


class ImageCommands(Core):
    """The image half of `Engine`."""

    async def pull(
        self, image: str, *, auth_file: Path | None = None, tls_verify: bool = True, timeout: float = 600
    ) -> ImageInfo:
        """Fetch an image."""
        if "@sha256:" in check_image(image) and (present := await self.image(image)):
            return present
        attempted = f"pull {image}"
        with self.auth(auth_file) as auth:
            command = vectors.pull(self.tool, image, auth_file=auth, tls_verify=tls_verify)
            await self.must(attempted, command, timeout=timeout)
        if (fetched := await self.image(image)) is None:
            raise ImageNotFoundError(attempted, stderr="the engine reports success, yet has no such image")
        return fetched

    async def push(
        self,
        image: str,
        destination: str,
        *,
        auth_file: Path | None = None,
        tls_verify: bool = True,
        on_line: Callable[[str], None] | None = None,
        timeout: float = 600,
    ) -> str:
        """Send an image."""
        check_image(image)
        renamed = self.name == "docker" and image != check_image(destination)
        if renamed:
            await self.tag(image, destination)
        try:
            return await self._push(
                image, destination, auth_file=auth_file, tls_verify=tls_verify,
                sink=LineSink(on_line), timeout=timeout,
            )  # fmt: skip
        finally:
            if renamed:
                await self.image_remove(destination)

    async def _push(
        self,
        image: str,
        destination: str,
        *,
        auth_file: Path | None,
        tls_verify: bool,
        sink: LineSink,
        timeout: float,
    ) -> str:
        attempted = f"push {image} to {destination}"
        with self.auth(auth_file) as auth, tempfile.TemporaryDirectory() as scratch:
            file = Path(scratch) / "digest"
            command = vectors.push(
                self.tool, image, destination, auth_file=auth, tls_verify=tls_verify, digest_file=file
            )
            done = await self.run_tool(attempted, command, timeout=timeout, sink=sink)
            sink.close()
            if done.returncode:
                raise failure(attempted, sink.text)
            if file.exists():
                return file.read_text(encoding="ascii").strip()
        if found := _DIGEST.search(sink.text):
            return found[1]
        raise EngineError(attempted, stderr=sink.text, remedy="the engine named no digest: see its version")

    async def tag(self, image: str, name: str) -> None:
        """Name an image."""
        await self.ask(f"tag {image} as {name}", "tag", check_image(image), check_image(name))

    async def image_remove(self, image: str) -> None:
        """Remove an image's name."""
        with contextlib.suppress(ImageNotFoundError):
            await self.ask(f"remove image {image}", "rmi", check_image(image))

    async def import_image(self, tar: Path, name: str, changes: Sequence[str] = ()) -> str:
        """Import a root file system."""
        attempted = f"import {tar} as {check_image(name)}"
        await self.must(attempted, vectors.import_image(self.tool, tar, name, changes), timeout=600)
        if (image := await self.image(name)) is None:
            raise ImageNotFoundError(attempted)
        return image.id
