"""The records that hosted repositories hand out."""

from __future__ import annotations

from dataclasses import dataclass, field

ZERO = "0" * 40
"""The id that stands for "no commit": `before` of a created ref, `after` of a deleted one."""


@dataclass(frozen=True, slots=True)
class Repository:
    """A hosted repository.

    `name` is `owner/name`. `applications` is the folder in this repository whose Application manifests
    are adopted on a push to the default branch (None: none). `created` is in seconds since the epoch.
    """

    name: str
    default_branch: str
    applications: str | None
    created: float

    @property
    def owner(self) -> str:
        """The part before the slash."""
        return self.name.partition("/")[0]


@dataclass(frozen=True, slots=True)
class Push:
    """One ref update that was accepted. Ids grow in the order in which updates were recorded.

    `before` and `after` are full commit ids (`ZERO`: none). `pusher` is the name of the principal who was
    let in, `pusher_kind` its kind (`user`, `job`, `robot`); `unknown` where a ref was changed behind our
    back. `options` are the push options (`git push -o`). `at` is in seconds since the epoch.
    """

    id: int
    repo: str
    ref: str
    before: str
    after: str
    pusher: str
    pusher_kind: str
    at: float
    options: tuple[str, ...] = ()

    @property
    def branch(self) -> str | None:
        """The branch's short name, or None where the ref is no branch."""
        return self.ref.removeprefix("refs/heads/") if self.ref.startswith("refs/heads/") else None

    @property
    def deleted(self) -> bool:
        """Whether the ref is gone with this push."""
        return self.after == ZERO


@dataclass(frozen=True, slots=True)
class Identity:
    """Who wrote a commit."""

    name: str
    email: str

    def __str__(self) -> str:
        return f"{self.name} <{self.email}>"


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit. `date` is the committer's, in seconds since the epoch."""

    sha: str
    parents: tuple[str, ...]
    author: Identity
    committer: Identity
    date: float
    subject: str
    body: str


@dataclass(frozen=True, slots=True)
class TreeEntry:
    """A file of a tree. `path` is from the repository's root; `mode` as git writes it (`100644`)."""

    path: str
    mode: str
    sha: str
    size: int

    @property
    def is_symlink(self) -> bool:
        """Whether the file is a symbolic link."""
        return self.mode == "120000"


@dataclass(frozen=True, slots=True)
class Reverted:
    """The paths stand again as they were. `sha` is the branch's tip; `paths` is empty if they stood so already."""

    sha: str
    paths: tuple[str, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Conflict:
    """The revert was not made, because it would undo what others wrote after it. `why` is a sentence."""

    paths: tuple[str, ...]
    why: str
