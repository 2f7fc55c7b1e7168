"""The dashboard in a real browser, over a real server with seeded rooms."""

from __future__ import annotations

import json
import re
import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.async_api import Browser, BrowserContext, Page, Route, async_playwright, expect

from windlass.identity import Principal
from windlass.pipelines import Environment

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SITE = Any
CHROMIUM = Path("/usr/bin/chromium")
pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not CHROMIUM.exists(), reason="Chromium is not installed: apt-get install chromium"),
]
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PAGES = (
    "/",
    "/runs",
    "/runs/2",
    "/runs/2/jobs/test",
    "/deliveries",
    "/deliveries/2",
    "/applications",
    "/applications/argocd/web",
    "/repositories",
    "/acme/paged",
    "/acme/web",
    "/acme/paged/pulls",
    "/acme/web/pulls",
    "/acme/paged/pull/1",
    "/acme/paged/pull/2",
    "/acme/paged/events",
    "/acme/paged/dispatch",
    "/acme/web/dispatch",
    "/acme/paged/releases",
    "/runs/4",
    "/nowhere",
)
CONTRAST = """() => {
  const channel = (value) => { const x = value / 255; return x <= 0.03928 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4; };
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const numbers = (text) => text.match(/[\\d.]+/g).map(Number);
  const behind = (item) => {
    for (; item; item = item.parentElement) {
      const colour = numbers(getComputedStyle(item).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const found = new Set();
  for (const item of document.querySelectorAll("body *")) {
    if (![...item.childNodes].some((node) => node.nodeType === 3 && node.data.trim())) continue;
    if (!item.checkVisibility() || item.closest(".hidden, .skip, svg, thead, noscript")) continue;
    const [a, b] = [light(numbers(getComputedStyle(item).color)), light(behind(item))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) found.add(`${item.localName}.${item.className} ${ratio.toFixed(2)}`);
  }
  return [...found];
}"""


@pytest.fixture(scope="module")
async def served(site: SITE) -> AsyncIterator[tuple[str, Browser]]:
    async with site.listening() as url, async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        yield url, browser
        await browser.close()


@asynccontextmanager
async def visit(site: SITE, served: tuple[str, Browser], **options: Any) -> AsyncIterator[Page]:
    """A page of somebody who is logged in. What the browser complains about fails the test."""
    url, browser = served
    context: BrowserContext = await browser.new_context(base_url=url, **options)
    page = await context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", lambda dialog: complaints.append(f"dialog: {dialog.message}"))
    page.on(
        "console",
        lambda message: complaints.append(message.text) if "Content Security" in message.text else None,
    )
    code = site.ports.links.make(Principal("user", "anna", ("admin",)))
    await page.goto(f"/login?code={code}")
    yield page
    await context.close()
    assert complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1200])
async def test_pages_are_legible_and_fit(
    paged: SITE, served: tuple[str, Browser], scheme: Any, width: int
) -> None:
    async with visit(
        paged, served, color_scheme=scheme, viewport={"width": width, "height": 800}, reduced_motion="reduce"
    ) as page:
        for path in PAGES:
            await page.goto(path)
            assert await page.evaluate("document.documentElement.scrollWidth") <= width, path
            assert await page.evaluate(CONTRAST) == [], (path, scheme)
            assert await page.locator("main h1").count() == 1
            assert (await page.title()).endswith("Windlass"), path
            for field in await page.locator("main").locator("input:visible, select, textarea").all():
                assert await field.evaluate("(item) => item.labels.length") == 1, path


async def test_a_person_without_a_session_logs_in_and_out(site: SITE, served: tuple[str, Browser]) -> None:
    url, browser = served
    context = await browser.new_context(base_url=url)
    page = await context.new_page()
    await page.goto("/runs/2")
    await expect(page).to_have_url(f"{url}/login?next=/runs/2")
    await expect(page.get_by_label("Access token")).to_be_focused()
    await page.keyboard.type("wrong")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_contain_text("windlass login")
    await page.get_by_label("Access token").fill(await site.token("admin"))
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(f"{url}/runs/2")
    await page.get_by_role("button", name="Log out").click()
    await expect(page).to_have_url(f"{url}/login")
    await page.goto("/runs")
    await expect(page).to_have_url(f"{url}/login?next=/runs")
    await context.close()


async def test_what_changes_arrives_and_nothing_else_moves(site: SITE, served: tuple[str, Browser]) -> None:
    async with visit(site, served) as page:
        await page.goto("/runs/3")
        await expect(page.locator("#live.on")).to_be_visible()
        step = page.get_by_role("link", name="Step 0").last
        await step.focus()
        closed = page.locator("#job-test")
        await closed.locator("summary").click()
        await step.focus()

        def work(tx: Any) -> None:
            tx.run("pipelines.finish_run", run=3, conclusion="cancelled", reason=None, at=time.time())
            tx.record("run.finished", "run/3")

        await site.store.transact(work)
        await expect(page.locator("h1 .state")).to_have_text("cancelled", timeout=3000)
        await expect(page.locator("#news")).to_have_text("cancelled")
        await expect(step).to_be_focused()
        await expect(closed).to_have_attribute("open", "")


