"""What runs say of a commit, for pull requests that wait for it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from windlass.repos.pulls import Check

if TYPE_CHECKING:
    from collections.abc import Iterable

    from windlass.pipelines import Pipelines, Run
    from windlass.store import Store

GOOD = {"success", "skipped", "neutral"}
PLANNING = 3600.0
"""Seconds in which a plan is waited for; after that there is none, whatever the records say."""


def state_of(status: str, conclusion: str | None) -> str:
    """Return `success`, `failure` or `pending`. What was skipped does not stand in the way, as on GitHub."""
    if status != "completed":
        return "pending"
    return "success" if conclusion in GOOD else "failure"


def newest(runs: Iterable[Run]) -> list[Run]:
    """Return of each workflow and event the newest run."""
    found = {(run.path, run.event): run for run in sorted(runs, key=lambda run: run.id)}
    return list(found.values())


class RunChecks:
    """`repos.pulls.Checks` over runs: each run is a check under its workflow's name, and each of its jobs is one."""

    def __init__(self, store: Store, runs: Pipelines, url: str) -> None:
        self._store = store
        self._runs = runs
        self._url = url

    async def of_commit(self, repository: str, sha: str) -> list[Check]:
        """Return the newest result of each check on exactly this commit; `pending` where runs are not planned yet."""
        if not sha:
            return []
        found: list[Check] = []
        for run in newest(await self._runs.runs_of_commit(repository, sha)):
            url = f"{self._url}/runs/{run.id}"
            found.append(Check(run.workflow, state_of(run.status, run.conclusion), url, run.workflow))
            found += [
                Check(job.name, state_of(job.status, job.conclusion), f"{url}/jobs/{job.key}", run.workflow)
                for job in await self._runs.jobs(run.id)
            ]
        since = time.time() - PLANNING
        if await self._store.one("checks.unplanned", repository=repository, sha=sha, since=since):
            found.append(Check("(runs are being planned)", "pending", f"{self._url}/runs"))
        return found
