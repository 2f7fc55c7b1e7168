"""Pages and answers over seeded data: nothing runs that others wrote, nothing breaks, everything is found."""

from __future__ import annotations

import asyncio
import contextlib
import io
import time
import zipfile
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any, cast

import httpx2
import pytest

from windlass.kube import AlreadyExistsError
from windlass.web import events, templating

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from windlass.pipelines import Pipelines
    from windlass.store import Store

SITE = Any
PAGES = [
    "/",
    "/runs",
    "/runs?repository=acme/web",
    "/runs?before=2",
    "/runs/1",
    "/runs/2",
    "/runs/3",
    "/runs/2/jobs/test",
    "/runs/2/jobs/test?step=5",
    "/runs/3/jobs/build",
    "/deliveries",
    "/deliveries/1",
    "/deliveries/2",
    "/applications",
    "/applications/argocd/web",
    "/repositories",
]


class Page(HTMLParser):
    """What a browser would make of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.ids: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.ids += [value or "" for name, value in attrs if name == "id"]

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


async def get(site: SITE, path: str, status: int = 200) -> Page:
    async with await site.client("admin", cookie=True) as client:
        answer = await client.get(path)
    assert answer.status_code == status, answer.text
    return Page(answer.text)


@pytest.mark.parametrize("path", PAGES)
async def test_nothing_on_a_page_runs_but_our_files(site: SITE, path: str) -> None:
    page = await get(site, path)
    for tag, attributes in page.tags:
        assert not {name for name in attributes if name.startswith("on") or name == "style"}, (
            tag,
            attributes,
        )
        assert tag != "style"
        if tag == "script":
            assert str(attributes["src"]).startswith("/static/")
        if tag == "img":
            assert attributes["src"] == "/static/icon.svg"
        for name in ("href", "src", "action"):
            value = attributes.get(name) or "/"
            assert value.startswith(("/", "?", "#", "http://127.0.0.1:8710")), (tag, value)
    assert len(page.ids) == len(set(page.ids)), "ids are unique"
    assert [tag for tag, _ in page.tags].count("main") == 1
    assert [tag for tag, _ in page.tags].count("h1") == 1


@pytest.mark.parametrize("path", ["/runs/2", "/deliveries/2", "/runs", "/", "/applications/argocd/web"])
async def test_what_others_wrote_is_shown_as_it_is(site: SITE, path: str) -> None:
    assert "<script>alert(1)</script><img src=x onerror=alert(2)>" in (await get(site, path)).text


async def test_an_address_that_is_no_web_address_is_no_link(site: SITE) -> None:
    await site.application("odd", {"summary": {"externalURLs": ["javascript:alert(1)"]}, "resources": [{}]})
    page = await get(site, "/applications/argocd/odd")
    assert "javascript:alert(1)" in page.text
    assert all("javascript" not in str(attributes.get("href")) for _, attributes in page.tags)


MISSING = [
    "/runs/99",
    "/runs/0",
    "/runs/x",
    "/runs/99999999999999999999",
    "/runs/1/jobs/nope",
    "/runs/1/jobs/test?step=77",
    "/runs/1/artifacts/nope",
    "/deliveries/99",
    "/applications/argocd/nope",
    "/applications/a%2Fb/..%2Fc",
    "/commits/0000000",
    "/commits/xyz",
    "/nowhere",
    "/static/nope.js",
    "/static/..%2Fapp.py",
]


@pytest.mark.parametrize("path", MISSING)
async def test_what_is_not_there_is_a_page_that_says_so(site: SITE, path: str) -> None:
    page = await get(site, path, 404)
    assert "Back to the overview" in page.text
    async with await site.client("admin") as client:
        if "/static" not in path and not path.startswith("/nowhere"):
            answer = await client.get(f"/api/v1{path}")
            assert answer.status_code in {404, 422}
            assert set(answer.json()) == {"detail"}


@pytest.mark.parametrize("path", ["/", "/runs", "/deliveries", "/applications", "/repositories"])
async def test_a_fresh_server_says_how_to_begin(fresh: SITE, path: str) -> None:
    page = await get(fresh, path)
    assert any(
        word in page.text
        for word in ("Push a commit", "windlass repo create", "A commit in a GitOps repository")
    )


async def test_a_fresh_server_shows_the_way_to_a_first_run(fresh: SITE, site: SITE) -> None:
    text = (await get(fresh, "/")).text
    steps = (
        "windlass repo create OWNER/NAME",
        "http://windlass.test/OWNER/NAME.git",
        "git push windlass HEAD",
    )
    places = [text.index(step) for step in steps]
    assert places == sorted(places)
    assert "How to begin" not in (await get(site, "/")).text


async def test_what_helps_is_set_as_code(site: SITE) -> None:
    assert "there is no run 99: see windlass runs" in (await get(site, "/runs/99", 404)).text
    assert str(templating.coded("<b> `a<b` c")) == "&lt;b&gt; <code>a&lt;b</code> c"
    assert str(templating.coded("one ` alone")) == "one ` alone"


@pytest.mark.parametrize("path", ["/", "/applications", "/applications/argocd/sick"])
async def test_why_an_application_is_degraded_is_said(fresh: SITE, path: str) -> None:
    said = "Service web selects no pods"
    with contextlib.suppress(AlreadyExistsError):
        health = {"status": "Degraded", "message": f"{said} <b>"}
        await fresh.application("sick", {"sync": {"status": "Synced"}, "health": health})
    assert f"{said} <b>" in (await get(fresh, path)).text


async def test_the_first_error_comes_first(site: SITE) -> None:
    text = (await get(site, "/runs/2")).text
    assert text.index("assert 422 == 400") < text.index("Jobs")


async def test_evidence_is_readable(site: SITE) -> None:
    text = (await get(site, "/deliveries/2")).text
    assert text.index("Answers of web-1") < text.index("Log of web-1/app") < text.index("Events of web-1")
    assert "GET /health" in text
    assert "until found bad 0.4 s" in text


async def test_the_chain_of_a_commit(site: SITE) -> None:
    runs = await site.ports.runs.runs()
    source = next(run for run in runs if run.id == 1)
    page = await get(site, f"/commits/{source.sha[:10]}")
    order = [
        page.text.index(word) for word in ("Push anna", "Run ci #1", "Image", "GitOps commit", "Delivery web")
    ]
    assert order == sorted(order)
    assert "live 7.0 s after the push" in page.text
    assert "Later GitOps commits that carry the same image" in page.text
    async with await site.client("api:read:*") as client:
        chain = (await client.get(f"/api/v1/commits/{source.sha}")).json()
        ambiguous = await client.get("/api/v1/commits/0000000")
    assert [run["run"]["id"] for run in chain["runs"]] == [1]
    assert [item["delivery"]["id"] for item in chain["deliveries"]] == [1, 2]
    assert [item["delivery"]["state"] for item in chain["deliveries"]] == ["live", "rolled_back"]
    assert (chain["state"], chain["settled"]) == ("live", True)
    assert ambiguous.status_code == 404


async def test_logs_stream_whole_or_from_where_one_is(site: SITE) -> None:
    async with await site.client("api:read:*") as client:
        whole = await client.get("/api/v1/runs/1/logs?job=test")
        rest = await client.get("/api/v1/runs/1/logs?job=test&skip=36&follow=true")
        everything = await client.get("/api/v1/runs/2/logs")
        none = await client.get("/api/v1/runs/1/logs?job=nope")
        last = await client.get("/api/v1/runs/1/logs?job=test&tail=1")
    assert [line[29:] for line in last.text.splitlines()] == ["second"]
    assert whole.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert [line[29:] for line in whole.text.splitlines()] == ["first", "second"]
    assert rest.text == whole.text[36:]
    assert "==> test" in everything.text
    assert (none.status_code, "it has test, build" in none.json()["detail"]) == (404, True)


async def test_a_log_follows_while_the_job_runs(site: SITE) -> None:
    async with site.listening() as url, await site.client("api:read:*") as offline:
        headers = {"Authorization": offline.headers["Authorization"]}
        async with (
            httpx2.AsyncClient(headers=headers, trust_env=False) as client,
            client.stream("GET", f"{url}/api/v1/runs/3/logs?job=build&follow=true") as answer,
        ):
            lines = answer.aiter_lines()
            assert "green" in await anext(lines)
            await site.log(3, "build", 1, "written later")
            assert "written later" in await anext(lines)


async def test_artifacts_have_names_that_harm_nobody(site: SITE) -> None:
    runs: Pipelines = site.ports.runs
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a.txt", "content")
    now = time.time()
    for number, name in enumerate(("report", "süß 'quoted'; x")):
        path = runs.artifacts.path(1, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(packed.getvalue())
        row = {"run": 1, "name": name, "job": "1.test.1", "size": 1, "files": 1, "digest": "sha256:x"}
        times = {"created_at": now + number, "expires_at": now + 999}
        await site.store.transact(lambda tx: tx.run("artifacts.next_id"))
        await site.store.transact(lambda tx, row=row, times=times: tx.run("artifacts.insert", **row, **times))
    page = await get(site, "/runs/1")
    links = [str(tag[1]["href"]) for tag in page.tags if "/artifacts/" in str(tag[1].get("href"))]
    async with await site.client("admin", cookie=True) as client:
        answers = [await client.get(link) for link in links]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].headers["Content-Disposition"] == 'attachment; filename="report.zip"'
    assert answers[1].headers["Content-Disposition"].startswith("attachment; filename*=utf-8''s%C3%BC")


async def test_events_are_few_and_only_what_pages_show(site: SITE, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "HEARTBEAT", 0.6)
    store: Store = site.store
    heard: list[str] = []
    stream = cast("AsyncGenerator[str]", events._changes(store))
    assert await anext(stream) == "retry: 1000\n\n"

    def busy(tx: Any) -> None:
        for number in range(200):
            tx.record("kube.modified", f"kube/pods/web/web-{number}")
            tx.record("kube.modified", "kube/applications.argoproj.io/argocd/web")
            tx.record("token.created", "principal/anna")
            tx.record("step.started", "run/7")

    await store.transact(lambda tx: tx.record("run.queued", "run/7"))
    begun = time.monotonic()
    first = anext(stream)
    task = asyncio.ensure_future(first)
    for _ in range(4):
        await store.transact(busy)
    heard.append(await task)
    assert time.monotonic() - begun >= events.PACE
    data = [line for text in heard for line in text.splitlines() if line.startswith("data: ")]
    assert len(data) == 1
    assert data[0].count("application.changed application/argocd/web") == 1
    assert "step.started run/7" in data[0]
    assert "pods" not in data[0]
    assert "token" not in data[0]
    assert (await anext(stream)).startswith((": still here", "id: "))
    await stream.aclose()
