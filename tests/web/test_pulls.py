from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from windlass.identity import Principal
from windlass.pipelines.records import ZERO
from windlass.repos import Git, GitWriter, Identity, Repositories

if TYPE_CHECKING:
    from web.conftest import Site

REPO = "acme/pulled"
PULLS = f"/api/v1/repositories/{REPO}/pulls"
RULES = f"/api/v1/repositories/{REPO}/protections"
WRITER = Principal("user", "bert", ("admin",))
AUTHOR = Identity("Mallory", "m@example.org")


async def make(site: Site, number: int) -> str:
    """Have a repository, and a branch of this number with a change."""
    hosting = site.ports.hosting
    assert isinstance(hosting, Repositories)
    writer = GitWriter(hosting, WRITER)
    if REPO not in {found.name for found in await hosting.list()}:
        await hosting.create(REPO)
        await writer.commit_files(REPO, "main", {"a": b"a"}, "First", AUTHOR)
    branch, tip = f"feature-{number}", await Git(hosting).resolve(REPO, "main")
    assert tip
    await writer.move(REPO, branch, ZERO, tip)
    await writer.commit_files(REPO, branch, {f"b{number}": b"b"}, "Change", AUTHOR)
    return branch


async def test_one_is_opened_shown_approved_and_merged(fresh: Site) -> None:
    branch = await make(fresh, 1)
    async with await fresh.client("repo:write:acme/*") as client:
        opened = await client.post(PULLS, json={"head": branch, "body": "Because"})
        assert opened.status_code == 201
        number = opened.json()["number"]
        assert opened.json()["author"] == "anna"
        listed = (await client.get(PULLS)).json()
        assert [row["number"] for row in listed] == [number]
        refused = await client.post(f"{PULLS}/{number}/approvals", json={})
        assert (refused.status_code, "anna opened it" in refused.json()["detail"]) == (403, True)
        edited = await client.patch(f"{PULLS}/{number}", json={"title": "Better"})
        assert edited.json()["title"] == "Better"
        shown = (await client.get(f"{PULLS}/{number}")).json()
        # Nothing plans runs in this site, so that what is pushed is never done being planned.
        assert [check["state"] for check in shown["checks"]] == ["pending", "pending"]
        assert (shown["blockers"], shown["paths"], shown["mergeable"]) == ([], ["b1"], True)
        merged = await client.put(f"{PULLS}/{number}/merge", json={"method": "squash"})
        assert merged.status_code == 200
        assert merged.json()["merged_by"] == "anna"
        again = await client.put(f"{PULLS}/{number}/merge", json={})
        assert (again.status_code, "merged" in again.json()["detail"]) == (409, True)
        assert (await client.get(f"{PULLS}/{number + 100}")).status_code == 404


async def test_a_protected_branch_says_why_not(fresh: Site) -> None:
    branch = await make(fresh, 2)
    async with await fresh.client("admin") as admin:
        put = await admin.put(RULES, json={"pattern": "main", "checks": ["test"], "approvals": 1})
        assert put.status_code == 204
        number = (await admin.post(PULLS, json={"head": branch})).json()["number"]
        merged = await admin.put(f"{PULLS}/{number}/merge", json={})
        assert merged.status_code == 409
        for reason in ("'test' has not reported", "needs 1 approval of"):
            assert reason in merged.json()["detail"]
        codes = [one["code"] for one in (await admin.get(f"{PULLS}/{number}")).json()["blockers"]]
        assert codes == ["check-missing", "approval"]
        assert [rule["pattern"] for rule in (await admin.get(RULES)).json()] == ["main"]
        assert (await admin.delete(RULES, params={"pattern": "main"})).status_code == 204
        closed = await admin.patch(f"{PULLS}/{number}", json={"state": "closed"})
        assert closed.json()["state"] == "closed"
        again = await admin.patch(f"{PULLS}/{number}", json={"state": "open"})
        assert again.json()["state"] == "open"


Call = tuple[str, str, dict[str, Any] | None]
CALLS: list[Call] = [
    ("POST", PULLS, {"head": "feature-3"}),
    ("PATCH", f"{PULLS}/1", {"title": "x"}),
    ("PUT", f"{PULLS}/1/merge", {}),
    ("POST", f"{PULLS}/1/approvals", {}),
    ("PUT", RULES, {"pattern": "main"}),
    ("DELETE", f"{RULES}?pattern=main", None),
]


