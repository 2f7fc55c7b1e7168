"""Runs git: a clean environment, a limit on what it may print, killed when the caller is cancelled."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from typing import TYPE_CHECKING

import anyio

from windlass.repos.errors import GitError, TooLargeError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from anyio.abc import ByteReceiveStream, ByteSendStream, Process

KEPT = (
    "PATH",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "http_proxy",
    "https_proxy",
    "HTTPS_PROXY",
    "no_proxy",
    "NO_PROXY",
    "TMPDIR",
)
OUTPUT_LIMIT = 64 << 20
ERROR_LIMIT = 16 << 10

BASE_CONFIG = {
    "safe.directory": "*",  # the data directory may belong to another user than root
    "core.quotePath": "false",
    "core.logAllRefUpdates": "always",  # the reflog tells who moved a ref when our record was lost
    "gc.auto": "0",
}


def config_environment(config: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the environment that gives git `config`, above every file and out of every argument vector."""
    variables: dict[str, str] = {}
    for number, (key, value) in enumerate(config):
        variables |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return {"GIT_CONFIG_COUNT": str(len(variables) // 2), **variables}


def environment(
    extra: Mapping[str, str] | None = None, config: Iterable[tuple[str, str]] = ()
) -> dict[str, str]:
    """Return the whole environment for git: nothing of the caller's configuration, no prompts, no replace refs."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    return {
        **kept,
        "HOME": "/nonexistent",
        "LC_ALL": "C.UTF-8",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_DEFAULT_REF_FORMAT": "files",
        **config_environment([*BASE_CONFIG.items(), *config]),
        **(extra or {}),
    }


async def start(argv: Sequence[str], env: Mapping[str, str], *, cwd: str | None = None) -> Process:
    """Start a process with pipes on all three streams, in a session of its own."""
    # Cancelled half-way, asyncio would lose a process that runs already: nobody could end it, or wait for it.
    with anyio.CancelScope(shield=True):
        process = await anyio.open_process(
            list(argv),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=env,
            cwd=cwd,
            start_new_session=True,
        )
    return process  # noqa: RET504 a scope may swallow exceptions, as far as mypy knows


def send_signal(process: Process, number: int) -> None:
    """Signal a process that may have ended just now.

    Its own `kill` looks first whether it has ended, and so takes the exit code away from asyncio, which then
    reports 255.
    """
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, number)


async def read_limited(stream: ByteReceiveStream | None, limit: int, *, strict: bool) -> bytes:
    """Read to the end; over `limit` bytes raise `TooLargeError` if `strict`, else drop what is more."""
    chunks: list[bytes] = []
    size = 0
    if stream is None:
        return b""
    async for chunk in stream:
        size += len(chunk)
        if size <= limit:
            chunks.append(chunk)
        elif strict:
            raise TooLargeError(f"git wrote more than {limit} bytes, the limit for this answer.")
    return b"".join(chunks)


async def _write(stream: ByteSendStream | None, data: bytes) -> None:
    if stream is None:
        return
    try:
        if data:
            await stream.send(data)
    except (anyio.BrokenResourceError, anyio.ClosedResourceError):
        return  # git did not want it; its exit code says why
    finally:
        await stream.aclose()


async def run(
    argv: Sequence[str],
    *,
    stdin: bytes = b"",
    env: Mapping[str, str] | None = None,
    accept: Iterable[int] = (0,),
    limit: int = OUTPUT_LIMIT,
) -> tuple[int, bytes]:
    """Run a command to its end and return exit code and output; `GitError` for a code not in `accept`."""
    outputs: dict[str, bytes] = {}

    async def collect(name: str, stream: ByteReceiveStream | None, size: int, *, strict: bool) -> None:
        outputs[name] = await read_limited(stream, size, strict=strict)

    too_large: TooLargeError | None = None
    async with await start(argv, environment() if env is None else env) as process:
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_write, process.stdin, stdin)
                tasks.start_soon(lambda: collect("err", process.stderr, ERROR_LIMIT, strict=False))
                await collect("out", process.stdout, limit, strict=True)
        except* TooLargeError as group:
            send_signal(process, signal.SIGKILL)
            too_large = TooLargeError(str(group.exceptions[0]))
        code = await process.wait()
    if too_large:
        raise too_large
    if code not in set(accept):
        message = outputs["err"].decode(errors="replace").strip()
        raise GitError(f"`{' '.join(argv[:6])}` ended with exit code {code}: {message or 'no message'}")
    return code, outputs["out"]
