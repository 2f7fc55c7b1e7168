"""Things that happened and may start runs: one row each, recorded once, planned once.

Pushes have their own record (`repos`); everything else that `on:` can name stands here.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from windlass.store import Row, Transaction

MAX_CHAIN = 3
"""How many `workflow_run` events may follow each other, as on GitHub."""
BY_JOBS = frozenset({"workflow_dispatch", "repository_dispatch"})
"""What starts runs even where a job's token caused it."""
ON_MERGES = frozenset(
    {
        "pull_request",
        "pull_request_review",
        "pull_request_review_comment",
        "pull_request_comment",
        "merge_group",
    }
)
"""Events that run on a merge commit: where there is none, there is nothing to run on."""


class Actor(NamedTuple):
    """The principal who caused something: never what a commit says of itself."""

    name: str
    kind: str = "user"


@dataclass(frozen=True, slots=True, kw_only=True)
class Occurrence:
    """Something that happened in a repository.

    `key` names it for ever: recording it twice records it once. `event` and `action` are GitHub's. `ref` is the
    full ref to run on (empty: the default branch) and `sha` the commit (empty: the ref's newest). `path` is set
    where one workflow file alone is meant. `actor` is the principal who caused it, of `actor_kind` user, job, robot,
    `forge` or `windlass`. `title` names runs of it. `depth` counts `workflow_run` events since the first run.
    `paths` are the files that changed, None where not known. Times are seconds since the epoch; `planned_at` is
    None until it is planned, then `runs` says how many it started and `reason` why none.
    """

    key: str
    repository: str
    event: str
    actor: str
    actor_kind: str
    action: str = ""
    ref: str = ""
    sha: str = ""
    path: str | None = None
    title: str = ""
    depth: int = 0
    payload: dict[str, Any] = field(default_factory=dict)
    paths: tuple[str, ...] | None = None
    id: int = 0
    created_at: float = 0.0
    planned_at: float | None = None
    runs: int = 0
    reason: str = ""

    @classmethod
    def of(cls, row: Row) -> Occurrence:
        """Build the record from its row."""
        values = {item.name: row[item.name] for item in fields(cls)}
        paths = None if row["paths"] is None else tuple(json.loads(row["paths"]))
        return cls(**{**values, "payload": json.loads(row["payload"]), "paths": paths})

    def brief(self) -> dict[str, Any]:
        """Return it without its payload and paths, as lists show it."""
        return {name: value for name, value in asdict(self).items() if name not in {"payload", "paths"}}


def record(tx: Transaction, item: Occurrence) -> int | None:
    """Record it in this transaction and return its id; None where its key is known already."""
    added = tx.one(
        "occurrences.add",
        key=item.key,
        repository=item.repository,
        event=item.event,
        action=item.action,
        ref=item.ref,
        sha=item.sha,
        path=item.path,
        actor=item.actor,
        actor_kind=item.actor_kind,
        title=item.title,
        depth=item.depth,
        payload=json.dumps(item.payload),
        paths=None if item.paths is None else json.dumps(item.paths),
        created_at=item.created_at or time.time(),
    )
    if added is None:
        return None
    told = {"occurrence": added["id"], "event": item.event, "action": item.action}
    tx.record("occurrence", f"repo/{item.repository}", actor=f"{item.actor_kind}/{item.actor}", **told)
    return int(added["id"])


def refusal(item: Occurrence) -> str:
    """Why it starts nothing whatever the files say; empty when it may. Pure."""
    if item.actor_kind == "job" and item.event not in BY_JOBS:
        return "it was caused with a job's token, which starts no runs (as on GitHub)"
    if item.depth > MAX_CHAIN:
        return f"workflow_run events follow each other {MAX_CHAIN} levels deep at most (as on GitHub)"
    if item.event in ON_MERGES and not item.sha:
        return "there is no merge commit to run on: it conflicts with its base branch"
    return ""
