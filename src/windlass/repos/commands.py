"""Argument vectors for git. Pure; what comes from outside was checked by `names` before it gets here."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

COMMIT_FORMAT = "%x1e%H%x00%P%x00%an%x00%ae%x00%cn%x00%ce%x00%ct%x00%s%x00%b"


def _git(repo: Path, *words: str) -> list[str]:
    return ["git", f"--git-dir={repo}", *words]


def init(repo: Path, branch: str) -> list[str]:
    """Make an empty bare repository without sample files."""
    return ["git", "init", "--quiet", "--bare", "--template=", f"--initial-branch={branch}", str(repo)]


def resolve(repo: Path, rev: str) -> list[str]:
    """Find the commit that a checked revision names."""
    return _git(repo, "rev-parse", "--verify", "--quiet", f"{rev}^{{commit}}")


def batch(repo: Path) -> list[str]:
    """Print objects by the names on standard input."""
    return _git(repo, "cat-file", "--batch")


def tree(repo: Path, sha: str, folder: str, *, recursive: bool) -> list[str]:
    """List a folder's entries with their sizes; the trailing slash asks for what is in it."""
    flags = ["-z", "-l", "--full-tree", *(["-r"] if recursive else [])]
    return _git(repo, "ls-tree", *flags, sha, "--", *([f"{folder}/"] if folder else []))


def log(repo: Path, sha: str, limit: int, paths: Iterable[str]) -> list[str]:
    """Print commits backwards; paths are literal, never patterns."""
    return [
        *["git", "--literal-pathspecs", f"--git-dir={repo}"],
        *["log", f"--max-count={limit}", f"--format={COMMIT_FORMAT}", "--no-show-signature", sha, "--"],
        *paths,
    ]


def diff(repo: Path, before: str, after: str) -> list[str]:
    """List the files that differ, a rename as both names."""
    return _git(repo, "diff-tree", "-r", "-z", "--name-only", "--no-renames", before, after)


def files(repo: Path, sha: str) -> list[str]:
    """List all files of a commit."""
    return _git(repo, "ls-tree", "-r", "-z", "--name-only", "--full-tree", sha)


def is_ancestor(repo: Path, ancestor: str, descendant: str) -> list[str]:
    """Answer by exit code: 0 yes, 1 no."""
    return _git(repo, "merge-base", "--is-ancestor", ancestor, descendant)


def refs(repo: Path) -> list[str]:
    """List branches and tags with the ids they hold."""
    return _git(repo, "for-each-ref", "--format=%(objectname) %(refname)", "refs/heads", "refs/tags")


def read_tree(repo: Path, sha: str) -> list[str]:
    """Fill the (temporary) index from a commit."""
    return _git(repo, "read-tree", sha)


def hash_object(repo: Path) -> list[str]:
    """Store standard input as a blob."""
    return _git(repo, "hash-object", "-w", "--stdin")


def update_index(repo: Path) -> list[str]:
    """Change the (temporary) index as standard input says."""
    return _git(repo, "update-index", "-z", "--index-info")


def write_tree(repo: Path) -> list[str]:
    """Store the (temporary) index as a tree."""
    return _git(repo, "write-tree")


def tree_of(repo: Path, sha: str) -> list[str]:
    """Find the id of a commit's tree."""
    return _git(repo, "rev-parse", "--verify", "--quiet", f"{sha}^{{tree}}")


def commit_tree(repo: Path, tree_sha: str, parent: str | None) -> list[str]:
    """Store a commit with the message from standard input."""
    return _git(repo, "commit-tree", tree_sha, *(["-p", parent] if parent else []), "-F", "-")


def update_ref(repo: Path, ref: str, new: str, old: str) -> list[str]:
    """Move a ref, only if it still holds `old` (`ZERO`: only if it is not there)."""
    return _git(repo, "update-ref", "--create-reflog", "-m", "windlass", ref, new, old)


def set_head(repo: Path, ref: str) -> list[str]:
    """Make a branch the default."""
    return _git(repo, "symbolic-ref", "HEAD", ref)


def head_of(url: str) -> list[str]:
    """Ask for the default branch of a repository elsewhere."""
    return ["git", "ls-remote", "--symref", "--", url, "HEAD"]


def fetch_all(repo: Path, url: str) -> list[str]:
    """Fetch the branches and tags of a repository elsewhere, as they are there."""
    specs = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
    return _git(repo, "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--", url, *specs)


def collect_garbage(repo: Path) -> list[str]:
    """Pack what is loose when there is much of it."""
    return _git(repo, "-c", "gc.auto=2000", "-c", "gc.autoDetach=false", "gc", "--auto", "--quiet")


def http_backend() -> list[str]:
    """Serve one smart HTTP request as CGI."""
    return ["git", "http-backend"]


def merge_base(repo: Path, one: str, other: str) -> list[str]:
    """Find the best common ancestor; exit code 1: there is none."""
    return _git(repo, "merge-base", one, other)


def merge_tree(repo: Path, ours: str, theirs: str) -> list[str]:
    """Merge two commits into a tree, without a work tree; exit code 1: the paths that conflict follow the tree."""
    return _git(repo, "merge-tree", "--write-tree", "-z", "--name-only", "--no-messages", ours, theirs)


def commit_with(repo: Path, tree_sha: str, parents: Iterable[str]) -> list[str]:
    """Store a commit of several (or no) parents with the message from standard input."""
    return _git(repo, "commit-tree", tree_sha, *(word for sha in parents for word in ("-p", sha)), "-F", "-")


def commits_between(repo: Path, base: str, head: str, limit: int) -> list[str]:
    """List what `head` has and `base` has not, oldest first: each commit with its parents."""
    return _git(
        repo, "rev-list", "--topo-order", "--reverse", "--parents", f"--max-count={limit}", head, f"^{base}"
    )


def update_refs(repo: Path) -> list[str]:
    """Move the refs that standard input names, all or none."""
    return _git(repo, "update-ref", "--create-reflog", "-m", "windlass", "-z", "--stdin")


def ls_remote(url: str, *patterns: str) -> list[str]:
    """List refs of a repository elsewhere, without what tags point to."""
    return ["git", "ls-remote", "--quiet", "--refs", "--", url, *patterns]


def fetch_into(repo: Path, url: str, specs: Iterable[str]) -> list[str]:
    """Fetch refs from elsewhere; what is gone there goes here too, where a pattern asked for it."""
    flags = ("--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance", "--prune")
    return _git(repo, "fetch", *flags, "--", url, *specs)


def refs_under(repo: Path, *prefixes: str) -> list[str]:
    """List refs below prefixes with the ids they hold."""
    return _git(repo, "for-each-ref", "--format=%(objectname) %(refname)", *prefixes)
