"""The record of pushes: each ref update becomes one row and one ledger entry, once, whatever was lost.

A push has a *session*: an id that the server chooses, which git writes into the reflog (as the e-mail of who
moved the ref). So a movement that was recorded and one that was not can be told apart after a crash, and
who pushed is known without the hook that was to say so.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import defaultdict
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from windlass.repos import commands
from windlass.repos.parsing import LogLine, parse_reflog, parse_refs
from windlass.repos.process import run
from windlass.repos.records import ZERO, Push

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from windlass.store import Row, Store, Transaction

SESSION_DOMAIN = "@push.windlass"
KINDS = ("user", "job", "robot", "forge")
TAIL = 1 << 20
"""How much of a reflog's end is read, in bytes: some thousands of movements since the last record."""


@dataclass(frozen=True, slots=True)
class Update:
    """One movement of a ref, to be recorded."""

    ref: str
    before: str
    after: str
    pusher: str = ""
    pusher_kind: str = "unknown"
    session: str = ""
    at: float = 0.0
    options: tuple[str, ...] = ()


def committer(kind: str, name: str, session: str) -> dict[str, str]:
    """Return the environment that makes git write principal and session into the reflog."""
    return {"GIT_COMMITTER_NAME": f"{kind}:{name}", "GIT_COMMITTER_EMAIL": f"{session}{SESSION_DOMAIN}"}


def _from_log(ref: str, line: LogLine) -> Update:
    kind, _, name = line.name.partition(":")
    ours = line.email.endswith(SESSION_DOMAIN) and kind in KINDS
    digest = hashlib.sha256(f"{line}".encode(errors="surrogateescape")).hexdigest()
    return Update(
        ref,
        line.before,
        line.after,
        pusher=name if ours else line.name,
        pusher_kind=kind if ours else "unknown",
        session=line.email.removesuffix(SESSION_DOMAIN) if ours else f"reflog:{digest[:32]}",
        at=line.at,
    )


def unseen(
    ref: str, recorded: str, current: str, lines: Sequence[LogLine], known: Collection[str]
) -> list[Update]:
    """Return the movements of a ref that lead from what was recorded to what it is now, oldest first.

    What the reflog tells is taken as it stands, from after the last movement of a known session or, where
    none is known, the last that ended at `recorded`; gaps in it become movements of an unknown pusher.
    """
    updates = [_from_log(ref, line) for line in lines if line.before != line.after]
    start = 0
    for number, update in enumerate(updates, 1):
        if update.session in known:
            start = number
    if not start and recorded != ZERO:
        ends = [number for number, update in enumerate(updates, 1) if update.after == recorded]
        start = ends[-1] if ends else 0
    path: list[Update] = []
    at = recorded
    for update in updates[start:]:
        if update.before != at:
            path.append(_gap(ref, at, update.before))
        path.append(update)
        at = update.after
    if at != current:
        path.append(_gap(ref, at, current))
    return path


def _gap(ref: str, before: str, after: str) -> Update:
    stamp = time.time()
    return Update(ref, before, after, session=f"gap:{stamp:.6f}:{before[:8]}:{after[:8]}", at=stamp)


def push_from_row(row: Row) -> Push:
    """Return the record of a row of `pushes`."""
    fields = ("id", "repo", "ref", "pusher", "pusher_kind", "at")
    return Push(
        before=row["old_sha"],
        after=row["new_sha"],
        options=tuple(json.loads(row["options"])),
        **{field: row[field] for field in fields},
    )


def write(tx: Transaction, repo: str, updates: Sequence[Update]) -> list[Push]:
    """Record `updates` in this transaction; one whose session is recorded already is passed over."""
    pushes = []
    for update in updates:
        row = {
            "repo": repo,
            "ref": update.ref,
            "old_sha": update.before,
            "new_sha": update.after,
            "pusher": update.pusher or "unknown",
            "pusher_kind": update.pusher_kind,
            "at": update.at or time.time(),
            "options": json.dumps(update.options),
            "session": update.session,
        }
        added = tx.one("repos.add_push", **row)
        if added is None:
            continue
        push = push_from_row({**row, "id": added["id"]})
        pushes.append(push)
        if update.after == ZERO:
            tx.run("repos.drop_ref", repo=repo, ref=update.ref)
        else:
            tx.run("repos.set_ref", repo=repo, ref=update.ref, sha=update.after)
        data = {"id": push.id, "ref": push.ref, "before": push.before, "after": push.after}
        who = {"pusher": push.pusher, "pusher_kind": push.pusher_kind}
        tx.record("push", f"repo/{repo}", actor=f"{push.pusher_kind}/{push.pusher}", **data, **who)
    return pushes


