"""Where a job's directories are on this machine, and under which names its steps see them."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from windlass.runner.errors import PathError
from windlass.runner.shims import keep_shims

if TYPE_CHECKING:
    from collections.abc import Iterator

    from windlass.workflow.jobs import JobSpec

HOME = "/home/runner"
OWN = ("work", "temp", "home", "files", "actions")
"""The directories of a job's own, which end with it."""
EVENT = "_github_workflow"
"""The directory of the event's payload, below `temp`."""
_OTHER_HOME = "/home/job"  # where Windlass itself lives under the first


@dataclass(frozen=True, slots=True)
class Place:
    """One directory: `host` is its path on this machine, `inside` the one that steps see."""

    host: Path
    inside: str


@dataclass(frozen=True, slots=True)
class Paths:
    """The directories of one job that its steps may see. All but `bin` are writable."""

    workspace: Place
    temp: Place
    home: Place
    files: Place
    tools: Place
    bin: Place
    actions: Place
    """What was fetched of actions' repositories."""

    def __iter__(self) -> Iterator[Place]:
        return iter((self.workspace, self.temp, self.home, self.files, self.tools, self.bin, self.actions))

    def to_host(self, path: str, *, base: str = "") -> Path:
        """Return where a path that a step names (relative to `base` or the workspace) is on this machine.

        Raises `PathError` where it leads, by `..` or by a link, out of the job's own directories: what is
        done with it is done outside the sandbox.
        """
        wanted = Path(base or self.workspace.inside, path)
        for place in sorted(self, key=lambda one: -len(one.inside)):
            if wanted == Path(place.inside) or Path(place.inside) in wanted.parents:
                found = place.host / wanted.relative_to(place.inside)
                root = place.host.resolve()
                resolved = found.resolve()
                if resolved == root or root in resolved.parents:
                    return resolved
                break
        raise PathError(f"{path!r} leads out of the job's directories")

    def to_inside(self, path: Path) -> str:
        """Return the name under which steps see a path of this machine."""
        for place in self:
            if path == place.host or place.host in path.parents:
                return str(Path(place.inside) / path.relative_to(place.host))
        raise PathError(f"{path} is in none of the job's directories")


def trust_zone(spec: JobSpec) -> str:
    """Return whose tool caches a job shares: those of its repository and, apart from all others, of its default branch.

    A job of another branch or of a pull request must not be able to plant a package that a job of the default
    branch then uses.
    """
    github = spec.contexts.get("github") or {}
    event = github.get("event") or {}
    default = (event.get("repository") or {}).get("default_branch") or "main"
    trusted = spec.ref == f"refs/heads/{default}" and not str(github.get("event_name", "")).startswith(
        "pull_request"
    )
    name = re.sub(r"[^A-Za-z0-9._-]", "_", spec.repository.replace("/", "__"))
    return f"{name}/{'default' if trusted else 'others'}"


def own_places() -> list[str]:
    """Return where Windlass and its Python are; every sandbox shows them."""
    return [sys.prefix, sys.base_prefix, str(Path(__file__).resolve().parents[1])]


def home_inside() -> str:
    """Return the home of a sandboxed job: GitHub's, unless that would hide Windlass from it."""
    return _OTHER_HOME if any(place.startswith(f"{HOME}/") for place in own_places()) else HOME


@dataclass(frozen=True, slots=True)
class Shape:
    """What of a job its directories and its sandbox depend on: jobs of one shape could change places."""

    isolation: str
    project: str
    """The last part of the repository's name, as it stands in the workspace's path."""
    tools: str
    """Where this machine keeps the tool caches that the job shares."""

    @classmethod
    def of(cls, spec: JobSpec) -> Shape:
        """Return the shape of a job."""
        project = re.sub(r"[^A-Za-z0-9._-]", "_", spec.repository.rpartition("/")[2]) or "work"
        return cls(spec.isolation, project, str(Path(spec.tools) / trust_zone(spec)))


def lay_out(root: Path, shape: Shape) -> Paths:
    """Make the directories of a job, whose own is `root`, readable for nobody else, and name them."""
    for path in (*(root / name for name in OWN), root / "temp" / EVENT, root / "log", Path(shape.tools)):
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return name_places(root, shape)


def name_places(root: Path, shape: Shape) -> Paths:
    """Name the directories that `lay_out` makes."""
    isolated = shape.isolation == "bubblewrap"
    own = {each: root / each for each in OWN}
    shims = keep_shims(root.parents[1], isolated=isolated)
    hosts = {"workspace": own.pop("work"), **own, "tools": Path(shape.tools), "bin": shims}
    if not isolated:
        return Paths(**{each: Place(path, str(path)) for each, path in hosts.items()})
    home, project = home_inside(), shape.project
    inside = {
        "workspace": f"{home}/work/{project}/{project}",
        "temp": f"{home}/work/_temp",
        "home": home,
        "files": f"{home}/work/_temp/_runner_file_commands",
        "tools": "/run/windlass/tools",
        "bin": "/run/windlass/bin",
        "actions": f"{home}/work/_actions",
    }
    return Paths(**{each: Place(path, inside[each]) for each, path in hosts.items()})
