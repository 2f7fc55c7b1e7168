"""Keeps environments, and writes down who let which job pass."""

from __future__ import annotations

import json
import re
import time
from dataclasses import asdict
from typing import TYPE_CHECKING

from windlass.pipelines.apply import subject
from windlass.pipelines.errors import ForbiddenError, NotFoundError, PipelinesError, StateError
from windlass.pipelines.gates import Approval, Environment
from windlass.pipelines.records import Job, Run
from windlass.pipelines.rerun import named

if TYPE_CHECKING:
    from collections.abc import Callable

    from windlass.identity import Principal
    from windlass.store import Row, Store, Transaction

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/ -]{0,99}")
MAX_WAIT = 30 * 86400.0
MAX_ITEMS = 100


class Environments:
    """The environments of all repositories. `wake` is called when somebody has decided."""

    def __init__(self, store: Store, wake: Callable[[], None]) -> None:
        self._store = store
        self._wake = wake

    async def put(self, environment: Environment, *, actor: str) -> None:
        """Keep an environment, replacing its rules. Raises `PipelinesError` for what cannot be kept."""
        _check(environment)
        row = {
            **{name: getattr(environment, name) for name in ("repository", "key", "name", "wait")},
            **{
                name: json.dumps(getattr(environment, name))
                for name in ("approvers", "branches", "variables")
            },
            "self_approval": int(environment.self_approval),
            "updated_at": time.time(),
        }

        def work(tx: Transaction) -> None:
            tx.run("environments.put", **row)
            facts = {name: value for name, value in asdict(environment).items() if name != "updated_at"}
            tx.record("environment.set", f"repo/{environment.repository}", actor=actor, **facts)

        await self._store.transact(work)
        self._wake()

    async def all(self, repository: str) -> list[Environment]:
        """Return the environments of a repository by name."""
        rows = await self._store.read("environments.of_repository", repository=repository)
        return [Environment.of(row) for row in rows]

    async def get(self, repository: str, name: str) -> Environment | None:
        """Return an environment; None where none of that name is kept, so that it has no rules."""
        row = await self._store.one("environments.environment", repository=repository, key=name.lower())
        return Environment.of(row) if row else None

    async def delete(self, repository: str, name: str, *, actor: str) -> None:
        """Forget an environment: what waits for it passes. Raises `NotFoundError`."""

        def work(tx: Transaction) -> None:
            if not tx.run("environments.delete", repository=repository, key=name.lower()):
                raise NotFoundError(f"{repository} has no environment {name}")
            tx.record("environment.deleted", f"repo/{repository}", actor=actor, name=name)

        await self._store.transact(work)
        self._wake()

    async def approvals(self, run: int) -> list[Approval]:
        """Return what was decided about a run's jobs, oldest first."""
        return [Approval.of(row) for row in await self._store.read("environments.approvals", run=run)]

    async def decide(
        self, run: int, job: str, who: Principal, *, approved: bool, comment: str = ""
    ) -> list[str]:
        """Let the jobs of this name that wait pass, or fail them; all that wait where the name is empty.

        Returns their keys. Raises `NotFoundError`, `StateError` where none waits, and `ForbiddenError` for who may
        not: anybody but a user who is named by the environment's rules.
        """
        if who.kind != "user":
            raise ForbiddenError(f"{who.name} is a {who.kind}: only a user may approve")

        def work(tx: Transaction) -> list[str]:
            return _decide(tx, run, job, who.name, approved=approved, comment=comment[:1000])

        keys = await self._store.transact(work)
        self._wake()
        return keys


def _decide(tx: Transaction, run: int, job: str, name: str, *, approved: bool, comment: str) -> list[str]:
    row = tx.one("pipelines.run", run=run)
    if row is None:
        raise NotFoundError(f"there is no run {run}: see `windlass runs`")
    jobs = [Job.of(found) for found in tx.run("jobs.current", run=run)]
    waiting = [found for found in jobs if found.status == "waiting" and (not job or named(job)(found))]
    if not waiting:
        raise StateError(f"run {run} has no job{f' {job}' if job else ''} that waits for an approval")
    keys = []
    for found in waiting:
        rules = _rules(tx, row, found)
        if rules is None or not rules.approvers:
            continue
        if not rules.may_approve(name, Run.of(row)):
            raise ForbiddenError(_refusal(rules, name, Run.of(row)))
        facts = {"environment": rules.name, "comment": comment}
        if tx.run(
            "environments.decide", job=found.id, approved=int(approved), by=name, at=time.time(), **facts
        ):
            kind = "job.approved" if approved else "job.rejected"
            tx.record(kind, subject(run), actor=name, job=found.id, **facts)
            keys.append(found.key)
    if not keys:
        raise StateError(f"no job of run {run} waits for an approval any more")
    return keys


def _rules(tx: Transaction, run: Row, job: Job) -> Environment | None:
    name = str((job.environment or {}).get("name", ""))
    row = tx.one("environments.environment", repository=run["repository"], key=name.lower())
    return Environment.of(row) if row else None


def _refusal(rules: Environment, name: str, run: Run) -> str:
    able = ", ".join(who for who in rules.approvers if rules.may_approve(who, run)) or "nobody"
    if name in rules.approvers:
        return f"{name} started run {run.id}, and who did may not approve for {rules.name}: {able} may"
    return f"{name} may not approve for {rules.name}: {able} may"


def _check(environment: Environment) -> None:
    if not NAME.fullmatch(environment.name):
        raise PipelinesError(
            f"{environment.name!r} cannot name an environment: letters, digits, . _ - / and spaces, at most 100"
        )
    if not 0 <= environment.wait <= MAX_WAIT:
        raise PipelinesError("an environment's wait timer is between 0 and 30 days")
    if any(
        len(part) > MAX_ITEMS for part in (environment.approvers, environment.branches, environment.variables)
    ):
        raise PipelinesError(f"an environment has at most {MAX_ITEMS} approvers, branches and variables each")
