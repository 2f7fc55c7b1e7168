"""The working tree as a commit: what is in it, what its history is, and that the checkout stays as it was."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from windlass.server.local.checkout import DETACHED, look, repository_of, sources
from windlass.server.local.errors import GitFailedError, NoCheckoutError
from windlass.server.local.snapshot import Snapshot, branches, changed_between, take

ENVIRONMENT = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.com",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.com",
}


@dataclass
class Tree:
    """A checkout of a test's own."""

    root: Path

    def git(self, *arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.root,
            env={**os.environ, **ENVIRONMENT},
            capture_output=True,
            check=True,
        )
        return done.stdout.decode().strip()

    def write(self, path: str, text: str) -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def commit(self, message: str = "a commit") -> str:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")

    def everything(self) -> dict[str, bytes]:
        """All files below the root with their content, git's own among them."""
        return {
            str(path.relative_to(self.root)): path.read_bytes()
            for path in sorted(self.root.rglob("*"))
            if path.is_file()
        }


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    root = tmp_path / "checkout"
    root.mkdir()
    made = Tree(root)
    made.git("init", "--quiet", "--initial-branch=main")
    return made


def in_bare(bare: Path, *arguments: str) -> str:
    done = subprocess.run(["git", f"--git-dir={bare}", *arguments], capture_output=True, check=True)
    return done.stdout.decode().strip()


def snapshot(root: Path, place: Path) -> tuple[Snapshot, Path]:
    bare = place / "bare.git"
    place.mkdir(parents=True)
    subprocess.run(["git", "init", "--quiet", "--bare", str(bare)], check=True)
    return take(look(root), bare, place / "index"), bare


def test_a_clean_tree_is_its_own_commit(tree: Tree, tmp_path: Path) -> None:
    tree.write("a", "1")
    head = tree.commit("first")
    taken, bare = snapshot(tree.root, tmp_path / "s")
    assert (taken.sha, taken.changed, taken.subject) == (head, (), "first")
    assert in_bare(bare, "rev-parse", "refs/heads/main") == head


def test_changes_and_new_files_are_in_it_and_what_is_ignored_is_not(tree: Tree, tmp_path: Path) -> None:
    tree.write(".gitignore", "*.log\n")
    tree.write("kept", "1")
    tree.write("gone", "1")
    head = tree.commit()
    tree.write("kept", "2")
    tree.write("new/file", "3")
    tree.write("noise.log", "4")
    (tree.root / "gone").unlink()
    taken, bare = snapshot(tree.root, tmp_path / "s")
    assert set(taken.changed) == {"kept", "new/file", "gone"}
    assert in_bare(bare, "ls-tree", "-r", "--name-only", taken.sha).split() == [
        ".gitignore",
        "kept",
        "new/file",
    ]
    assert in_bare(bare, "show", f"{taken.sha}:kept") == "2"
    assert in_bare(bare, "rev-parse", f"{taken.sha}^") == head


def test_a_change_in_the_very_moment_of_the_commit_is_seen(tree: Tree, tmp_path: Path) -> None:
    for number in range(15):
        tree.write("a", "1")
        tree.commit()
        tree.write("a", "2")
        taken, bare = snapshot(tree.root, tmp_path / str(number))
        assert in_bare(bare, "show", f"{taken.sha}:a") == "2"


def test_what_is_staged_only_counts_as_it_lies_in_the_tree(tree: Tree, tmp_path: Path) -> None:
    tree.write("a", "1")
    tree.commit()
    tree.write("a", "staged")
    tree.git("add", "a")
    tree.write("a", "on disk")
    taken, bare = snapshot(tree.root, tmp_path / "s")
    assert in_bare(bare, "show", f"{taken.sha}:a") == "on disk"


def test_the_checkout_is_not_touched(tree: Tree, tmp_path: Path) -> None:
    tree.write("a", "1")
    tree.commit()
    tree.write("a", "2")
    tree.write("b", "3")
    before = tree.everything()
    snapshot(tree.root, tmp_path / "s")
    assert tree.everything() == before


def test_the_same_tree_gives_the_same_commit(tree: Tree, tmp_path: Path) -> None:
    tree.write("a", "1")
    tree.commit()
    tree.write("a", "2")
    first, _ = snapshot(tree.root, tmp_path / "1")
    second, _ = snapshot(tree.root, tmp_path / "2")
    tree.write("a", "3")
    third, _ = snapshot(tree.root, tmp_path / "3")
    assert first.sha == second.sha != third.sha


