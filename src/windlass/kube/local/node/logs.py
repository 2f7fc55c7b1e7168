"""Logs of containers: from the engine while it has them, from the archive after that."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections import deque
from contextlib import aclosing
from typing import TYPE_CHECKING

import anyio
import structlog

from windlass.engine.errors import EngineError
from windlass.kube.errors import BadRequestError, KubeError, NotFoundError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from windlass.engine.port import Engine

KEPT_SECONDS, KEPT_PODS, FILE_LIMIT = 24 * 3600.0, 200, 4 << 20
log = structlog.get_logger()


class Archive:
    """Logs of containers that are gone: `directory/NAMESPACE/POD/CONTAINER.ATTEMPT.log`, the end of each.

    Lines start with RFC 3339 and a space. The last `KEPT_PODS` pods of the last day are kept.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def _pod(self, namespace: str, pod: str) -> Path:
        return self._directory / namespace / pod

    async def save(self, engine: Engine, container: str, place: tuple[str, str, str, int]) -> None:
        """Keep the end of a container's log. A log that cannot be read is said in the log of the server."""
        namespace, pod, name, attempt = place
        lines: deque[bytes] = deque()
        size = 0
        try:
            async with aclosing(engine.logs(container, timestamps=True)) as output:
                async for line in output:
                    lines.append(line)
                    size += len(line)
                    while size > FILE_LIMIT:
                        size -= len(lines.popleft())
        except EngineError as error:
            log.info("log not kept", pod=pod, container=name, error=str(error))
            if not lines:
                return
        directory = self._pod(namespace, pod)
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        (directory / f"{name}.{attempt}.log").write_bytes(b"".join(lines))

    def find(self, namespace: str, pod: str, container: str, *, previous: bool = False) -> Path | None:
        """Return the file of the last attempt, or of the one before it."""
        files = list(self._pod(namespace, pod).glob(f"{container}.*.log"))
        files.sort(key=lambda file: int(file.name.rsplit(".", 2)[1]))
        index = 2 if previous else 1
        return files[-index] if len(files) >= index else None

    def clean(self) -> None:
        """Delete what is too old or too much."""
        with contextlib.suppress(FileNotFoundError):
            pods = sorted(self._directory.glob("*/*"), key=lambda path: path.stat().st_mtime, reverse=True)
            for index, path in enumerate(pods):
                if index >= KEPT_PODS or path.stat().st_mtime < time.time() - KEPT_SECONDS:
                    shutil.rmtree(path, ignore_errors=True)


async def archived(
    file: Path, *, tail: int | None, since: float | None, timestamps: bool
) -> AsyncGenerator[bytes, None]:
    """Yield an archived log as the engine would."""
    lines = (await anyio.to_thread.run_sync(file.read_bytes)).splitlines(keepends=True)
    if since is not None:
        edge = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(since)).encode()
        lines = [line for line in lines if line[:19] >= edge]
    if tail is not None:
        lines = lines[len(lines) - min(tail, len(lines)) :]
    for line in lines:
        yield line if timestamps else line.partition(b" ")[2]


async def read(
    engine: Engine, container: str, *, follow: bool, tail: int | None, since: float, timestamps: bool
) -> AsyncGenerator[bytes, None]:
    """Yield a container's log from the engine; its errors are the API's."""
    try:
        lines = engine.logs(container, follow=follow, tail=tail, since=since, timestamps=timestamps)
        async with aclosing(lines):
            async for line in lines:
                yield line
    except EngineError as error:
        raise UnavailableError(str(error)) from error


def no_log(pod: str, container: str, waiting: str | None, *, previous: bool) -> KubeError:
    """Return the error for a log that is not there; `waiting` None: there is no such pod."""
    if waiting is None:
        return NotFoundError.of("pods", pod)
    if previous:
        return BadRequestError(f'previous terminated container "{container}" in pod "{pod}" not found')
    return BadRequestError(f'container "{container}" in pod "{pod}" is waiting to start: {waiting}')
