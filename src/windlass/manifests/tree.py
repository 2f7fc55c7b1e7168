"""The files that manifests are read from: a folder, a commit, or a plain mapping."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, Protocol

from windlass.manifests.errors import ManifestError, MissingFileError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path


class Tree(Protocol):
    """A tree of files. Paths are relative to its root, normalised, with `/`; the root is the empty path."""

    def read(self, path: str) -> bytes | None:
        """Return a file's content, or None where there is no such file."""

    def files(self, folder: str) -> Iterable[str]:
        """Return the paths of all files below a folder; none where there is no such folder."""


def normal(folder: str, path: str) -> str:
    """Join and normalise; raises `ManifestError` for a path that leaves the tree."""
    joined = posixpath.normpath(posixpath.join("/" + folder if not folder.startswith("/") else folder, path))
    depth = 0
    for part in posixpath.join(folder.strip("/"), path).split("/"):
        depth += -1 if part == ".." else 0 if part in ("", ".") else 1
        if depth < 0:
            raise ManifestError(f"{path} (from {folder or '.'}) lies outside the repository")
    return joined.strip("/")


class MemoryTree:
    """A tree out of a mapping from path to content."""

    def __init__(self, content: Mapping[str, bytes | str]) -> None:
        self._content = {
            normal("", path): text.encode() if isinstance(text, str) else text
            for path, text in content.items()
        }

    def read(self, path: str) -> bytes | None:
        """Return a file's content, or None."""
        return self._content.get(path)

    def files(self, folder: str) -> list[str]:
        """Return the paths below a folder."""
        return sorted(path for path in self._content if not folder or path.startswith(folder + "/"))


class FolderTree:
    """A tree out of a folder on disk. Symbolic links that leave it are refused."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()

    def read(self, path: str) -> bytes | None:
        """Return a file's content, or None."""
        file = (self._root / path).resolve()
        if not file.is_relative_to(self._root):
            raise ManifestError(f"{path} is a link that leaves {self._root}")
        return file.read_bytes() if file.is_file() else None

    def files(self, folder: str) -> list[str]:
        """Return the paths below a folder."""
        found = (self._root / folder).rglob("*")
        return sorted(file.relative_to(self._root).as_posix() for file in found if file.is_file())


def demand(tree: Tree, path: str, wanted_by: str) -> bytes:
    """Return a file's content; raises `MissingFileError` that names who wanted it."""
    content = tree.read(path)
    if content is None:
        raise MissingFileError(f"{wanted_by}: {path} does not exist")
    return content
