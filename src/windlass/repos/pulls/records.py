"""The records of pull requests."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from windlass.store import Row

Method = Literal["merge", "squash", "rebase"]


@dataclass(frozen=True, slots=True)
class Pull:
    """A pull request: the wish to merge branch `head` into branch `base` of one hosted repository.

    `merge_sha` is what `refs/pull/N/merge` holds: `head_sha` merged into `base_sha`; empty where they
    conflict, and `conflicts` then names the paths. `state` is `open` or `closed`. `author` and `merged_by` are
    principals, never what commits say. `merged_sha` is the commit on `base` that holds the change. Times are
    in seconds since the epoch.
    """

    repository: str
    number: int
    title: str
    body: str
    draft: bool
    head: str
    base: str
    head_sha: str
    base_sha: str
    merge_sha: str
    conflicts: tuple[str, ...]
    state: str
    author: str
    author_kind: str
    created_at: float
    updated_at: float
    closed_at: float | None = None
    merged_at: float | None = None
    merged_by: str | None = None
    merged_sha: str | None = None
    merging: str | None = None
    """The commit that a merge under way moves `base` to, so that a crash in between is told from no merge."""

    @property
    def ref(self) -> str:
        """The ref that runs of it are on."""
        return f"refs/pull/{self.number}/merge"

    @property
    def mergeable(self) -> bool:
        """Whether it merges without conflicts."""
        return bool(self.merge_sha)

    @classmethod
    def of(cls, row: Row) -> Pull:
        """Return the record of a row."""
        given = {field.name: row[field.name] for field in fields(cls)}
        return cls(**{**given, "draft": bool(row["draft"]), "conflicts": tuple(json.loads(row["conflicts"]))})


@dataclass(frozen=True, slots=True)
class Check:
    """What one workflow or job says of a commit. `state` is `success`, `failure` or `pending`.

    `workflow` is the workflow's name, so that a job's check can be asked for as `NAME` and `WORKFLOW / NAME`.
    """

    name: str
    state: str
    url: str
    workflow: str = ""


@dataclass(frozen=True, slots=True)
class Protection:
    """The rules of the branches that match `pattern` (`fnmatch`; `*` matches slashes too).

    A merge needs each check of `checks` (and with `all_checks` every check that has reported, at least one)
    to have succeeded, and `approvals` people other than the author and who pushed last. Without
    `direct_pushes` only merges of pull requests move the branch. Nobody deletes it.
    """

    pattern: str
    checks: tuple[str, ...] = ()
    all_checks: bool = False
    approvals: int = 0
    direct_pushes: bool = False

    @classmethod
    def of(cls, row: Row) -> Protection:
        """Return the record of a row."""
        flags = {name: bool(row[name]) for name in ("all_checks", "direct_pushes")}
        return cls(row["pattern"], tuple(json.loads(row["checks"])), approvals=row["approvals"], **flags)


@dataclass(frozen=True, slots=True)
class Blocker:
    """One reason why a pull request is not merged. `remedy` says what helps."""

    code: str
    text: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.text} {self.remedy}"


@dataclass(frozen=True, slots=True)
class PullView:
    """A pull request with everything that decides whether it may be merged."""

    pull: Pull
    url: str
    checks: tuple[Check, ...]
    approvals: tuple[str, ...]
    required: tuple[str, ...]
    blockers: tuple[Blocker, ...]
    paths: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Return plain data."""
        from dataclasses import asdict

        shown = asdict(self)
        del shown["pull"]
        return {**public(self.pull), **shown}


def public(pull: Pull) -> dict[str, Any]:
    """Return a pull request as plain data for programs."""
    shown = {field.name: getattr(pull, field.name) for field in fields(pull) if field.name != "merging"}
    return {**shown, "mergeable": pull.mergeable}
