"""The HAProxy process: started once, outlives the server, found again by its pid, started anew when dead."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import shutil
import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import anyio
import structlog

from windlass.kube.local.edge.errors import EdgeError, HaproxyMissingError, ReloadError, RuntimeSocketError
from windlass.kube.local.edge.runtime import Runtime

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

SOCKET_PATH_LIMIT = 80  # HAProxy appends to it, and the kernel takes 107
RELOAD_LIMIT = 10.0
RUN_LIMIT = 20.0
SECOND_LOOK = 0.03
T = TypeVar("T")
log = structlog.get_logger()


def start_argv(program: str, config: Path, pid_file: Path, master: Path) -> list[str]:
    """Master and worker in the background; the master's own socket tells its pid."""
    return [program, "-W", "-D", "-f", str(config), "-p", str(pid_file), "-S", f"{master},mode,600"]


def check_argv(program: str, config: Path) -> list[str]:
    """Check a file without binding anything."""
    return [program, "-c", "-q", "-f", str(config)]


def socket_directory(directory: Path) -> Path:
    """Where the sockets go: beside the configuration, or in a short private path where that is too long."""
    if len(str(directory)) <= SOCKET_PATH_LIMIT:
        return directory
    name = hashlib.sha256(str(directory).encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"windlass-edge-{os.getuid()}-{name}"


def _private(directory: Path) -> None:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if directory.stat().st_uid != os.getuid():
        raise EdgeError(f"{directory} belongs to somebody else; remove it or use a shorter data directory")
    directory.chmod(0o700)


async def _run(argv: list[str], output: Path) -> int:
    """Run to the end, in a session of its own, whoever is cancelled meanwhile: it takes a tenth of a second."""
    with output.open("wb") as file, anyio.CancelScope(shield=True):
        process = await asyncio.create_subprocess_exec(
            *argv, stdin=asyncio.subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True
        )
        try:
            async with asyncio.timeout(RUN_LIMIT):
                return await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
    return -1


def _end_of(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="replace")[-2000:]


class Haproxy:
    """One HAProxy and its files in `directory`. All methods are safe to repeat."""

    def __init__(self, directory: Path, program: str = "haproxy") -> None:
        self.directory = directory
        self.config = directory / "haproxy.cfg"
        sockets = socket_directory(directory)
        self.socket = sockets / "haproxy.sock"
        self._master = sockets / "master.sock"
        self._pid_file = directory / "haproxy.pid"
        self._program = program
        self._last: int | None = None
        self.runtime = Runtime(self.socket)

    def prepare(self) -> None:
        """Make the directories; raises HaproxyMissingError when there is no HAProxy."""
        if shutil.which(self._program) is None:
            raise HaproxyMissingError(HaproxyMissingError.__doc__)
        _private(self.directory)
        _private(self.socket.parent)

    def write(self, text: str) -> bool:
        """Replace the configuration file (0600) if it differs; True if it did."""
        with contextlib.suppress(FileNotFoundError):
            if self.config.read_text(encoding="utf-8") == text:
                return False
        fresh = self.config.with_suffix(".new")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        fresh.replace(self.config)
        return True

    def pid(self) -> int | None:
        """Return the master's pid, None when no HAProxy of ours runs.

        Asked of the process table, not of a socket: while the master re-executes itself for a reload its socket
        does not answer, and a second HAProxy on the same ports would serve what the first one served then.
        """
        for candidate in (self._noted(), self._last):
            if candidate is not None and self._is_ours(candidate):
                self._last = candidate
                return candidate
        return None

    def _noted(self) -> int | None:
        try:
            return int(self._pid_file.read_text(encoding="ascii"))
        except (OSError, ValueError):  # a reload is writing it just now
            return None

    def _is_ours(self, pid: int) -> bool:
        """Whether the process lives and is no stranger. In the middle of an exec it has no command line."""
        try:
            os.kill(pid, 0)
            if not Path("/proc/self").exists():
                return True
            state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return False
        if state in {"Z", "X"}:
            return False
        return str(self.config).encode() in command if command else pid == self._last

    async def start(self) -> int:
        """Start HAProxy with the present file unless it runs; returns the master's pid."""
        running = self.pid()
        if running is None and self._pid_file.exists():
            await asyncio.sleep(
                SECOND_LOOK
            )  # two of them on the same ports would be worse than a moment's delay
            running = self.pid()
        if running is not None:
            return running
        argv = start_argv(self._program, self.config, self._pid_file, self._master)
        log_file = self.directory / "haproxy.log"
        code = await _run(argv, log_file)
        pid = await self._until(self._pid_now, 5.0) if code == 0 else None
        if pid is None or await self._until(self._answers, 5.0) is None:
            raise EdgeError(f"HAProxy did not start (exit code {code}). It said: {_end_of(log_file)}")
        return pid

    async def _pid_now(self) -> int | None:
        return self.pid()

    async def _answers(self) -> dict[str, str] | None:
        try:
            return await self.runtime.info()
        except RuntimeSocketError:
            return None

    @staticmethod
    async def _until(ask: Callable[[], Awaitable[T | None]], limit: float) -> T | None:
        end = asyncio.get_running_loop().time() + limit
        while (answer := await ask()) is None:
            if asyncio.get_running_loop().time() > end:
                return None
            await asyncio.sleep(0.01)
        return answer

    async def description(self) -> str:
        """Return what the running worker says it runs (`windlass-DIGEST`)."""
        info = await self._until(self._answers, 2.0)
        if info is None:
            raise RuntimeSocketError(f"HAProxy runs and does not answer at {self.socket}")
        return info.get("description", "")

    async def reload(self, wanted: str) -> None:
        """Make the running HAProxy take the file; returns when a worker with that description answers.

        Raises ReloadError when the file is refused, or HAProxy ends meanwhile.
        """
        said_in = self.directory / "check.log"
        if await _run(check_argv(self._program, self.config), said_in) != 0:
            raise ReloadError(f"{ReloadError.__doc__} It said: {_end_of(said_in)}")
        pid = self.pid()
        if pid is None:
            await self.start()
            return
        os.kill(pid, signal.SIGUSR2)

        async def taken() -> bool | None:
            info = await self._answers()
            if info is not None and info.get("description") == wanted:
                return True
            return False if self.pid() is None else None

        if not await self._until(taken, RELOAD_LIMIT):
            raise ReloadError(f"{ReloadError.__doc__} Its log: {_end_of(self.directory / 'haproxy.log')}")

    async def stop(self) -> bool:
        """End HAProxy at once (tests, `windlass down`); False where none ran. `windlass up` leaves it running."""
        running = self._processes()
        for pid in running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)

        async def gone() -> bool | None:
            return None if self._processes() else True

        await self._until(gone, 5.0)
        if self.socket.parent != self.directory:
            shutil.rmtree(self.socket.parent, ignore_errors=True)
        return bool(running)

    def _processes(self) -> list[int]:
        """Return master and workers. One that is just being started has not noted its pid yet, but bears the file."""
        if not Path("/proc/self").exists():
            return [pid] if (pid := self.pid()) is not None else []
        noted = str(self._pid_file).encode()
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and self._is_ours(int(entry.name)):
                with contextlib.suppress(OSError):
                    if noted in (entry / "cmdline").read_bytes().split(b"\0"):
                        found.append(int(entry.name))
        return found
