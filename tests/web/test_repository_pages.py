"""Pages of one repository, and the buttons on them: as a person with a browser and without scripts presses them."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest

from windlass.identity import Principal
from windlass.web import repository_pages
from windlass.web.happened import merged

SITE = Any
REPO = "acme/paged"
GATED = 4
NASTY = '"><script>alert(1)</script>&'
OURS = {"Origin": "http://windlass.test"}
BERT = Principal("user", "bert", ("admin",))


async def read(site: SITE, path: str, *scopes: str, status: int = 200) -> str:
    async with await site.client(*(scopes or ("admin",)), cookie=True) as client:
        answer = await client.get(path)
    assert answer.status_code == status, answer.text
    return str(answer.text)


async def press(site: SITE, path: str, form: dict[str, Any], *scopes: str, **headers: str) -> Any:
    async with await site.client(*(scopes or ("admin",)), cookie=True, **(headers or OURS)) as client:
        return await client.post(path, data=form)


def fields(text: str, action: str) -> dict[str, str]:
    """What the form with this action sends when nothing is changed in it: hidden fields."""
    found = re.search(rf'<form method="post" action="{re.escape(action)}".*?</form>', text, re.DOTALL)
    assert found, action
    hidden = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', found[0])
    return {name: html.unescape(value) for name, value in hidden}


PAGES = ["", "/pulls", "/pulls?state=all", "/pull/1", "/pull/2", "/events", "/dispatch", "/releases"]


@pytest.mark.parametrize("path", PAGES)
async def test_what_others_wrote_runs_nowhere(paged: SITE, path: str) -> None:
    text = await read(paged, f"/{REPO}{path}")
    assert "<script>alert" not in text
    assert "<b>o&b" not in text
    assert "<i>to" not in text
    assert text.count("<h1>") == 1
    ids = re.findall(r' id="([^"]*)"', text)
    assert len(ids) == len(set(ids))
    if path in {"/pulls", "/pull/1", "/releases"}:
        assert "&lt;script&gt;alert(1)" in text


@pytest.mark.parametrize("path", PAGES)
async def test_who_may_not_read_finds_nothing(paged: SITE, path: str) -> None:
    await read(paged, f"/{REPO}{path}", "api:read:*", "repo:read:other/*", status=404)
    await read(paged, f"/{REPO}{path}", "repo:read:acme/*", status=403)
    await read(paged, f"/{REPO}{path}", "api:read:*", "repo:read:acme/*")


@pytest.mark.parametrize("repo", ["acme/nowhere", "api/v2x", "a%20b/c", "acme/x.lock"])
@pytest.mark.parametrize("path", ["", "/pulls", "/events", "/dispatch", "/releases", "/pull/1"])
async def test_no_repository_is_a_page_that_says_so(paged: SITE, repo: str, path: str) -> None:
    async with await paged.client("admin") as client:
        assert (await client.get(f"/{repo}{path}")).status_code == 404


async def test_static_files_and_healthz_go_before_repositories(paged: SITE) -> None:
    async with await paged.client() as client:
        assert "text/css" in (await client.get("/static/windlass.css")).headers["Content-Type"]
        assert (await client.get("/healthz")).json() == {"status": "ok"}


BUTTONS = [
    (f"/{REPO}/pull/1/merge", {"method": "merge", "sha": "0" * 40}),
    (f"/{REPO}/pull/1/approve", {"sha": "0" * 40}),
    (f"/{REPO}/pull/1/state", {"state": "closed"}),
    (f"/{REPO}/dispatch", {"workflow": "hand.yaml", "ref": "main"}),
    ("/runs/3/approvals", {"job": "build", "decision": "approve"}),
    ("/runs/3/cancel", {}),
    ("/runs/1/rerun", {"what": "all"}),
    ("/runs/1/replay", {}),
]


@pytest.mark.parametrize(("path", "form"), BUTTONS)
async def test_a_button_is_refused_to_who_may_not_and_to_other_sites(
    paged: SITE, path: str, form: dict[str, str]
) -> None:
    before = await paged.ports.runs.runs(limit=100)
    pull = await paged.ports.pulls.show(REPO, 1, BERT)
    async with await paged.client() as client:
        nobody = await client.post(path, data=form, headers=OURS)
    assert (nobody.status_code, nobody.headers["Location"]) == (303, "/login?next=/")
    reader = await press(paged, path, form, "api:read:*", "repo:read:acme/*")
    assert (reader.status_code, "scope" in reader.text) == (403, True), reader.text
    foreign = await press(paged, path, form, Origin="http://evil.test")
    silent = await press(paged, path, form, **{"X-Nothing": ""})
    assert (foreign.status_code, silent.status_code) == (403, 403)
    assert await paged.ports.runs.runs(limit=100) == before
    assert (await paged.ports.pulls.show(REPO, 1, BERT))["updated_at"] == pull["updated_at"]


@pytest.mark.parametrize(
    ("path", "form"),
    [
        (f"/{REPO}/pull/1/merge", {"method": "force"}),
        (f"/{REPO}/pull/1/merge", {"method": "merge", "sha": "0" * 41}),
        (f"/{REPO}/pull/1/merge", {"method": "merge"}),
        (f"/{REPO}/pull/1/state", {}),
        (f"/{REPO}/dispatch", {"workflow": "hand.yaml", "ref": "main", "input.nope": "1"}),
        (f"/{REPO}/dispatch", {}),
        ("/runs/3/approvals", {"decision": "approve"}),
        ("/runs/3/approvals", {"decision": "perhaps", "job": "build"}),
        ("/runs/3/approvals", {"decision": "approve", "job": "build", "comment": "x" * 1001}),
        ("/runs/1/rerun", {"what": "job"}),
        ("/runs/1/rerun", {}),
        ("/runs/99/rerun", {"what": "all"}),
        ("/runs/1/cancel", {}),
        (f"/{REPO}/dispatch", {f"x{number}": "" for number in range(300)}),
        (f"/{REPO}/dispatch", {"x": "y" * 300_000}),
    ],
)
async def test_a_form_that_no_page_has_changes_nothing(paged: SITE, path: str, form: dict[str, str]) -> None:
    answer = await press(paged, path, form)
    assert answer.status_code in {404, 409, 413, 422}, answer.text
    assert "Back to the overview" in answer.text


async def test_a_readers_pages_have_no_buttons(paged: SITE) -> None:
    for path in (f"/{REPO}/pull/1", f"/{REPO}/dispatch", "/runs/1", "/runs/3"):
        text = await read(paged, path, "api:read:*", "repo:read:acme/*")
        assert text.count('method="post"') == (2 if path.endswith("dispatch") else 1), path
        assert text.count("<button") == (2 if path.endswith("dispatch") else 1), path


async def test_a_conflict_says_where_and_has_no_merge_button(paged: SITE) -> None:
    text = await read(paged, f"/{REPO}/pull/2")
    assert "conflict in a." in text
    assert "Paths that conflict" in text
    assert "/pull/2/merge" not in text
    assert "Close without merging" in text


async def test_a_pull_request_is_approved_closed_opened_and_merged(paged: SITE) -> None:
    page = f"/{REPO}/pull/1"
    text = await read(paged, page)
    assert f"{page}/approve" not in text, "anna opened it"
    carl = await paged.ports.identity.mint("user", "carl", ["admin"])
    async with await paged.client(Cookie=f"windlass_session={carl}", **OURS) as client:
        approve = fields((await client.get(page)).text, f"{page}/approve")
        assert (await client.post(f"{page}/approve", data=approve)).status_code == 303
        assert "carl <span" in (await client.get(page)).text
    closed = await press(paged, f"{page}/state", fields(text, f"{page}/state"))
    assert (closed.status_code, closed.headers["Location"]) == (303, page)
    again = await read(paged, page)
    assert "Open again" in again
    await press(paged, f"{page}/state", fields(again, f"{page}/state"))
    text = await read(paged, page)
    merged_as = await press(paged, f"{page}/merge", {**fields(text, f"{page}/merge"), "method": "squash"})
    assert merged_as.status_code == 303, merged_as.text
    done = await read(paged, page)
    assert "merged by anna" in done
    assert done.count('method="post"') == 1
    assert "#1 by anna" in await read(paged, f"/{REPO}/pulls?state=closed")


async def test_a_workflow_starts_by_hand_with_its_inputs(paged: SITE) -> None:
    text = await read(paged, f"/{REPO}/dispatch")
    assert re.search(r'<select id="input-1-2" name="input.where">.*<option value="staging" selected', text)
    assert re.search(r'<select id="input-1-3" name="input.need" required><option value=""', text)
    assert '<input type="checkbox" id="input-1-5" name="input.sure" value="true" checked>' in text
    assert '<option value="production">production</option></select>' in text
    assert 'type="number" step="any"' in text
    given = fields(text, f"/{REPO}/dispatch")
    assert given == {
        "workflow": ".github/workflows/hand.yaml",
        "ref": "refs/heads/main",
        "input.sure": "false",
    }
    refused = await press(paged, f"/{REPO}/dispatch", given)
    assert (refused.status_code, "need" in refused.text) == (409, True)
    started = await press(
        paged, f"/{REPO}/dispatch", {**given, "input.need": "b", "input.many": "3", "input.who": NASTY}
    )
    assert started.status_code == 303, started.text
    run = int(started.headers["Location"].removeprefix("/runs/"))
    shown = await paged.ports.store.one("pipelines.source", run=run)
    assert all(part in shown["inputs"] for part in ('"need": "b"', '"many": 3', '"sure": false'))
    assert f'<a href="/runs/{run}">' in await read(paged, f"/{REPO}/events")
    assert "<script>alert" not in await read(paged, f"/runs/{run}")


async def test_a_checkbox_that_is_checked_goes_over_the_hidden_field_before_it(paged: SITE) -> None:
    sent = {"workflow": "hand.yaml", "ref": "main", "input.need": "a", "input.sure": ["false", "true"]}
    started = await press(paged, f"/{REPO}/dispatch", sent)
    run = int(started.headers["Location"].removeprefix("/runs/"))
    source = await paged.ports.store.one("pipelines.source", run=run)
    assert '"sure": true' in source["inputs"]


async def test_a_branch_that_is_not_there_is_said(paged: SITE) -> None:
    assert "There is no branch or tag nowhere" in await read(paged, f"/{REPO}/dispatch?ref=nowhere")
    assert "Start by hand" in await read(paged, f"/{REPO}/dispatch?ref=v1")


async def test_events_say_why_nothing_ran_and_when_something_will(paged: SITE) -> None:
    text = await read(paged, f"/{REPO}/events")
    assert "no workflow is triggered by it" in text or "nothing ran:" in text
    assert "<b>release</b> published" in text
    assert "<b>pull_request</b> opened" in text
    assert "Europe/Berlin" in text
    assert "in " in text


@pytest.mark.parametrize("shown", [1, 4, 100])
async def test_events_are_paged_through_to_the_end(
    paged: SITE, shown: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repository_pages, "SHOWN", shown)
    pushes = await paged.store.read("happened.pushes", repository=REPO, before=None, limit=500)
    others = await paged.ports.runs.occurrences(REPO, limit=500)
    wanted = {f"push-{row['id']}" for row in pushes} | {f"other-{item.id}" for item in others}
    found: list[str] = []
    query: str | None = ""
    while query is not None:
        text = await read(paged, f"/{REPO}/events{query}")
        found += re.findall(r'<tr id="((?:push|other)-\d+)"', text)
        older = re.search(r'rel="next" href="([^"]*)"', text)
        query = html.unescape(older[1]) if older else None
        assert len(found) <= len(wanted)
    assert len(wanted) > 10
    assert sorted(found) == sorted(wanted)


async def test_releases_show_drafts_to_writers_only(paged: SITE) -> None:
    assert "windlass release publish v2" in await read(paged, f"/{REPO}/releases")
    assert "v2" not in await read(paged, f"/{REPO}/releases", "api:read:*", "repo:read:acme/*")


EMPTY = [
    ("", "people push to it"),
    ("/pulls", "windlass pr create"),
    ("/events", "Nothing has happened here yet"),
    ("/dispatch", "Nothing is pushed yet"),
    ("/releases", "windlass release create"),
]


@pytest.mark.parametrize(("path", "says"), EMPTY)
async def test_an_empty_repository_says_what_to_do(fresh: SITE, path: str, says: str) -> None:
    if "acme/empty" not in {found.name for found in await fresh.ports.hosting.list()}:
        await fresh.ports.hosting.create("acme/empty")
    assert says in await read(fresh, f"/acme/empty{path}")


async def test_a_repository_that_follows_says_from_where_and_what_is_wrong(paged: SITE) -> None:
    remote = paged.ports.remotes
    await paged.ports.hosting.create("acme/follows")
    await remote.keep(
        "acme/follows",
        "https://forge.test/<x>",
        credential=("x", "very-secret"),
        poll=30,
        forge="git",
        api=None,
        actor="anna",
    )
    text = await read(paged, "/acme/follows")
    assert "https://forge.test/&lt;x&gt;" in text
    assert "every 30 s" in text
    assert "very-secret" not in text
    assert "its pull requests are there" in await read(paged, "/acme/follows/pulls")


async def test_a_job_that_waits_is_approved_by_who_may(paged: SITE) -> None:
    run = GATED
    page = f"/runs/{run}"
    text = await read(paged, page)
    assert "Who may approve it for <b>prod</b>: dora, carl" in text
    assert "calls <span" in text
    assert 'class="job below-1" id="job-deploy.build"' in text
    assert "actions/checkout@v4" in text
    assert f"{page}/approvals" not in text, "anna is not named"
    refused = await press(paged, f"{page}/approvals", {"job": "deploy.build", "decision": "approve"})
    assert (refused.status_code, "may not approve for prod" in refused.text) == (403, True)
    before = await paged.ports.runs.environments.approvals(run)
    dora = await paged.ports.identity.mint("user", "dora", ["admin"])
    async with await paged.client(Cookie=f"windlass_session={dora}", **OURS) as client:
        form = fields((await client.get(page)).text, f"{page}/approvals")
        assert form == {"job": "deploy.build"}
        everything = await client.post(f"{page}/approvals", data={"decision": "approve", "job": " "})
        assert everything.status_code == 422
        assert await paged.ports.runs.environments.approvals(run) == before == []
        form |= {"decision": "reject", "comment": NASTY}
        assert (await client.post(f"{page}/approvals", data=form)).status_code == 303
        text = (await client.get(page)).text
    (decided,) = await paged.ports.runs.environments.approvals(run)
    assert (decided.approved, decided.by, decided.comment) == (False, "dora", NASTY)
    assert "Decisions" in text
    assert "<script>alert" not in text


def happening(source: str, number: int, at: float) -> dict[str, Any]:
    return {"source": source, "id": number, "at": at}


def test_pages_of_events_leave_nothing_out_and_show_nothing_twice() -> None:
    pushes = [happening("push", number, number * 2.0) for number in range(30, 0, -1)]
    others = [happening("other", number, 30.0) for number in range(20, 0, -1)]
    shown: list[tuple[str, int]] = []
    before: tuple[int, int] = (99, 99)
    for _ in range(20):
        page = merged(
            [row for row in pushes if row["id"] < before[0]][:8],
            [row for row in others if row["id"] < before[1]][:8],
            7,
        )
        shown += [(row["source"], row["id"]) for row in page.rows]
        if page.pushes is None and page.others is None:
            break
        before = (page.pushes or before[0], page.others or before[1])
    assert len(shown) == len(set(shown)) == 50