@pytest.mark.parametrize(("method", "path", "body"), CALLS, ids=lambda value: str(value)[:40])
@pytest.mark.parametrize(
    ("scopes", "status"),
    [((), 401), (("repo:read:acme/*", "api:write:*"), 403), (("repo:write:other/*",), 404)],
    ids=["nobody", "reader", "stranger"],
)
async def test_who_may_not_is_refused(  # noqa: PLR0917 a table
    fresh: Site, scopes: tuple[str, ...], status: int, method: str, path: str, body: dict[str, Any] | None
) -> None:
    await make(fresh, hash((scopes, method, path)) % 2**40 + 10)
    async with await fresh.client(*scopes) as client:
        found = await client.request(method, path, json=body)
    rules = path.startswith(RULES)
    assert found.status_code == (403 if rules and status == 404 else status)


async def test_who_may_not_read_sees_nothing(fresh: Site) -> None:
    await make(fresh, 4)
    async with await fresh.client("repo:read:other/*") as client:
        for path in (PULLS, f"{PULLS}/1", RULES):
            assert (await client.get(path)).status_code == 404
    async with await fresh.client("repo:read:acme/*") as client:
        for path in (PULLS, RULES):
            assert (await client.get(path)).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        {"head": ""},
        {"head": "x" * 300},
        {"head": "--upload-pack=evil"},
        {"head": "a..b"},
        {"head": "nowhere"},
        {"head": "feature-5", "title": "a\nb"},
        {"head": "feature-5", "base": "\x00"},
    ],
    ids=str,
)
async def test_what_makes_no_sense_is_refused(fresh: Site, body: dict[str, str]) -> None:
    if "feature-5" not in await _branches(fresh):
        await make(fresh, 5)
    async with await fresh.client("admin") as client:
        assert (await client.post(PULLS, json=body)).status_code == 422


async def _branches(site: Site) -> list[str]:
    hosting = site.ports.hosting
    assert isinstance(hosting, Repositories)
    if REPO not in {found.name for found in await hosting.list()}:
        return []
    return [ref.removeprefix("refs/heads/") for ref in await hosting.recorded_refs(REPO)]


async def test_a_repository_is_imported_followed_and_shown_without_its_secrets(fresh: Site) -> None:
    branch = await make(fresh, 90)
    source = str(fresh.data / "repos" / f"{REPO}.git")
    name = "/api/v1/repositories/acme/copy"
    async with await fresh.client("admin") as admin:
        body = {"source": source, "name": "acme/copy", "poll": 30, "forge": "nothing"}
        assert (await admin.post("/api/v1/repositories/import", json=body)).status_code == 422
        body |= {"forge": "git", "credential": {"user": "x", "password": "very-secret-token"}}
        made = await admin.post("/api/v1/repositories/import", json=body)
        assert (made.status_code, made.json()["remote"]["follows"]) == (201, True)
        hook = (await admin.put(f"{name}/webhook", json={})).json()
        assert (hook["url"], len(hook["secret"])) == ("http://windlass.test/hooks/acme/copy", 40)
        shown = await admin.get(name)
        assert (shown.json()["remote"]["url"], shown.json()["remote"]["poll"]) == (source, 30)
        page = await admin.get("/repositories")
        assert f"{source}, every 30 s, by webhook" in page.text
        for answer in (made, shown, page):
            assert "very-secret-token" not in answer.text
            assert hook["secret"] not in answer.text
        refused = await admin.post(f"{name}/pulls", json={"head": branch})
        assert (refused.status_code, "open the pull request there" in refused.text) == (409, True)
        assert (await admin.put(f"{name}/poll", json={"seconds": 1})).status_code == 422
        assert (await admin.put(f"{name}/poll", json={"seconds": None})).status_code == 204
        assert (await admin.delete(f"{name}/remote")).status_code == 204
        assert (await admin.get(name)).json()["remote"] is None
    async with await fresh.client("repo:write:acme/*", "api:write:*") as writer:
        assert (await writer.put(f"{name}/webhook", json={})).status_code == 403
        assert (await writer.delete(f"{name}/remote")).status_code == 403
    async with await fresh.client("repo:read:other/*") as stranger:
        assert (await stranger.get(name)).status_code == 404


async def test_a_release_is_made_listed_and_deleted(fresh: Site) -> None:
    await make(fresh, 91)
    path = f"/api/v1/repositories/{REPO}/releases"
    async with await fresh.client("repo:write:acme/*") as client:
        made = await client.post(path, json={"tag": "team/v1", "draft": True})
        assert (made.status_code, made.json()["draft"]) == (201, True)
        published = await client.patch(f"{path}/team/v1", json={"draft": False})
        assert (published.status_code, len(published.json()["sha"])) == (200, 40)
        assert [row["tag"] for row in (await client.get(path)).json()] == ["team/v1"]
        assert (await client.delete(f"{path}/team/v1")).status_code == 204
        assert (await client.delete(f"{path}/team/v1")).status_code == 404
    async with await fresh.client("repo:read:acme/*") as reader:
        assert (await reader.post(path, json={"tag": "v2"})).status_code == 403
