"""Where a commit stands, as a function of the deliveries of what it published."""

from __future__ import annotations

from typing import Any

import pytest

from windlass.web.api.commits import deciding

SITE = Any
UNKNOWN = [
    ("POST", "/applications/nope/sync", "there is no Application nope; there are: web"),
    ("DELETE", "/holds/nope", "there is no Application nope; there are: web"),
    (
        "GET",
        "/runs?repository=acme/nope",
        "No repository acme/nope is hosted here. `windlass repo list` shows all",
    ),
    ("GET", "/runs?repository=nope", "nope"),
    ("GET", "/runs/999", "there is no run 999: see `windlass runs`"),
    ("GET", "/runs/1/logs?job=test&step=99", "job test of run 1 has no step 99: its steps are 0, 1"),
    ("GET", "/repositories/acme/nope/environments", "No repository acme/nope is hosted here."),
    ("GET", "/runs/999/logs", "there is no run 999: see `windlass runs`"),
    (
        "GET",
        "/commits/abcdef1",
        "no push brought a commit abcdef1 to a repository here: `windlass runs` shows",
    ),
    ("GET", "/secrets?scope=acme/nope", "No repository acme/nope is hosted here."),
    ("GET", "/deliveries/999", "there is no delivery 999"),
]


@pytest.mark.parametrize(("method", "path", "said"), UNKNOWN)
async def test_what_is_not_there_is_named_and_what_is_there_as_well(
    site: SITE, method: str, path: str, said: str
) -> None:
    async with await site.client("admin") as client:
        answer = await client.request(method, f"/api/v1{path}", json={} if method == "POST" else None)
    assert answer.status_code in {404, 422}
    assert said in answer.json()["detail"]


def delivery(number: int, state: str, template: str, application: str = "argocd/web") -> dict[str, Any]:
    return {
        "delivery": {"id": number, "state": state, "application": application},
        "deployment": {"templates": {"Deployment/web/web": template}} if template else None,
    }


SETTING_BROKEN = [delivery(1, "live", "good"), delivery(2, "rolled_back", "bad")]


@pytest.mark.parametrize(
    ("found", "number"),
    [
        ([], None),
        ([delivery(1, "progressing", "a")], 1),
        ([delivery(1, "rolled_back", "a")], 1),
        ([delivery(1, "rolled_back", "a"), delivery(2, "live", "b")], 2),
        (SETTING_BROKEN, 1),
        ([delivery(1, "live", "good"), delivery(2, "verifying", "bad")], 1),
        ([*SETTING_BROKEN, delivery(3, "waiting", "")], 1),
        ([*SETTING_BROKEN, delivery(3, "verifying", "good")], 3),
        ([*SETTING_BROKEN, delivery(3, "live", "good")], 3),
        ([delivery(1, "live", "good"), delivery(2, "rolled_back", "good")], 2),
        ([delivery(1, "live", "a", "argocd/test"), delivery(2, "held", "b", "argocd/prod")], 2),
        ([delivery(1, "verifying", "a", "argocd/test"), delivery(2, "live", "b", "argocd/prod")], 1),
        ([delivery(1, "failed", "a", "argocd/test"), delivery(2, "live", "b", "argocd/prod")], 1),
    ],
)
def test_a_commit_stands_by_what_deploys_it(found: list[dict[str, Any]], number: int | None) -> None:
    chosen = deciding(found)
    assert (chosen["id"] if chosen else None) == number
