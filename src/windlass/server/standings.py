"""How the commits of a repository stand, for the forge that it comes from: its runs, and what they delivered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from windlass.repos.forges import Standing
from windlass.server.checks import GOOD

if TYPE_CHECKING:
    from windlass.delivery import Deliveries, Record
    from windlass.pipelines import Pipelines, Run

RECENT = 100
"""Runs that are looked at: what happened before the last hundred was told long ago."""
COMMITS = 30
"""Commits whose deliveries are looked at."""
LIVE = {
    "live": "success",
    "superseded": "success",
    "rolled_back": "failure",
    "failed": "failure",
    "held": "failure",
}


def of_run(run: Run, url: str) -> Standing:
    """Return what to say of a run."""
    if run.status != "completed":
        state, text = "pending", "It runs" if run.status == "in_progress" else "It waits to run"
    else:
        seconds = (run.finished_at or 0.0) - (run.started_at or run.finished_at or 0.0)
        state = "success" if run.conclusion in GOOD else "failure"
        state = "error" if run.conclusion == "cancelled" else state
        text = f"{(run.conclusion or 'over').capitalize()} after {seconds:.0f} s"
    context = f"windlass / {run.workflow} ({run.event})"
    return Standing(run.repository, run.sha, context, state, text, f"{url}/runs/{run.id}")


def of_delivery(repository: str, sha: str, delivery: Record, url: str) -> Standing:
    """Return what to say of a delivery: a commit is done when it is verified live."""
    name = delivery.application.rpartition("/")[2]
    text = delivery.state.replace("_", " ").capitalize()
    if delivery.reason and delivery.state != "live":
        text = f"{text}: {delivery.reason}"
    state = LIVE.get(delivery.state, "pending")
    address = f"{url}/deliveries/{delivery.id}"
    return Standing(repository, sha, f"windlass / delivery / {name}", state, text, address)


class ServerStandings:
    """`repos.forges.Standings` over runs and deliveries."""

    def __init__(self, runs: Pipelines, deliveries: Deliveries, url: str) -> None:
        self._runs = runs
        self._deliveries = deliveries
        self._url = url

    async def of_repository(self, repository: str) -> list[Standing]:
        """Return how the repository's recent commits stand, the newest last."""
        runs = list(reversed(await self._runs.runs(repository, limit=RECENT)))
        found = [of_run(run, self._url) for run in runs]
        for sha in list(dict.fromkeys(run.sha for run in reversed(runs)))[:COMMITS]:
            carried = await self._deliveries.of_commit(repository, sha)
            found += [
                of_delivery(repository, sha, item, self._url)
                for item in sorted(carried, key=lambda item: item.id)
            ]
        return found
