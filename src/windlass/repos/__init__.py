"""Git hosting: bare repositories over smart HTTP, the record of pushes, reading and writing commits."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from windlass.repos.errors import (
    BadNameError,
    GitError,
    ImportFailedError,
    ReposError,
    RepositoryExistsError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
    StaleBranchError,
    TooLargeError,
    UnsafeTreeError,
)
from windlass.repos.events import NewEvent, RepoEvent, write_event
from windlass.repos.git import Git
from windlass.repos.names import forge_url, hosted_name, repository_name, windlass_clone_url
from windlass.repos.records import (
    ZERO,
    Commit,
    Conflict,
    Identity,
    Push,
    Repository,
    Reverted,
    TreeEntry,
)
from windlass.repos.repositories import Repositories

if TYPE_CHECKING:
    from windlass.repos.http import GitHTTP, PushNews
    from windlass.repos.writer import GitWriter

_LATER = {
    "GitHTTP": "windlass.repos.http",
    "GitWriter": "windlass.repos.writer",
    "PushNews": "windlass.repos.http",
}
"""Loaded when it is asked for: not everything that needs the package needs these, and they are slow to load."""


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LATER[name]), name)


__all__ = [
    "ZERO",
    "BadNameError",
    "Commit",
    "Conflict",
    "Git",
    "GitError",
    "GitHTTP",
    "GitWriter",
    "Identity",
    "ImportFailedError",
    "NewEvent",
    "Push",
    "PushNews",
    "RepoEvent",
    "ReposError",
    "Repositories",
    "Repository",
    "RepositoryExistsError",
    "RepositoryNotFoundError",
    "Reverted",
    "RevisionNotFoundError",
    "StaleBranchError",
    "TooLargeError",
    "TreeEntry",
    "UnsafeTreeError",
    "forge_url",
    "hosted_name",
    "repository_name",
    "windlass_clone_url",
    "write_event",
]