async def test_many_events_are_few_requests(site: SITE, served: tuple[str, Browser]) -> None:
    async with visit(site, served) as page:
        await page.goto("/deliveries")
        await expect(page.locator("#live.on")).to_be_visible()
        await page.wait_for_timeout(900)  # the first look after connecting is over
        fetched: list[str] = []
        page.on("request", lambda request: fetched.append(request.url))
        for kind, subject in (("kube.modified", "kube/pods/web/web-1"), ("step.started", "run/3")):
            for _ in range(20):
                await site.store.transact(lambda tx, kind=kind, subject=subject: tx.record(kind, subject))
        await page.wait_for_timeout(800)
        assert fetched == [], "nothing of this concerns the page"
        begun = time.monotonic()
        while time.monotonic() - begun < 2.0:
            await site.store.transact(
                lambda tx: [tx.record("delivery.applying", "delivery/2") for _ in range(50)]
            )
            await page.wait_for_timeout(20)
        await page.wait_for_timeout(900)
        assert 2 <= len(fetched) <= 5, fetched


async def test_a_log_follows_while_the_step_runs(site: SITE, served: tuple[str, Browser]) -> None:
    async with visit(site, served) as page:
        await page.goto("/runs/3/jobs/build")
        await expect(page.locator("#log span").first).to_have_text("green line\n")
        await site.log(3, "build", 1, "##[group]Run pytest\n##[error]it broke <b>badly</b>\n##[endgroup]")
        await expect(page.locator("#log .error")).to_have_text("it broke <b>badly</b>\n")
        await expect(page.locator("#log .group")).to_have_text("Run pytest\n")
        assert await page.locator("#log span").count() == 3
        await expect(page.locator("#log-state")).to_contain_text("follows")


async def test_when_a_log_ends_the_page_says_how_the_job_ended(
    site: SITE, served: tuple[str, Browser]
) -> None:
    seen = 0

    async def later(route: Route) -> None:
        nonlocal seen
        seen += 1
        text = await (await route.fetch()).text()
        if seen > 1:  # the second time the job is over, of which the record hears after the log has ended
            text = text.replace("running", "passed").replace("All steps", "All of them")
        if seen > 2:
            text = re.sub('data-source="[^"]*"', 'data-source=""', text)
        await route.fulfill(body=text, content_type="text/html")

    async with visit(site, served) as page:
        await page.route("**/runs/3/jobs/build", later)
        await page.route("**/api/v1/runs/3/logs?*", lambda route: route.fulfill(body="the end\n"))
        await page.goto("/runs/3/jobs/build")
        await expect(page.locator("#log-state")).to_have_text("The log is complete.")
        await expect(page.get_by_role("heading", level=1)).to_contain_text("passed")
        await expect(page.locator(".stepper")).to_contain_text("All of them")
        await page.wait_for_timeout(700)
        assert seen == 3


async def test_it_works_without_scripts(site: SITE, served: tuple[str, Browser]) -> None:
    async with visit(site, served, java_script_enabled=False) as page:
        await page.goto("/")
        await page.get_by_role("navigation", name="Main").get_by_role("link", name="Runs").click()
        await page.locator("#run-2 a").first.click()
        await expect(page.locator(".problem").first).to_contain_text("assert 422 == 400")
        await page.get_by_role("link", name="The whole log").first.click()
        await expect(page.locator("#log .error").first).to_contain_text("assert 422 == 400")
        await page.get_by_role("button", name="Log out").click()
        await expect(page.get_by_label("Access token")).to_be_visible()


async def test_buttons_work_without_scripts(paged: SITE, served: tuple[str, Browser]) -> None:
    async with visit(paged, served, java_script_enabled=False) as page:
        await page.goto("/acme/paged/dispatch")
        await page.get_by_label("need").select_option("b")
        await page.get_by_label("many").fill("3")
        await page.get_by_label("sure").uncheck()
        await page.get_by_role("button", name="Start").click()
        await expect(page).to_have_url(re.compile(r"/runs/\d+$"))
        await page.get_by_role("button", name="Cancel").click()
        await expect(page.get_by_role("button", name="Being cancelled")).to_be_visible()
        await page.goto("/acme/paged/pull/2")
        await page.get_by_role("button", name="Close without merging").click()
        await expect(page.locator("h1 .state")).to_have_text("closed")
        await page.get_by_role("button", name="Open again").click()
        await expect(page.locator("h1 .state")).to_have_text("conflict")
        await page.goto("/acme/paged/pull/1")
        await page.get_by_label("How to merge").select_option("squash")
        await page.get_by_role("button", name="Merge").click()
        await expect(page.locator("h1 .state")).to_have_text("merged")


async def test_a_comment_stays_while_the_page_changes(paged: SITE, served: tuple[str, Browser]) -> None:
    await paged.ports.runs.environments.put(Environment("acme/web", "prod", approvers=("anna",)), actor="x")
    async with visit(paged, served) as page:
        await page.goto("/runs/4")
        await expect(page.locator("#live.on")).to_be_visible()
        await page.get_by_label("Comment").fill("looks good")
        await paged.store.transact(
            lambda tx: (
                tx._connection.execute("UPDATE runs SET title = 'Other' WHERE id = 4"),
                tx.record("run.queued", "run/4"),
            )
        )
        await expect(page.locator("h1")).to_contain_text("Other")
        await expect(page.get_by_label("Comment")).to_have_value("looks good")
        await page.get_by_role("button", name="Approve deploy.build").click()
        await expect(page.get_by_text("looks good")).to_be_visible()
        await expect(page.get_by_text("Decisions")).to_be_visible()


async def test_the_keyboard_is_enough(site: SITE, served: tuple[str, Browser]) -> None:
    async with visit(site, served) as page:
        await page.goto("/runs")
        await page.keyboard.press("Tab")
        await expect(page.get_by_text("Skip to the content")).to_be_focused()
        await page.keyboard.press("Enter")
        await page.keyboard.press("Tab")
        assert json.loads(await page.evaluate("JSON.stringify(document.activeElement.pathname)")).startswith(
            "/runs/"
        )
