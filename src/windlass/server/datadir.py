"""The data directory: where each kind of state lives. `docs/data-directory.md` says what to back up."""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

PRIVATE = 0o700
SECRET = 0o600


class DataDirectoryError(Exception):
    """The data directory cannot be used."""


@dataclass(frozen=True, slots=True)
class DataDirectory:
    """Paths below one root. `prepare` makes what is missing; nothing else creates top-level folders."""

    root: Path

    @property
    def database(self) -> Path:
        """SQL: the ledger and the state tables."""
        return self.root / "windlass.db"

    def folder(self, name: str) -> Path:
        """One of the top-level folders."""
        return self.root / name

    def prepare(self) -> None:
        """Create the folders, closed to other users."""
        try:
            for name in (
                "",
                "repos",
                "registry",
                "jobs",
                "artifacts",
                "caches",
                "kube",
                "edge",
                "run",
                "keys",
            ):
                path = self.root / name
                path.mkdir(parents=True, exist_ok=True, mode=PRIVATE)
            self.root.chmod(PRIVATE)
        except OSError as error:
            raise DataDirectoryError(f"{self.root} cannot be the data directory: {error}") from None

    def lock(self) -> IO[str]:
        """Take the directory for this process; held as long as the returned file is open.

        Raises DataDirectoryError naming the process that has it.
        """
        file = (self.root / "run" / "lock").open("a+", encoding="ascii")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            file.close()
            raise DataDirectoryError(
                f"{self.root} is in use by the server with process id {holder}: "
                "stop that one, or choose another --data"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        return file

    def write_secret(self, path: Path, text: str) -> Path:
        """Write a file that only its owner reads, replacing it at once."""
        temporary = path.with_name(path.name + ".new")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, SECRET)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        temporary.replace(path)
        return path

    @property
    def admin_token(self) -> Path:
        """The token with which the command line on this machine speaks to the server."""
        return self.root / "keys" / "admin.token"

    @property
    def contact(self) -> Path:
        """Where the running server listens, for the command line."""
        return self.root / "run" / "server.json"

    def read_contact(self) -> dict[str, Any]:
        """Return what the running server wrote about itself, or an empty map."""
        try:
            found: dict[str, Any] = json.loads(self.contact.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found
