"""Images of pods: which name is asked of which registry, and pulls that run once for all who wait."""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import structlog

from windlass.engine.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from windlass.engine.port import Engine, ImageInfo

FIRST_DELAY, LONGEST_DELAY = 10.0, 300.0
PARALLEL = 4
LOOPBACK = re.compile(r"(127\.\d+\.\d+\.\d+|localhost|\[::1\])(:\d+)?")
log = structlog.get_logger()


def parse(image: str) -> tuple[str, str]:
    """Split an image's name into registry and the rest, with Docker's defaults."""
    host, slash, rest = image.partition("/")
    if slash and ("." in host or ":" in host or host == "localhost"):
        return host, rest
    return "docker.io", image if slash else f"library/{image}"


def mirrored(image: str, mirrors: Mapping[str, str]) -> str:
    """Return the name under which the image is fetched: `ghcr.io/a/b@D` becomes `127.0.0.1:8700/a/b@D`."""
    registry, rest = parse(image)
    return f"{mirrors[registry]}/{rest}" if registry in mirrors else image


def repository(image: str) -> str:
    """Return the name without tag and digest."""
    name = image.partition("@")[0]
    head, slash, last = name.rpartition("/")
    return f"{head}{slash}{last.partition(':')[0]}"


def default_policy(image: str) -> str:
    """Return `Always` for the tag latest or none, as in Kubernetes, else `IfNotPresent`."""
    if "@" in image:
        return "IfNotPresent"
    tag = image.rpartition("/")[2].partition(":")[2]
    return "Always" if tag in {"", "latest"} else "IfNotPresent"


@dataclass(frozen=True, slots=True)
class Pull:
    """How it stands with an image: `info` when it is there, `error` when the last attempt failed."""

    name: str
    info: ImageInfo | None = None
    error: str = ""
    retry_at: float = 0.0
    failures: int = 0
    seconds: float = 0.0
    fetched: bool = False


class Images:
    """The images of this node. `changed` is called whenever a pull has ended."""

    def __init__(
        self,
        engine: Engine,
        *,
        mirrors: Mapping[str, str],
        auth_file: Path | None,
        changed: Callable[[], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._engine = engine
        self._mirrors = mirrors
        self._auth_file = auth_file
        self._changed = changed
        self._clock = clock
        self._pulls: dict[str, Pull] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._local: dict[str, ImageInfo] = {}
        self._slots = asyncio.Semaphore(PARALLEL)

    def name(self, image: str) -> str:
        """Return the name under which the engine has the image."""
        return mirrored(image, self._mirrors)

    async def local(self, image: str) -> ImageInfo | None:
        """Look whether the engine has the image."""
        known = self._local.get(image)
        if known is not None:
            return known
        info = await self._engine.image(mirrored(image, self._mirrors))
        if info is not None and "@" in image:  # a digest stands for the same image for ever
            self._local[image] = info
        return info

    def state(self, image: str) -> Pull | None:
        """Return how the last pull ended, None when there was none."""
        return self._pulls.get(image)

    def pulling(self, image: str) -> bool:
        """Whether a pull is under way."""
        return image in self._tasks

    def request(self, image: str) -> bool:
        """Pull in the background unless that is under way or waits for its next attempt; True if it was begun."""
        last = self._pulls.get(image)
        if image in self._tasks or (last is not None and last.error and last.retry_at > self._clock()):
            return False
        self._tasks[image] = asyncio.get_running_loop().create_task(self._pull(image))
        return True

    def lost(self, image: str) -> None:
        """Somebody has removed the image from the engine: look again, and pull it again."""
        self._local.pop(image, None)
        self.forget(image)

    def forget(self, image: str) -> None:
        """Let the next container with `imagePullPolicy: Always` ask the registry again."""
        if image not in self._tasks and not (self._pulls.get(image) or Pull("")).error:
            self._pulls.pop(image, None)

    async def _pull(self, image: str) -> None:
        name = mirrored(image, self._mirrors)
        last = self._pulls.get(image) or Pull(name)
        began = self._clock()
        verify = LOOPBACK.fullmatch(parse(name)[0]) is None
        try:
            async with self._slots:
                info = await self._engine.pull(name, auth_file=self._auth_file, tls_verify=verify)
            self._pulls[image] = Pull(name, info, seconds=self._clock() - began, fetched=True)
        except EngineError as error:
            delay = min(LONGEST_DELAY, FIRST_DELAY * 2**last.failures)
            failed = replace(last, info=None, error=str(error), failures=last.failures + 1)
            self._pulls[image] = replace(failed, retry_at=self._clock() + delay)
            log.info("image not pulled", image=image, mirror=name, error=str(error))
        finally:
            self._tasks.pop(image, None)
            self._changed()

    async def close(self) -> None:
        """Cancel what is under way."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
