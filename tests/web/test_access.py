"""Who gets in: tokens, scopes, sessions, other sites' pages, sizes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import anyio
import httpx2
import pytest

from windlass.identity import Principal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SITE = Any
OPEN = {"/healthz", "/login", "/static"}
OURS = {"Origin": "http://windlass.test"}


def routes(app: Any) -> list[tuple[str, str]]:
    document = app.openapi()["paths"]
    api = [(method.upper(), path) for path, ways in document.items() for method in ways]
    pages = [
        "/",
        "/runs",
        "/runs/1",
        "/runs/1/jobs/test",
        "/runs/1/artifacts/x",
        "/deliveries",
        "/deliveries/1",
    ]
    pages += ["/applications", "/applications/a/b", "/repositories", "/commits/abcdef0"]
    pages += [f"/a/b{rest}" for rest in ("", "/pulls", "/pull/1", "/events", "/dispatch", "/releases")]
    buttons = ["/logout", "/a/b/dispatch"]
    buttons += [f"/a/b/pull/1/{what}" for what in ("merge", "approve", "state")]
    buttons += [f"/runs/1/{what}" for what in ("approvals", "cancel", "rerun", "replay")]
    return (
        api
        + [("GET", path) for path in pages]
        + [("POST", path) for path in buttons]
        + [("GET", "/nowhere"), ("GET", "/login/x")]
    )


async def test_everything_but_the_door_asks_who_is_there(site: SITE) -> None:
    assert len(routes(site.app)) > 30
    async with await site.client() as client:
        for method, path in [*routes(site.app), ("GET", "/api/v1/openapi.json"), ("GET", "/api/v1/nowhere")]:
            answer = await client.request(method, path.replace("{", "").replace("}", ""))
            if path.startswith(("/api/", "/events")):
                assert answer.status_code == 401, (method, path)
                assert answer.headers["WWW-Authenticate"].startswith("Bearer"), path
                assert set(answer.json()) == {"detail"}
            else:
                assert answer.status_code == 303, (method, path)
                assert answer.headers["Location"].startswith("/login?next="), path
        for path in ("/healthz", "/login", "/static/windlass.css"):
            assert (await client.get(path)).status_code == 200


@pytest.mark.parametrize("header", ["Bearer wrong", "Bearer ", "Basic !!!", "Digest x", ""])
async def test_bad_credentials_are_nobody(site: SITE, header: str) -> None:
    async with await site.client(Authorization=header) as client:
        assert (await client.get("/api/v1/runs")).status_code == 401


async def test_the_way_back_keeps_the_question(site: SITE) -> None:
    async with await site.client() as client:
        answer = await client.get("/runs/1/jobs/test?step=2")
    assert answer.headers["Location"] == "/login?next=/runs/1/jobs/test%3Fstep%3D2"


NEEDED = [
    ("GET", "/runs", "api:read"),
    ("POST", "/runs/1/cancel", "api:write"),
    ("POST", "/runs", "api:write"),
    ("GET", "/deliveries", "api:read"),
    ("DELETE", "/holds/web", "api:write"),
    ("POST", "/applications/web/sync", "api:write"),
    ("POST", "/repositories/import", "api:admin"),
    ("DELETE", "/repositories/acme/web", "api:admin"),
    ("PUT", "/secrets", "api:admin"),
    ("GET", "/secrets?scope=acme/web", "api:admin"),
    ("POST", "/tokens", "api:admin"),
    ("GET", "/tokens", "api:admin"),
    ("POST", "/kubeconfig", "kube:read"),
    ("GET", "/commits/abcdef0", "api:read"),
]


@pytest.mark.parametrize(("method", "path", "scope"), NEEDED)
async def test_a_scope_that_is_missing_is_named(site: SITE, method: str, path: str, scope: str) -> None:
    weaker = {"api:write": "api:read:*", "api:admin": "api:write:*"}.get(scope, "registry:read:*")
    async with await site.client(weaker) as client:
        answer = await client.request(method, f"/api/v1{path}", json={})
    if answer.status_code == 422:  # what is wrong with the body is told first; only then may is asked
        pytest.fail(f"{path} judged the body of one who may not: {answer.text}")
    assert (answer.status_code, scope in answer.json()["detail"]) == (403, True), answer.text


async def test_pages_need_the_right_to_read(site: SITE) -> None:
    async with await site.client("registry:read:*", cookie=True) as client:
        answer = await client.get("/runs")
    assert (answer.status_code, "api:read" in answer.text) == (403, True)
    assert answer.headers["Content-Type"].startswith("text/html")


async def test_repositories_are_shown_to_those_who_may_read_them(site: SITE) -> None:
    async with await site.client("api:read:*", "repo:read:other/*") as client:
        assert (await client.get("/api/v1/repositories")).json() == []
    async with await site.client("api:read:*", "repo:read:acme/*") as client:
        assert [row["name"] for row in (await client.get("/api/v1/repositories")).json()] == ["acme/web"]


async def test_a_secret_for_a_repository_that_is_not_there_is_refused(site: SITE) -> None:
    body = {"scope": "acme/wbe", "name": "KEY", "value": "x"}
    async with await site.client("admin") as client:
        answer = await client.put("/api/v1/secrets", json=body)
    assert answer.status_code == 404
    assert answer.json()["detail"].startswith("No repository acme/wbe is hosted here.")


async def test_secrets_never_come_back(site: SITE) -> None:
    value = "hunter2-hunter2"
    async with await site.client("admin") as client:
        body = {"scope": "acme/web", "name": "PASSWORD", "value": value}
        answers = [await client.put("/api/v1/secrets", json=body)]
        assert answers[0].status_code == 204
        for wrong in (
            {**body, "name": "1 bad"},
            {**body, "scope": "../x"},
            {"value": value},
            {**body, "value": [value]},
        ):
            answers.append(await client.put("/api/v1/secrets", json=wrong))
            assert answers[-1].status_code == 422
            assert isinstance(answers[-1].json()["detail"], str)
        answers += [await client.get(path) for path in ("/api/v1/secrets?scope=acme/web", "/api/v1/tokens")]
        assert [row["name"] for row in answers[-2].json()] == ["KEY", "PASSWORD"]
        made = (await client.post("/api/v1/tokens", json={"name": "bob", "scopes": ["api:read:*"]})).json()
        answers.append(await client.get("/api/v1/tokens"))
    assert made["token"] not in answers[-1].text
    assert all(value not in answer.text for answer in answers)
    rows = await site.store.read("ledger.latest", limit=100)
    assert all(value not in row["data"] and made["token"] not in row["data"] for row in rows)


FORGED: list[dict[str, str]] = [
    {"Origin": "http://evil.test"},
    {"Origin": "null"},
    {"Referer": "http://evil.test/windlass.test"},
    {},
]


@pytest.mark.parametrize("headers", FORGED)
@pytest.mark.parametrize(("method", "path"), [("POST", "/api/v1/login-links"), ("POST", "/logout")])
async def test_pages_of_others_cannot_use_the_session(
    site: SITE, headers: dict[str, str], method: str, path: str
) -> None:
    async with await site.client("admin", cookie=True) as client:
        assert (await client.request(method, path, headers=headers)).status_code == 403
        assert (await client.get("/api/v1/whoami")).status_code == 200


async def test_our_own_pages_may(site: SITE) -> None:
    async with await site.client("admin", cookie=True) as client:
        assert (await client.post("/api/v1/login-links", headers=OURS)).status_code == 201


async def test_a_token_needs_no_origin_but_a_foreign_one_is_refused(site: SITE) -> None:
    async with await site.client("admin") as client:
        assert (await client.post("/api/v1/login-links")).status_code == 201
        foreign = await client.post("/api/v1/login-links", headers={"Origin": "http://evil.test"})
    assert foreign.status_code == 403


@pytest.fixture
async def browser(site: SITE) -> AsyncIterator[httpx2.AsyncClient]:
    transport = httpx2.ASGITransport(app=site.app)
    async with httpx2.AsyncClient(
        transport=transport, base_url="http://windlass.test", headers=OURS
    ) as client:
        yield client


async def test_a_login_link_works_once(site: SITE, browser: httpx2.AsyncClient) -> None:
    async with await site.client("admin") as client:
        link = (await client.post("/api/v1/login-links")).json()["url"]
    first = await browser.get(f"{link}&next=/runs")
    assert (first.status_code, first.headers["Location"]) == (303, "/runs")
    cookie = first.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert (await browser.get("/runs")).status_code == 200
    browser.cookies.clear()
    again = await browser.get(link)
    assert (again.status_code, "Set-Cookie" in again.headers) == (401, False)


async def test_logging_out_ends_the_session(site: SITE, browser: httpx2.AsyncClient) -> None:
    token = await site.ports.identity.mint("user", "carla", ["api:read:*"])
    assert (await browser.post("/login", data={"token": token})).status_code == 303
    session = browser.cookies["windlass_session"]
    assert session != token
    assert (await browser.post("/logout")).headers["Location"] == "/login"
    browser.cookies.set("windlass_session", session)
    assert (await browser.get("/runs")).status_code == 303
    assert await site.ports.identity.authenticate(token)


async def test_a_session_does_not_outlive_its_token(site: SITE, browser: httpx2.AsyncClient) -> None:
    token = await site.ports.identity.mint("user", "shortly", ["api:read:*"], ttl=60)
    answer = await browser.post("/login", data={"token": token})
    assert 0 < int(answer.headers["Set-Cookie"].partition("Max-Age=")[2].partition(";")[0]) <= 60
    rows = [
        row
        for row in await site.ports.identity.tokens()
        if row["label"] == "browser" and row["name"] == "shortly"
    ]
    assert rows[0]["expires_at"] - rows[0]["created_at"] <= 60


async def test_a_job_gets_nothing_that_outlives_it(site: SITE, browser: httpx2.AsyncClient) -> None:
    token = await site.ports.identity.mint("job", "run/1/test/1", ["kube:write:web", "api:read:*"], ttl=600)
    assert (await browser.post("/login", data={"token": token})).status_code == 403
    bearer = {"Authorization": f"Bearer {token}"}
    for path in ("login-links", "kubeconfig"):
        answer = await browser.post(f"/api/v1/{path}", json={}, headers=bearer)
        assert (answer.status_code, "only a user" in answer.text) == (403, True)


@pytest.mark.parametrize(("body", "days"), [({}, 30), ({"ttl": 7200}, 1 / 12)])
async def test_a_kubeconfig_serves_for_as_long_as_was_asked(
    site: SITE, browser: httpx2.AsyncClient, body: dict[str, Any], days: float
) -> None:
    token = await site.ports.identity.mint("user", f"kate{len(body)}", ["kube:read:*", "api:read:*"])
    bearer = {"Authorization": f"Bearer {token}"}
    answer = await browser.post("/api/v1/kubeconfig", json=body, headers=bearer)
    assert answer.status_code == 200, answer.text
    rows = [row for row in await site.ports.identity.tokens() if row["name"] == f"kate{len(body)}"]
    (made,) = [row for row in rows if row["label"] == "kubeconfig"]
    assert made["expires_at"] - made["created_at"] == pytest.approx(days * 86400, abs=60)
    for ttl in (0, -1, 1e12):
        refused = await browser.post("/api/v1/kubeconfig", json={"ttl": ttl}, headers=bearer)
        assert refused.status_code == 422


@pytest.mark.parametrize(
    "target",
    [
        "//evil.test",
        "/\\evil.test",
        "https://evil.test",
        "/\t/evil.test",
        "javascript:alert(1)",
        "\\\\evil.test",
        "",
        "/%0a/x y",
    ],
)
async def test_the_login_leads_nowhere_else(site: SITE, browser: httpx2.AsyncClient, target: str) -> None:
    token = await site.ports.identity.mint("user", "carla", ["api:read:*"])
    answer = await browser.post("/login", data={"token": token, "next": target})
    assert answer.headers["Location"] == "/"
    code = site.ports.links.make(Principal("user", "carla", ("api:read:*",)))
    assert (await browser.get("/login", params={"code": code, "next": target})).headers["Location"] == "/"


async def test_login_forms_are_small_and_ours(browser: httpx2.AsyncClient) -> None:
    assert (await browser.post("/login", content=b"token=" + b"x" * 5000)).status_code == 413
    assert (await browser.post("/login", data={"token": "wrong"})).status_code == 401
    foreign = await browser.post("/login", data={"token": "x"}, headers={"Origin": "http://evil.test"})
    assert foreign.status_code == 403


@pytest.mark.parametrize("path", ["/healthz", "/api/v1/runs", "/runs", "/nope", "/api/v1/runs/1/logs"])
async def test_head_is_the_head_of_get(site: SITE, path: str) -> None:
    async with await site.client("admin") as client:
        head, get = await client.head(path), await client.get(path)
    assert (head.status_code, head.content) == (get.status_code, b"")
    assert head.headers["Content-Type"] == get.headers["Content-Type"]
    assert head.headers.get("Content-Length") == get.headers.get("Content-Length")


async def test_head_does_not_wait_for_what_lasts(site: SITE) -> None:
    async with await site.client("admin") as client:
        with anyio.fail_after(5):
            assert (await client.head("/events")).headers["Content-Type"].startswith("text/event-stream")


async def test_head_does_not_use_up_a_login_link(site: SITE, browser: httpx2.AsyncClient) -> None:
    code = site.ports.links.make(Principal("user", "anna", ("admin",)))
    assert (await browser.head(f"/login?code={code}")).status_code == 405
    assert (await browser.get(f"/login?code={code}")).status_code == 303


async def test_bodies_are_limited(site: SITE) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b" " * 65536

    async with await site.client("admin") as client:
        declared = await client.put("/api/v1/secrets", content=b" " * (1024 * 1024 + 1))
        streamed = await client.put(
            "/api/v1/secrets", content=pieces(), headers={"Content-Type": "application/json"}
        )
        odd = await client.put("/api/v1/secrets", content=pieces(), headers={"Content-Length": "-1"})
    assert [answer.status_code for answer in (declared, streamed, odd)] == [413, 413, 413]


@pytest.mark.parametrize("path", ["/", "/runs/99", "/login", "/static/live.js", "/api/v1/runs"])
async def test_browsers_are_told_to_run_nothing_else(site: SITE, path: str) -> None:
    async with await site.client("admin") as client:
        headers = (await client.get(path)).headers
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"


async def test_the_description_of_the_api_is_whole(site: SITE) -> None:
    async with await site.client("api:read:*") as client:
        document = (await client.get("/api/v1/openapi.json")).json()
    assert document["openapi"].startswith("3.")
    text = json.dumps(document)
    names = {part.split('"')[0] for part in text.split('"#/components/schemas/')[1:]}
    assert names <= set(document["components"]["schemas"])
    operations = [way for ways in document["paths"].values() for way in ways.values()]
    identifiers = [way["operationId"] for way in operations]
    assert len(set(identifiers)) == len(identifiers) > 20
    assert all(way.get("summary") and way["responses"] for way in operations)
