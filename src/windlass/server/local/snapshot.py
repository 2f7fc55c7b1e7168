"""The working tree as a commit, in a repository of its own. The checkout is read and never written to.

Objects that the checkout has are borrowed from it (`alternates`), so the size of its history does not matter.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from windlass.server.local.checkout import git

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from windlass.server.local.checkout import Checkout

AUTHOR = "windlass run"
EMAIL = "run@windlass.invalid"
_QUIET = ("-c", "core.fsmonitor=false", "-c", "advice.addEmbeddedRepo=false", "-c", "core.safecrlf=false")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A commit that holds the working tree as it is. Where nothing was changed it is the checkout's own `head`."""

    sha: str
    head: str
    subject: str
    changed: tuple[str, ...]
    """What is not committed, by path."""


def take(checkout: Checkout, bare: Path, index: Path) -> Snapshot:
    """Write the working tree into the empty bare repository, with the checkout's branches and tags beside it.

    Tracked files with their changes, and what is neither tracked nor ignored. The same tree over the same commit
    gives the same id. `index` is a file to use as git's index. Raises `GitFailedError`.
    """
    env = _environment(checkout, bare, index)
    git([*_QUIET, "add", "--all", "--", "."], cwd=checkout.root, env=env)
    tree = git(["write-tree"], cwd=checkout.root, env=env).strip()
    sha = checkout.head
    changed: tuple[str, ...] = ()
    if not checkout.head or _tree_of(checkout, env) != tree:
        sha = _commit(checkout, tree, env)
        changed = _changed(checkout, tree, env)
    subject = git(["show", "--no-patch", "--format=%s", sha], cwd=checkout.root, env=env).strip()
    _write_refs(bare, branches(checkout, sha))
    return Snapshot(sha, checkout.head, subject, changed)


def _environment(checkout: Checkout, bare: Path, index: Path) -> dict[str, str]:
    """Say where git reads (the checkout) and where it writes (the bare repository)."""
    env = {"GIT_WORK_TREE": str(checkout.root), "GIT_INDEX_FILE": str(index)}
    if checkout.common is None or checkout.git_dir is None:
        return {**env, "GIT_DIR": str(bare)}
    objects = checkout.common / "objects"
    if (checkout.git_dir / "index").is_file():
        # What git knows of unchanged files makes it fast; with the index's own time, by which git tells of which files
        # it cannot know: those that were changed in the same moment (gitformat-index, "racy git").
        shutil.copy2(checkout.git_dir / "index", index)
    (bare / "objects" / "info").mkdir(parents=True, exist_ok=True)
    (bare / "objects" / "info" / "alternates").write_text(f"{objects}\n", encoding="utf-8")
    if (checkout.common / "shallow").is_file():
        shutil.copyfile(checkout.common / "shallow", bare / "shallow")
    return {
        **env,
        "GIT_DIR": str(checkout.git_dir),
        "GIT_OBJECT_DIRECTORY": str(bare / "objects"),
        "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(objects),
    }


def _tree_of(checkout: Checkout, env: Mapping[str, str]) -> str:
    return git(["rev-parse", f"{checkout.head}^{{tree}}"], cwd=checkout.root, env=env).strip()


def _commit(checkout: Checkout, tree: str, env: Mapping[str, str]) -> str:
    """Commit the tree on top of `head`, at its time, so that the id depends on nothing but the two."""
    when, message, parents = "@0 +0000", "Working tree without a commit", []
    if checkout.head:
        told = git(["show", "--no-patch", "--format=%ct%n%s", checkout.head], cwd=checkout.root, env=env)
        seconds, _, subject = told.strip().partition("\n")
        when, message, parents = (
            f"@{seconds} +0000",
            f"Uncommitted changes on: {subject}",
            ["-p", checkout.head],
        )
    who = {
        f"GIT_{role}_{part}": value
        for role in ("AUTHOR", "COMMITTER")
        for part, value in (("NAME", AUTHOR), ("EMAIL", EMAIL), ("DATE", when))
    }
    return git(["commit-tree", tree, *parents, "-m", message], cwd=checkout.root, env={**env, **who}).strip()


def _changed(checkout: Checkout, tree: str, env: Mapping[str, str]) -> tuple[str, ...]:
    listing = ["ls-tree", "-r", "-z", "--name-only", tree]
    if checkout.head:
        listing = ["diff-tree", "-r", "-z", "--name-only", "--no-renames", checkout.head, tree]
    return tuple(path for path in git(listing, cwd=checkout.root, env=env).split("\0") if path)


def branches(checkout: Checkout, sha: str) -> dict[str, str]:
    """Return the refs of the repository that jobs see: what `origin` has, what is here alone, and this commit. Pure."""
    origin = "refs/remotes/origin/"
    remote = {
        f"refs/heads/{name.removeprefix(origin)}": commit
        for name, commit in checkout.refs.items()
        if name.startswith(origin)
    }
    own = {name: commit for name, commit in checkout.refs.items() if not name.startswith(origin)}
    found = {**own, **remote}
    return {**found, checkout.ref: found.get(checkout.ref, sha) if _is_tag(checkout.ref) else sha}


def _is_tag(ref: str) -> bool:
    return ref.startswith("refs/tags/")


def _write_refs(bare: Path, refs: Mapping[str, str]) -> None:
    """Write all refs in one file: a checkout may have thousands."""
    lines = "".join(f"{sha} {name}\n" for name, sha in sorted(refs.items()))
    (bare / "packed-refs").write_text(f"# pack-refs with: sorted \n{lines}", encoding="utf-8")


def changed_between(checkout: Checkout, bare: Path, before: str, after: str) -> tuple[str, ...] | None:
    """Return the files that differ between two commits, None where one of them is not here."""
    if not before:
        return None
    shown = git(
        [f"--git-dir={bare}", "diff-tree", "-r", "-z", "--name-only", "--no-renames", before, after],
        cwd=checkout.root,
        accept=(0, 128),
    )
    return tuple(path for path in shown.split("\0") if path) or None
