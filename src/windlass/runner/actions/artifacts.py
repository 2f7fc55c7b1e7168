"""actions/upload-artifact, through the server's API for jobs."""

from __future__ import annotations

import os
import re
import secrets as random
from types import MappingProxyType
from typing import TYPE_CHECKING
from urllib.parse import quote

from windlass.runner.actions.base import BuiltIn, Input
from windlass.runner.errors import ExistsError, StepError
from windlass.runner.matchers import coverage_of_xml

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import BufferedRandom, BufferedReader
    from pathlib import Path
    from typing import BinaryIO

    from windlass.runner.actions.base import ActionRun

_FORBIDDEN = re.compile(r'["<>|*?:\r\n\\/\x00-\x1f]')
_WHEN_EMPTY = ("warn", "error", "ignore")


def check_name(name: str) -> str:
    """Return the name of an artifact, or fail as GitHub does on what cannot be one."""
    if not name or _FORBIDDEN.search(name) or name in {".", ".."}:
        raise StepError(
            f'input name: {name!r} cannot name an artifact (no " : < > | * ? / \\ or line breaks)'
        )
    return name


def packing(run: ActionRun) -> tuple[str, str]:
    """Return the compression level, and what is to be done where there is nothing. Raises `StepError`."""
    level, absent = run.text("compression-level"), run.text("if-no-files-found")
    days = run.text("retention-days")
    if not re.fullmatch(r"\d", level):
        raise StepError(f"input compression-level: {level!r} is not a number from 0 to 9")
    if absent not in _WHEN_EMPTY:
        raise StepError(f"input if-no-files-found: {absent!r} is none of {', '.join(_WHEN_EMPTY)}")
    if days and not days.isdecimal():
        raise StepError(f"input retention-days: {days!r} is not a number of days")
    return level, absent


class Spool:
    """A file of the runner in the job's temporary directory, which the sandbox can write or read."""

    def __init__(self, run: ActionRun, ending: str) -> None:
        name = f"_windlass_{random.token_hex(8)}{ending}"
        self.host: Path = run.state.paths.temp.host / name
        self.inside = f"{run.state.paths.temp.inside}/{name}"

    def open(self) -> BufferedReader:
        """Open what the sandbox made; a link in its place is refused."""
        return os.fdopen(os.open(self.host, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb")

    def create(self) -> BufferedRandom:
        """Make the file anew for the sandbox to read."""
        flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.fdopen(os.open(self.host, flags, 0o600), "w+b")

    def remove(self) -> None:
        """Delete it."""
        self.host.unlink(missing_ok=True)


class Upload(BuiltIn):
    """Keep files of this job with the run."""

    names = ("actions/upload-artifact",)
    about = "Stores files of the workspace as an artifact of the run. A `coverage.xml` among them is read."
    inputs = (
        Input("name", "the artifact's name", "artifact"),
        Input("path", "files, directories or patterns, one a line", required=True),
        Input("if-no-files-found", "warn, error or ignore", "warn"),
        Input("retention-days", "at most the server's own", "0"),
        Input("compression-level", "0 to 9", "6"),
        Input("overwrite", "whether to replace one of this name", "false"),
        Input("include-hidden-files", "whether names that begin with a dot count", "false"),
        Input("archive", "artifacts are always zip files", "true", honour="error"),
    )
    outputs = MappingProxyType(
        {
            "artifact-id": "its number",
            "artifact-digest": "the digest of the zip",
            "artifact-url": "its address",
        }
    )

    def main(self, run: ActionRun) -> None:
        """Pack in the sandbox, then upload."""
        name = check_name(run.text("name") or "artifact")
        level, absent = packing(run)
        spool = Spool(run, ".zip")
        try:
            hidden = str(run.flag("include-hidden-files")).lower()
            packed = run.helper("archive", "pack", spool.inside, level, hidden, *run.lines("path"))
            if not packed["files"]:
                _nothing_found(run, absent)
                return
            self._upload(run, name, spool, int(packed["files"]))
        finally:
            spool.remove()

    def _upload(self, run: ActionRun, name: str, spool: Spool, files: int) -> None:
        with spool.open() as archive:
            keep(run, name, archive, files, overwrite=run.flag("overwrite"))
            archive.seek(0)
            for percent in _coverage(archive):
                run.state.sink.emit("coverage", percent=percent)


def keep(run: ActionRun, name: str, archive: BufferedReader, files: int, *, overwrite: bool) -> None:
    """Upload a zip as an artifact of the run, and set the outputs. Raises `StepError`."""
    import hashlib

    size = os.fstat(archive.fileno()).st_size
    digest = hashlib.file_digest(archive, "sha256").hexdigest()
    days = run.text("retention-days") if "retention-days" in run.inputs else ""
    try:
        made = run.api.put_artifact(name, archive, size, overwrite=overwrite, days=days)
    except ExistsError as error:
        raise StepError(f"{error}") from error
    spec = run.state.spec
    run.output("artifact-id", str(made.get("id") or ""))
    run.output("artifact-digest", digest)
    run.output("artifact-url", f"{spec.server_url}/runs/{spec.run}/artifacts/{quote(name, safe='')}")
    told = ", ".join(run.lines("path")) if "path" in run.inputs else name
    run.state.sink.emit("artifact", name=name, path=told, size=size)
    run.say(f"Artifact {name}: {files} files, {size} bytes, sha256:{digest}")


def _nothing_found(run: ActionRun, absent: str) -> None:
    tell_absence(
        run,
        absent,
        f"No files were found with the provided path: {', '.join(run.lines('path'))}. No artifacts will be uploaded.",
    )


def tell_absence(run: ActionRun, absent: str, text: str) -> None:
    """Fail, warn or say so, as `if-no-files-found` wants it."""
    if absent == "error":
        raise StepError(text)
    if absent == "warn":
        run.warning(text)
    else:
        run.say(text)


def _coverage(archive: BinaryIO) -> Iterator[float]:
    """Yield what a coverage.xml in the zip states."""
    import zipfile

    try:
        with zipfile.ZipFile(archive) as opened:
            for name in opened.namelist():
                if name.rpartition("/")[2] == "coverage.xml":
                    with opened.open(name) as stream:
                        if (percent := coverage_of_xml(stream.read(4096))) is not None:
                            yield percent
                    return
    except (zipfile.BadZipFile, OSError):
        return