def test_tags_branches_and_a_worktree(tree: Tree, tmp_path: Path) -> None:
    tree.write("a", "1")
    tree.commit()
    tree.git("tag", "v1")
    tree.git("branch", "other")
    tree.git("worktree", "add", "--quiet", str(tmp_path / "second"), "other")
    (tmp_path / "second" / "b").write_text("2")
    taken, bare = snapshot(tmp_path / "second", tmp_path / "s")
    assert taken.changed == ("b",)
    assert in_bare(bare, "describe", "--tags", taken.sha).startswith("v1-1-g")
    assert in_bare(bare, "rev-parse", "refs/heads/other") == taken.sha
    assert in_bare(bare, "rev-parse", "refs/heads/main") == tree.git("rev-parse", "HEAD")


def test_a_folder_without_git_and_one_without_commits(tree: Tree, tmp_path: Path) -> None:
    tree.write(".github/workflows/ci.yml", "on: push")
    taken, _ = snapshot(tree.root, tmp_path / "1")
    assert (taken.head, taken.changed) == ("", (".github/workflows/ci.yml",))
    bare_folder = tmp_path / "plain"
    (bare_folder / ".github/workflows").mkdir(parents=True)
    (bare_folder / ".github/workflows/ci.yml").write_text("on: push")
    (bare_folder / "sub").mkdir()
    checkout = look(bare_folder / "sub")
    assert (checkout.root, checkout.repository, checkout.common) == (bare_folder, "local/plain", None)
    taken, bare = snapshot(bare_folder, tmp_path / "2")
    assert in_bare(bare, "ls-tree", "-r", "--name-only", taken.sha) == ".github/workflows/ci.yml"


def test_a_shallow_clone(tree: Tree, tmp_path: Path) -> None:
    for number in range(3):
        tree.write("a", str(number))
        tree.commit(f"number {number}")
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", "--depth=1", tree.root.as_uri(), str(clone)], check=True)
    (clone / "a").write_text("mine")
    taken, bare = snapshot(clone, tmp_path / "s")
    assert in_bare(bare, "log", "--format=%s", taken.sha).split("\n") == [
        "Uncommitted changes on: number 2",
        "number 2",
    ]


def test_other_branches_are_as_origin_has_them_and_this_one_as_it_is_here(tree: Tree) -> None:
    tree.commit()
    checkout = look(tree.root)
    refs = {
        "refs/heads/main": "1" * 40,
        "refs/heads/mine": "2" * 40,
        "refs/remotes/origin/main": "3" * 40,
        "refs/remotes/origin/theirs": "4" * 40,
        "refs/tags/v1": "5" * 40,
    }
    found = branches(replace(checkout, ref="refs/heads/mine", refs=refs), "9" * 40)
    assert found == {
        "refs/heads/main": "3" * 40,
        "refs/heads/theirs": "4" * 40,
        "refs/heads/mine": "9" * 40,
        "refs/tags/v1": "5" * 40,
    }


def test_a_detached_checkout_is_its_tag_or_says_what_it_is(tree: Tree) -> None:
    tree.commit()
    tree.git("checkout", "--quiet", "--detach")
    assert look(tree.root).ref == f"refs/heads/{DETACHED}"
    tree.git("tag", "v2")
    assert look(tree.root).ref == "refs/tags/v2"


def test_files_that_changed_between_commits(tree: Tree, tmp_path: Path) -> None:
    tree.write("a", "1")
    before = tree.commit()
    tree.write("b", "1")
    taken, bare = snapshot(tree.root, tmp_path / "s")
    checkout = look(tree.root)
    assert changed_between(checkout, bare, before, taken.sha) == ("b",)
    assert changed_between(checkout, bare, "", taken.sha) is None
    assert changed_between(checkout, bare, "1" * 40, taken.sha) is None


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("git@github.com:acme/app.git", "acme/app"),
        ("https://token@github.com/acme/app", "acme/app"),
        ("ssh://git@host:22/group/sub/app.git/", "sub/app"),
        ("", "local/my-folder"),
        ("/srv/app", "srv/app"),
    ],
)
def test_the_repository_has_the_name_of_its_origin(address: str, name: str) -> None:
    assert repository_of(address, "my folder") == name


def test_where_there_is_no_checkout(tmp_path: Path, tree: Tree) -> None:
    with pytest.raises(NoCheckoutError, match="is not in a checkout"):
        look(tmp_path)
    with pytest.raises(NoCheckoutError, match="no workflow files"):
        sources(tree.root)


def test_git_errors_are_told_in_its_words(tree: Tree, tmp_path: Path) -> None:
    tree.commit()
    (tree.root / ".git" / "index").write_text("no index")
    with pytest.raises(GitFailedError, match=r"(?s)^git -c .*index file"):
        snapshot(tree.root, tmp_path / "s")