def _read_log(path: Path) -> list[LogLine]:
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - TAIL))
            return parse_reflog(file.read().decode(errors="surrogateescape"))
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return []


def _moved_since(log: Path, since: float) -> bool:
    """Tell whether a ref moved (and perhaps came back to where it was) after a time."""
    try:
        return log.stat().st_mtime > since
    except OSError:
        return False


class Recorder:
    """Records pushes; one at a time for each repository, so that they are recorded in the order of their refs."""

    PATIENCE = 2.0
    """Seconds to wait for the hook of an earlier push to the same ref before its movement is taken from the reflog."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._locks: defaultdict[str, anyio.Lock] = defaultdict(anyio.Lock)

    async def record(self, repo: str, path: Path, updates: Sequence[Update]) -> list[Push]:
        """Record what one push moved, and return all records of its session.

        A ref may have moved in several steps; the last of them bears the session that stands in the reflog.
        """
        deadline = time.monotonic() + self.PATIENCE
        session = updates[-1].session if updates else ""
        while True:
            async with self._locks[repo]:
                late = time.monotonic() >= deadline
                if late:
                    await self._absorb(repo, path)
                rows = await self._store.read("repos.pushes_of_session", repo=repo, session=session)
                known = {row["ref"] for row in rows}
                fresh = [update for update in updates if update.ref not in known]
                if late or known or await self._follows(repo, updates):
                    await self._store.transact(partial(write, repo=repo, updates=fresh))
                    break
            await anyio.sleep(0.02)
        sessions = dict.fromkeys([*(update.session for update in updates), session])
        found = [
            row
            for one in sessions
            for row in await self._store.read("repos.pushes_of_session", repo=repo, session=one)
        ]
        return [push_from_row(row) for row in sorted(found, key=lambda row: int(row["id"]))]

    async def _follows(self, repo: str, updates: Sequence[Update]) -> bool:
        """Tell whether each update starts where the record, and those before it, stand."""
        recorded = await self._recorded(repo)
        for update in updates:
            if recorded.get(update.ref, ZERO) != update.before:
                return False
            recorded[update.ref] = update.after
        return True

    async def absorb(self, repo: str, path: Path) -> list[Push]:
        """Compare a repository's refs with the record, record what is missing, and return it."""
        async with self._locks[repo]:
            return await self._absorb(repo, path)

    async def _recorded(self, repo: str) -> dict[str, str]:
        return {row["ref"]: row["sha"] for row in await self._store.read("repos.refs", repo=repo)}

    async def _absorb(self, repo: str, path: Path) -> list[Push]:
        _, output = await run(commands.refs(path))
        current, recorded = parse_refs(output), await self._recorded(repo)
        row = await self._store.one("repos.last_push", repo=repo)
        since = row["at"] - 1 if row and row["at"] else 0.0
        updates: list[Update] = []
        for ref in sorted(current.keys() | recorded.keys()):
            now, then = current.get(ref, ZERO), recorded.get(ref, ZERO)
            if now != then or _moved_since(path / "logs" / ref, since):
                updates += await self._path(repo, path, ref, then, now)
        updates.sort(key=lambda update: update.at)
        return await self._store.transact(lambda tx: write(tx, repo, updates)) if updates else []

    async def _path(self, repo: str, path: Path, ref: str, then: str, now: str) -> list[Update]:
        lines = await anyio.to_thread.run_sync(_read_log, path / "logs" / ref)
        rows = await self._store.read("repos.sessions", repo=repo, ref=ref)
        return unseen(ref, then, now, lines, {row["session"] for row in rows})

    def forget(self, repo: str) -> None:
        """Drop what is kept for a repository that is gone."""
        self._locks.pop(repo, None)


def baseline(tx: Transaction, repo: str, refs: Mapping[str, str]) -> None:
    """Take `refs` as seen, without pushes (after an import)."""
    for ref, sha in refs.items():
        tx.run("repos.set_ref", repo=repo, ref=ref, sha=sha)
