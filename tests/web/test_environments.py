"""Environments over REST: who sets rules, who approves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from web.conftest import Site

PLACE = "/api/v1/repositories/acme/gated/environments"
RULES: dict[str, Any] = {"approvers": ["anna"], "branches": ["main"], "wait": 60}


async def hosted(site: Site) -> None:
    if "acme/gated" not in {found.name for found in await site.ports.hosting.list()}:
        await site.ports.hosting.create("acme/gated")


async def test_rules_are_an_administrators_to_set(fresh: Site) -> None:
    await hosted(fresh)
    async with await fresh.client("api:write:*") as client:
        assert (await client.put(f"{PLACE}/production", json=RULES)).status_code == 403
        assert (await client.delete(f"{PLACE}/production")).status_code == 403
    async with await fresh.client("admin") as client:
        assert (await client.put(f"{PLACE}/production", json=RULES)).status_code == 200
        (row,) = (await client.get(PLACE)).json()
        assert (row["name"], row["approvers"], row["wait"]) == ("production", ["anna"], 60)
        elsewhere = PLACE.replace("gated", "none")
        assert (await client.put(f"{elsewhere}/production", json=RULES)).status_code == 404
        assert (await client.get(elsewhere)).status_code == 404
        assert (await client.delete(f"{PLACE}/production")).status_code == 204
        assert (await client.delete(f"{PLACE}/production")).status_code == 404


@pytest.mark.parametrize(
    "wrong", [{"wait": -1}, {"wait": 1e9}, {"approvers": ["x"] * 101}, {"branches": "x"}]
)
async def test_what_cannot_be_a_rule_is_refused(fresh: Site, wrong: dict[str, Any]) -> None:
    await hosted(fresh)
    async with await fresh.client("admin") as client:
        assert (await client.put(f"{PLACE}/production", json=RULES | wrong)).status_code == 422


async def test_only_people_approve(site: Site) -> None:
    answers = {}
    for kind in ("user", "robot", "job"):
        token = await site.ports.identity.mint(kind, f"some-{kind}", ["admin"])
        async with await site.client() as client:
            answers[kind] = await client.post(
                "/api/v1/runs/3/approvals",
                json={"approved": True},
                headers={"Authorization": f"Bearer {token}"},
            )
    assert (answers["user"].status_code, answers["robot"].status_code, answers["job"].status_code) == (
        409,
        403,
        403,
    )
    assert "no job that waits" in answers["user"].json()["detail"]


async def test_what_cannot_be_repeated_or_run_again_is_told(site: Site) -> None:
    async with await site.client("admin") as client:
        assert (await client.post("/api/v1/runs/99/replay")).status_code == 404
        assert (await client.post("/api/v1/runs/99/rerun", params={"job": "test"})).status_code == 404
        shown = (await client.get("/api/v1/runs/1")).json()
    assert shown["pins"] == {"actions": {}, "images": {}, "workflows": {}}
    assert shown["deployments"] == []
