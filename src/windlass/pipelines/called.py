"""Fetches what a run's jobs call, once, and keeps it with the run: afterwards it is always worked out of that."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from windlass.pipelines.apply import subject
from windlass.pipelines.diagnose import diagnostics_reason, findings
from windlass.pipelines.plan import read
from windlass.pipelines.reason import Reason
from windlass.pipelines.runplan import read_called
from windlass.repos import ReposError
from windlass.workflow import WorkflowError
from windlass.workflow.lock import COMMIT, read_lock, reference, used_by
from windlass.workflow.lock import PATH as LOCK
from windlass.workflow.reusable import MAX_DEPTH, calls, place

if TYPE_CHECKING:
    from windlass.pipelines.records import Run
    from windlass.pipelines.settings import Settings
    from windlass.repos import Git
    from windlass.store import Row, Store, Transaction
    from windlass.workflow import Parsed, Workflow
    from windlass.workflow.reusable import Called

MAX_FILES = 50
MAX_SOURCE = 1 << 20


@dataclass(slots=True)
class Found:
    """What was found of what jobs call: rows of `run_called`, and why others are not to be had.

    `pins` are those of the run by kind: `actions` and `images` of the run that it repeats, `lock`.
    """

    rows: dict[str, Row] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    pins: dict[str, dict[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Files:
    """A run's workflow with all that its jobs call. `broken` says why they do not fit together.

    `places`: repository and commit of each called file.
    """

    parsed: Parsed
    called: dict[str, Called]
    broken: Reason | None
    places: dict[str, tuple[str, str]]
    pins: dict[str, dict[str, str]]


class CalledFiles:
    """The workflow files that belong to runs."""

    def __init__(self, store: Store, git: Git, settings: Settings) -> None:
        self._store = store
        self._git = git
        self._settings = settings

    async def read(self, run: Run, workflow: Workflow, source: str) -> Files:
        """Return the workflow with those that its jobs call; at the first time they are fetched."""
        found = await self._found(run, workflow)
        files = frozenset((uses, str(row["source"])) for uses, row in found.rows.items())
        granted = frozenset(self._settings.permissions.items())
        parsed, called = read_called(source, run.path, files, granted)
        why = None
        if parsed.workflow is None or found.missing:
            why = diagnostics_reason(parsed, source)
            why = Reason(why.code, why.text, "\n".join([why.evidence, *found.missing]).strip(), why.remedy)
            await self._annotate(run, parsed)
        places = {uses: (str(row["repository"]), str(row["sha"])) for uses, row in found.rows.items()}
        return Files(parsed, called, why, places, found.pins)

    async def _found(self, run: Run, workflow: Workflow) -> Found:
        if not calls(workflow) and not used_by(workflow):
            return Found()
        pinned = await self._store.one("called.when", run=run.id)
        if pinned is None or pinned["pinned_at"] is None:
            return await self._fetch(run, workflow)
        rows = await self._store.read("called.of_run", run=run.id)
        pins: dict[str, dict[str, str]] = {}
        for row in await self._store.read("pins.of_run", run=run.id):
            pins.setdefault(row["kind"], {})[row["name"]] = row["value"]
        return Found({str(row["uses"]): row for row in rows}, pins=pins)

    async def _fetch(self, run: Run, workflow: Workflow) -> Found:
        found, wanted = Found(), calls(workflow)
        await self._lock(run, found)
        for _ in range(MAX_DEPTH):
            inner: list[str] = []
            for uses in wanted:
                if uses not in found.rows and len(found.rows) < MAX_FILES:
                    inner += await self._take(run, uses, found)
            wanted = inner

        def work(tx: Transaction) -> None:
            if tx.run("called.pinned", run=run.id, at=time.time()):
                for row in found.rows.values():
                    tx.run("called.insert", run=run.id, **row)
                    facts = {key: row[key] for key in ("uses", "repository", "sha")}
                    tx.record("run.called", subject(run.id), **facts)
                for name, commit in found.pins.get("lock", {}).items():
                    tx.run("pins.insert", run=run.id, kind="lock", name=name, value=commit)

        await self._store.transact(work)
        return found

    async def _lock(self, run: Run, found: Found) -> None:
        """Read the repository's lock file, where there is one."""
        try:
            content = await self._git.read_file(run.repository, run.sha, LOCK, limit=MAX_SOURCE)
            if content is not None:
                found.pins["lock"] = read_lock(content.decode("utf-8", "replace"))
        except (WorkflowError, ReposError) as error:
            found.missing.append(str(error))

    async def _take(self, run: Run, uses: str, found: Found) -> list[str]:
        """Fetch one file; returns what its own jobs call."""
        try:
            row = await self._file(run, uses)
            _check(uses, row["sha"], found.pins.get("lock", {}))
        except (WorkflowError, ReposError) as error:
            found.missing.append(f"{uses}: {error}")
            return []
        found.rows[uses] = row
        workflow = read(row["source"], uses).workflow
        return calls(workflow, uses) if workflow else []

    async def _file(self, run: Run, uses: str) -> Row:
        where = place(uses)
        repository = where.repository or run.repository
        if repository != run.repository and not self._shared(repository):
            raise WorkflowError(
                f"{run.repository} may not use the workflows of {repository}: name it under `shared_actions` in the "
                "server's settings"
            )
        sha = await self._git.resolve(repository, where.ref) if where.ref else run.sha
        if sha is None:
            raise WorkflowError(f"{repository} has no branch, tag or commit {where.ref}")
        content = await self._git.read_file(repository, sha, where.path, limit=MAX_SOURCE)
        if content is None:
            raise WorkflowError(f"{repository} has no {where.path} at {where.ref or sha}")
        text = content.decode("utf-8", "replace")
        return {"uses": uses, "repository": repository, "sha": sha, "path": where.path, "source": text}

    def _shared(self, repository: str) -> bool:
        return any(fnmatchcase(repository, pattern) for pattern in self._settings.shared_actions)

    async def _annotate(self, run: Run, parsed: Parsed) -> None:
        def work(tx: Transaction) -> None:
            for finding in findings(parsed):
                if finding["level"] == "error":
                    row = {"run": run.id, "job": None, "step": None, "at": time.time()}
                    tx.run("pipelines.insert_annotation", **row, **finding)

        await self._store.transact(work)


def _check(uses: str, sha: str, lock: dict[str, str]) -> None:
    """Refuse a workflow that is another one than the lock file says."""
    locked = lock.get(reference(uses) or "", "")
    if COMMIT.fullmatch(locked) and locked != sha:
        raise WorkflowError(f"{reference(uses)} has moved: {LOCK} says {locked}, it is {sha} now")
