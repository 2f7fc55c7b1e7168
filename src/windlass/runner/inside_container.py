"""The sandbox of a job with `container:`: its steps are processes in the job's container."""

from __future__ import annotations

import os
import re
import secrets as random
import shlex
import signal
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING

from windlass.engine.cli import argv as vectors
from windlass.runner.errors import SandboxError
from windlass.runner.sandbox import HostProcess

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from windlass.engine.cli import Tool
    from windlass.runner.paths import Place

_START = 'echo $$ > "$0"; . "$0.env"; exec "$@"'
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_SIGNAL = 'pid=$(cat "$1"); kill -s "$2" -- "-$pid" 2>/dev/null || kill -s "$2" "$pid"'


class ContainerProcess(HostProcess):
    """The engine's client, which ends as the process in the container does."""

    def __init__(
        self, child: subprocess.Popen[bytes], sandbox: ContainerSandbox, file: str, variables: Path
    ) -> None:
        super().__init__(child)
        self._sandbox = sandbox
        self._file = file
        self._variables = variables

    def close(self) -> None:
        """Let go of the descriptor, and take away the variables, which later steps are not to read."""
        super().close()
        self._variables.unlink(missing_ok=True)

    def signal(self, number: int) -> None:
        """Signal the process group in the container; the client would keep it to itself."""
        self._sandbox.tell(["sh", "-c", _SIGNAL, "sh", self._file, signal.Signals(number).name[3:]])
        if number == signal.SIGKILL:
            super().signal(number)


class ContainerSandbox:
    """Runs processes in a container that is there already, and that somebody else removes."""

    name = "container"

    def __init__(self, tool: Tool, container: str, files: Place, *, user: str = "") -> None:
        self._tool = tool
        self._container = container
        self._files = files
        self._user = user

    def start(
        self, argv: Sequence[str], *, env: Mapping[str, str], cwd: str, output: int, source: int
    ) -> ContainerProcess:
        """Start a process in the container, under a small shell that writes down its number."""
        name = f".process_{random.token_hex(8)}"
        variables = self._files.host / f"{name}.env"
        _write(variables, exports(env))
        file = f"{self._files.inside}/{name}"
        child = self._client(["sh", "-c", _START, file, *argv], cwd, output=output, source=source)
        return ContainerProcess(child, self, file, variables)

    def tell(self, argv: Sequence[str]) -> None:
        """Run something small without waiting for it."""
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        try:
            with suppress(SandboxError):
                self._client(argv, "/", output=null, source=null)
        finally:
            os.close(null)

    def close(self) -> None:
        """Do nothing: with the container, the engine ends what is in it."""

    def wait(self) -> None:
        """Do nothing."""

    def _client(self, argv: Sequence[str], cwd: str, *, output: int, source: int) -> subprocess.Popen[bytes]:
        command = vectors.execute(
            self._tool, self._container, argv, env={}, stdin=True, user=self._user, workdir=cwd
        )
        try:
            return subprocess.Popen(
                command.argv,
                env={**os.environ, **command.env},
                stdin=source,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        except OSError as error:
            raise SandboxError(f"cannot start {command.argv[0]}: {error.strerror}") from error


def exports(env: Mapping[str, str]) -> str:
    """Return shell lines that set the variables; names that no shell takes are left out.

    A file, because what the job says must not get into the environment of the engine's client, which runs on
    the host, nor into its arguments, which others see.
    """
    return "".join(
        f"export {name}={shlex.quote(value)}\n" for name, value in env.items() if _NAME.match(name)
    )


def _write(path: Path, text: str) -> None:
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags, 0o600), "wb") as stream:
        stream.write(text.encode("utf-8", "surrogateescape"))
