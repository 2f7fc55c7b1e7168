"""What there is to know about a checkout before anything of it runs: root, branch, commits, names."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from windlass.server.local.errors import GitFailedError, NoCheckoutError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FOLDER = Path(".github", "workflows")
DETACHED = "detached"
MAX_SOURCE = 1 << 20
_ADDRESS = re.compile(r"[:/]([^/:\s]+)/([^/\s]+?)(?:\.git)?/*\Z")
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_INHERITED = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX")


@dataclass(frozen=True, slots=True)
class Checkout:
    """A checkout as it lies there. `common` holds its objects; None where the folder is no git repository.

    `ref` is a full ref. `head` is "" before the first commit. `refs` are its branches, tags and `origin`'s branches.
    """

    root: Path
    repository: str
    ref: str
    default_branch: str
    actor: str
    email: str = ""
    common: Path | None = None
    git_dir: Path | None = None
    head: str = ""
    object_format: str = "sha1"
    refs: Mapping[str, str] = field(default_factory=dict)

    @property
    def branch(self) -> str:
        """The branch's or tag's own name."""
        return self.ref.removeprefix("refs/heads/").removeprefix("refs/tags/")

    @property
    def upstream(self) -> str:
        """The commit that `origin` has for this branch, "" where it has none that is known here."""
        return self.refs.get(f"refs/remotes/origin/{self.branch}", "")


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment for git: this process' own, without what points it elsewhere."""
    kept = {key: value for key, value in os.environ.items() if key not in _INHERITED}
    return {**kept, "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", **(extra or {})}


def git(
    arguments: Sequence[str], *, cwd: Path, env: Mapping[str, str] | None = None, accept: Sequence[int] = (0,)
) -> str:
    """Run git and return what it printed. Raises `GitFailedError` with its words for another exit code."""
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=cwd, env=environment(env), capture_output=True, check=False
        )
    except FileNotFoundError:
        raise GitFailedError("git is not installed: `windlass doctor` says how to get it") from None
    if done.returncode not in accept:
        said = done.stderr.decode("utf-8", "replace").strip()
        raise GitFailedError(f"git {' '.join(arguments[:3])}: {said or f'exit code {done.returncode}'}")
    return done.stdout.decode("utf-8", "surrogateescape")


def look(start: Path) -> Checkout:
    """Find the checkout around a folder. Raises `NoCheckoutError`, `GitFailedError`."""
    asked = ["rev-parse", "--path-format=absolute", "--show-toplevel", "--git-common-dir", "--git-dir"]
    try:
        lines = git([*asked, "--show-object-format"], cwd=start).splitlines()
    except GitFailedError as error:
        if "not a git repository" not in str(error):
            raise
        return _plain(start)
    root, common, git_dir, object_format = Path(lines[0]), Path(lines[1]), Path(lines[2]), lines[3]
    refs = _refs(root)
    settings = _settings(root)
    head = git(["rev-parse", "--verify", "--quiet", "HEAD"], cwd=root, accept=(0, 1)).strip()
    return Checkout(
        root=root,
        repository=repository_of(settings.get("remote.origin.url", ""), root.name),
        ref=_ref(root, head, refs),
        default_branch=_default(root, refs),
        actor=_UNSAFE.sub("-", settings.get("user.name", "")).strip("-") or _user(),
        email=settings.get("user.email", ""),
        common=common,
        git_dir=git_dir,
        head=head,
        object_format=object_format,
        refs=refs,
    )


def _plain(start: Path) -> Checkout:
    """Take a folder that is no git repository, so long as it has workflows."""
    for folder in (start, *start.parents):
        if (folder / FOLDER).is_dir():
            name = repository_of("", folder.name)
            return Checkout(folder, name, "refs/heads/main", "main", _user())
    raise NoCheckoutError(
        f"{start} is not in a checkout: there is no git repository and no {FOLDER} here or above"
    )


def repository_of(address: str, folder: str) -> str:
    """Return OWNER/NAME: the end of `origin`'s address, or a name made of the folder's."""
    found = _ADDRESS.search(address)
    owner, name = found.groups() if found else ("local", folder)
    parts = [_UNSAFE.sub("-", part).strip("-.") or "local" for part in (owner, name)]
    return "/".join(parts)


def _user() -> str:
    return os.environ.get("USER") or os.environ.get("LOGNAME") or "local"


def _refs(root: Path) -> dict[str, str]:
    shown = git(
        [
            "for-each-ref",
            "--format=%(objectname) %(refname)",
            "refs/heads",
            "refs/tags",
            "refs/remotes/origin",
        ],
        cwd=root,
    )
    pairs = (line.partition(" ") for line in shown.splitlines())
    return {name: sha for sha, _, name in pairs if name != "refs/remotes/origin/HEAD"}


def _settings(root: Path) -> dict[str, str]:
    wanted = r"^(remote\.origin\.url|user\.name|user\.email)$"
    shown = git(["config", "--null", "--get-regexp", wanted], cwd=root, accept=(0, 1))
    return dict(item.split("\n", 1) for item in shown.split("\0") if "\n" in item)


def _ref(root: Path, head: str, refs: Mapping[str, str]) -> str:
    """Return the branch; of a detached checkout the tag that points there, else a branch of a name that says it."""
    if found := git(["symbolic-ref", "--quiet", "HEAD"], cwd=root, accept=(0, 1)).strip():
        return found
    for name, sha in refs.items():
        if name.startswith("refs/tags/") and sha == head:
            return name
    return f"refs/heads/{DETACHED}"


def _default(root: Path, refs: Mapping[str, str]) -> str:
    origin = "refs/remotes/origin/"
    shown = git(["symbolic-ref", "--quiet", f"{origin}HEAD"], cwd=root, accept=(0, 1)).strip()
    if shown.startswith(origin):
        return shown.removeprefix(origin)
    for name in ("main", "master", "trunk"):
        if f"{origin}{name}" in refs or f"refs/heads/{name}" in refs:
            return name
    return "main"


def sources(root: Path) -> dict[str, str]:
    """Return the workflow files of the working tree by their paths from the root. Raises `NoCheckoutError`."""
    folder = root / FOLDER
    files = sorted(path for path in folder.glob("*.y*ml") if path.suffix in {".yml", ".yaml"})
    found = {
        path.relative_to(root).as_posix(): path.read_bytes()[: MAX_SOURCE + 1].decode("utf-8-sig", "replace")
        for path in files
        if path.is_file()
    }
    if not found:
        raise NoCheckoutError(f"there are no workflow files in {folder}")
    return found
