"""The workflow files at a commit."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from windlass.pipelines.plan import FOLDER, is_workflow

if TYPE_CHECKING:
    from windlass.repos import Git

MAX_FILES = 200
KEPT = 64
KEPT_SIZE = 256 << 10


class WorkflowFiles:
    """Reads workflow files; those of the last commits asked for are kept, unless they are large."""

    def __init__(self, git: Git) -> None:
        self._git = git
        self._kept: OrderedDict[tuple[str, str], dict[str, str]] = OrderedDict()

    async def at(self, repository: str, sha: str) -> dict[str, str]:
        """Return the text of each workflow file by its path, at a full commit id."""
        key = (repository, sha)
        if key not in self._kept:
            found = await self._read(repository, sha)
            if sum(map(len, found.values())) > KEPT_SIZE:
                return found
            self._kept[key] = found
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        else:
            self._kept.move_to_end(key)
        return dict(self._kept[key])

    async def _read(self, repository: str, sha: str) -> dict[str, str]:
        entries = await self._git.list_files(repository, sha, FOLDER, recursive=False)
        paths = [entry.path for entry in entries if is_workflow(entry.path)]
        found = await self._git.read_files(repository, sha, paths[:MAX_FILES]) if paths else {}
        return {path: content.decode("utf-8", "replace") for path, content in found.items()}
