"""Where a job runs: its directories and its sandbox, made when it comes or, for one like the last, before."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from windlass.runner.confinement import BubblewrapSandbox
from windlass.runner.errors import RunnerError, SandboxUnavailableError
from windlass.runner.paths import Shape, lay_out, name_places
from windlass.runner.sandbox import HostSandbox
from windlass.runner.shims import bring_settings

if TYPE_CHECKING:
    from windlass.runner.paths import Paths
    from windlass.runner.sandbox import Sandbox
    from windlass.workflow.jobs import JobSpec

AHEAD = "ahead"
"""The directory, in the data directory, of what is made before its job comes."""


@dataclass(frozen=True, slots=True)
class Place:
    """The directories of one job and its sandbox."""

    paths: Paths
    sandbox: Sandbox
    settings: tuple[str, ...]
    """What the job's home has of the user's own settings, as text: it may hold credentials."""

    def close(self) -> None:
        """End what runs in the sandbox, for a job that does not run after all."""
        self.sandbox.close()
        self.sandbox.wait()


class Ahead:
    """A place for a job of this shape, whoever that will be: nothing runs in it, and nothing has.

    Its directories become the job's own by another name, which what is mounted of them does not feel. To be made
    by the process that becomes the job.
    """

    def __init__(self, data: Path, shape: Shape) -> None:
        self._shape = shape
        self._root = data / AHEAD / str(os.getpid())
        self._sandbox: BubblewrapSandbox | None = None
        try:
            paths = lay_out(self._root, shape)
            self._settings = bring_settings(paths)
            if shape.isolation == "bubblewrap":
                self._sandbox = BubblewrapSandbox(paths, data=data, job=self._root)
        except BaseException:
            self.discard()
            raise

    def take(self, spec: JobSpec) -> Place | None:
        """Let it be the place of this job; None, and it is no more, where that asks for another shape."""
        root = Path(spec.directory)
        try:
            if Shape.of(spec) != self._shape or root.parents[1] != self._root.parents[1]:
                raise SandboxUnavailableError("made for another")
            if self._sandbox is not None:
                self._sandbox.move(root)
            for entry in list(self._root.iterdir()):
                entry.rename(root / entry.name)
        except (OSError, RunnerError):
            self.discard()
            return None
        self._root.rmdir()
        return Place(
            name_places(root, self._shape), self._sandbox or HostSandbox(tracking(spec)), self._settings
        )

    def discard(self) -> None:
        """End it, and leave nothing behind."""
        if self._sandbox is not None:
            self._sandbox.close()
            self._sandbox.wait()
        shutil.rmtree(self._root, ignore_errors=True)


def make_ahead(data: Path, shape: Shape) -> Ahead | None:
    """Make one, if that can be: a job does without."""
    with suppress(OSError, RunnerError):
        return Ahead(data, shape)
    return None


def open_place(spec: JobSpec, ahead: Ahead | None = None) -> Place | RunnerError:
    """Make a job's directories, and begin to make its sandbox; returns why that cannot be."""
    if ahead is not None and (place := ahead.take(spec)) is not None:
        return place
    try:
        paths = lay_out(Path(spec.directory), Shape.of(spec))
        sandbox = _sandbox(spec, paths)
        return Place(paths, sandbox, bring_settings(paths))
    except RunnerError as error:
        return error
    except OSError as error:
        return RunnerError(f"the job's directories cannot be made: {error}")


def _sandbox(spec: JobSpec, paths: Paths) -> Sandbox:
    if spec.isolation == "host":
        return HostSandbox(tracking(spec))
    if spec.isolation != "bubblewrap":
        raise SandboxUnavailableError(f"isolation {spec.isolation!r} is neither bubblewrap nor host")
    directory = Path(spec.directory)
    return BubblewrapSandbox(paths, data=directory.parents[1], job=directory)


def tracking(spec: JobSpec) -> str:
    """Return the mark that every process of the job bears in its environment."""
    return f"windlass_{spec.id}_{os.getpid()}"
