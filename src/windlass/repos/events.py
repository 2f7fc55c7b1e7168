"""What happens to a repository besides pushes: pull requests, releases, branches and tags that come and go.

Each is one row and one ledger entry `forge.event` in the same transaction. Workflows run because of them.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import uuid4

if TYPE_CHECKING:
    from windlass.store import Row, Transaction

MAX_PATHS = 3000
"""Changed paths that are kept; of more the event does not say which (GitHub compares 3,000 as well)."""


@dataclass(frozen=True, slots=True)
class RepoEvent:
    """One event of a repository. Ids grow in the order in which events were recorded.

    `name` and `action` are GitHub's: `pull_request` and `opened`; `action` is empty where the event has none.
    `ref` and `sha` are what GITHUB_REF and GITHUB_SHA are to be. `sha` is empty where there is nothing to run
    on: a pull request that conflicts with its base has no merge commit. `actor` is the principal who did it
    (of `actor_kind` `user`, `job`, `robot`; `forge` where a forge told its login), never what a commit says.
    `payload` is that of GitHub's webhook. `paths` are the files that differ, None where that is not known or
    means nothing. `created_at` is in seconds since the epoch.
    """

    id: int
    repository: str
    name: str
    action: str
    ref: str
    sha: str
    actor: str
    actor_kind: str
    payload: dict[str, Any]
    paths: tuple[str, ...] | None
    created_at: float


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event to be recorded. `source` names what made it, so that it is recorded once; by default it is unique."""

    name: str
    action: str
    ref: str
    sha: str
    actor: str
    actor_kind: str
    payload: dict[str, Any]
    paths: tuple[str, ...] | None = None
    source: str = field(default_factory=lambda: uuid4().hex)


def event_from_row(row: Row) -> RepoEvent:
    """Return the record of a row of `repo_events`."""
    paths = None if row["paths"] is None else tuple(json.loads(row["paths"]))
    return RepoEvent(**{**row, "payload": json.loads(row["payload"]), "paths": paths})


def write_event(tx: Transaction, repository: str, event: NewEvent) -> int | None:
    """Record an event in this transaction and return its id; None if one of this source is there already."""
    few = event.paths is not None and len(event.paths) <= MAX_PATHS
    row: dict[str, Any] = {
        "name": event.name,
        "action": event.action,
        "ref": event.ref,
        "sha": event.sha,
        "actor": event.actor,
        "actor_kind": event.actor_kind,
        "payload": json.dumps(event.payload),
        "paths": json.dumps(event.paths) if few else None,
        "source": event.source,
    }
    added = tx.one("repo_events.add", repository=repository, created_at=time.time(), **row)
    if added is None:
        return None
    told = {"id": added["id"], "name": event.name, "action": event.action, "ref": event.ref}
    tx.record("forge.event", f"repo/{repository}", actor=f"{event.actor_kind}/{event.actor}", **told)
    return int(added["id"])
