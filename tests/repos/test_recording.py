from __future__ import annotations

import os
import subprocess
from itertools import pairwise
from typing import TYPE_CHECKING

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from windlass.repos import ZERO
from windlass.repos.parsing import LogLine, parse_reflog
from windlass.repos.recording import Update, unseen

if TYPE_CHECKING:
    from repos.conftest import Hosting, Work

REF = "refs/heads/main"


def line(before: str, after: str, session: str) -> LogLine:
    return LogLine(before, after, "user:anna", f"{session}@push.windlass", 1.0)


def moves(updates: list[Update]) -> list[tuple[str, str, str]]:
    return [(u.before, u.after, u.pusher) for u in updates]


def test_what_the_reflog_tells_is_taken_in_order() -> None:
    lines = [line("a", "b", "1"), line("b", "c", "2"), line("c", "d", "3")]
    assert moves(unseen(REF, "b", "d", lines, {"1"})) == [("b", "c", "anna"), ("c", "d", "anna")]
    assert moves(unseen(REF, "b", "d", lines, set())) == [("b", "c", "anna"), ("c", "d", "anna")]


def test_back_and_forth_is_not_lost() -> None:
    lines = [line("a", "b", "1"), line("b", "a", "2"), line("a", "b", "3")]
    assert moves(unseen(REF, "b", "b", lines, {"1"})) == [("b", "a", "anna"), ("a", "b", "anna")]


def test_without_a_reflog_there_is_one_movement_of_an_unknown() -> None:
    [update] = unseen(REF, "a", "b", [], set())
    assert (update.before, update.after, update.pusher_kind) == ("a", "b", "unknown")


def test_a_ref_that_was_deleted_and_made_again() -> None:
    updates = unseen(REF, "a", "b", [line(ZERO, "b", "1")], set())
    assert moves(updates) == [("a", ZERO, ""), (ZERO, "b", "anna")]


shas = st.sampled_from([ZERO, "a", "b", "c"])


@given(shas, st.lists(shas, max_size=8), st.integers(0, 8), st.integers(0, 8))
def test_the_movements_are_one_chain_from_the_record_to_the_ref(
    first: str, path: list[str], lost: int, known: int
) -> None:
    states = [first, *path]
    lines = [line(a, b, str(n)) for n, (a, b) in enumerate(pairwise(states))]
    recorded = states[min(known, len(path))]
    sessions = {str(n) for n in range(min(known, len(path)))}
    updates = unseen(REF, recorded, states[-1], lines[min(lost, known) :], sessions)
    chain = [recorded, *(update.after for update in updates)]
    assert [update.before for update in updates] == chain[:-1]
    assert chain[-1] == states[-1]
    assert all(update.session not in sessions for update in updates)


@given(st.text())
def test_any_reflog_is_read(text: str) -> None:
    parse_reflog(text)


async def lose_the_record(hosting: Hosting) -> None:
    """Forget all pushes, as if the server had died before it wrote them."""

    def work(tx: object) -> None:
        for table in ("pushes", "repository_refs"):
            tx._connection.execute(f"DELETE FROM {table}")  # type: ignore[attr-defined]

    await hosting.store.transact(work)


@pytest.mark.integration
async def test_lost_pushes_are_found_with_their_pushers(hosting: Hosting, work: Work) -> None:
    shas = [work.git_sync("rev-parse", "HEAD").stdout.strip()]
    await work.git("push", "-q", hosting.url(), "main")
    for token in ("job-token", "anna-token"):
        shas.append(work.commit({"a": token}))
        await work.git("push", "-q", hosting.url(token=token), "main", "main:side")
    await lose_the_record(hosting)
    found = await hosting.repositories.record_unseen()
    mains = [(p.before, p.after, p.pusher) for p in found if p.ref == REF]
    assert mains == [
        (ZERO, shas[0], "anna"),
        (shas[0], shas[1], "run/12/test/1"),
        (shas[1], shas[2], "anna"),
    ]
    assert len([p for p in found if p.ref == "refs/heads/side"]) == 2
    assert await hosting.repositories.record_unseen() == []
    kinds = [e["kind"] for e in await hosting.store.read("ledger.of_subject", subject="repo/acme/x")]
    assert kinds.count("push") == 10


@pytest.mark.integration
async def test_a_ref_that_moved_and_came_back_is_found(hosting: Hosting, work: Work) -> None:
    await work.git("push", "-q", hosting.url(), "main")
    path = str(hosting.repositories.path("acme/x"))
    first = work.git_sync("rev-parse", "HEAD").stdout.strip()
    second = work.commit({"a": "1"})
    await work.git("push", "-q", path, "main:refs/heads/other")
    for sha in (second, first):
        config = ("-c", "core.logAllRefUpdates=always")
        await work.git(*config, f"--git-dir={path}", "update-ref", "-m", "behind our back", REF, sha)
    found = await hosting.repositories.record_unseen()
    assert [(p.before, p.after) for p in found if p.ref == REF] == [(first, second), (second, first)]
    assert await hosting.repositories.record_unseen() == []


@pytest.mark.integration
async def test_what_was_changed_behind_our_back_is_found(hosting: Hosting, work: Work) -> None:
    path = hosting.repositories.path("acme/x")
    await work.git("push", "-q", str(path), "main", "main:side", "main:refs/tags/v1")
    assert {p.pusher_kind for p in await hosting.repositories.record_unseen()} == {"unknown"}
    subprocess.run(["git", f"--git-dir={path}", "update-ref", "-d", "refs/heads/side"], check=True)
    [gone] = await hosting.repositories.record_unseen()
    assert (gone.ref, gone.after) == ("refs/heads/side", ZERO)


@pytest.mark.integration
async def test_a_broken_repository_does_not_hold_up_the_others(hosting: Hosting, work: Work) -> None:
    await hosting.repositories.create("acme/broken")
    (hosting.repositories.path("acme/broken") / "HEAD").unlink()
    await work.git("push", "-q", str(hosting.repositories.path("acme/x")), "main")
    assert len(await hosting.repositories.record_unseen()) == 1


@pytest.mark.integration
async def test_refs_that_read_as_others_are_not_recorded(hosting: Hosting, work: Work) -> None:
    """As an import may bring them. Read by lines, `main<line separator>x` would be a movement of `main`."""
    await work.git("push", hosting.url(), "main")
    good, evil = (await hosting.git.refs("acme/x"))["refs/heads/main"], work.commit({"b": "b"})
    path = hosting.repositories.path("acme/x")
    await work.git("fetch", "-q", str(work.path), "main:refs/heads/aside", cwd=path)
    for name in (b"main\xe2\x80\xa8x", b"main\xff"):
        await work.git("update-ref", os.fsdecode(b"refs/heads/" + name), evil, cwd=path)
    pushes = await hosting.repositories.record_unseen()
    assert [push.ref for push in pushes] == ["refs/heads/aside"]
    assert (await hosting.git.refs("acme/x"))["refs/heads/main"] == good


async def test_many_pushes_at_once_are_all_recorded_once(hosting: Hosting, work: Work) -> None:
    async def push(number: int) -> None:
        await work.git("push", "-q", hosting.url(), f"main:b{number}")

    async with anyio.create_task_group() as tasks:
        for number in range(12):
            tasks.start_soon(push, number)
    pushes = await hosting.repositories.pushes("acme/x")
    assert sorted(p.ref for p in pushes) == sorted(f"refs/heads/b{n}" for n in range(12))
    assert await hosting.repositories.record_unseen() == []


@pytest.mark.integration
async def test_reports_that_come_in_the_wrong_order(hosting: Hosting, work: Work) -> None:
    """The hook of the second push is faster than that of the first."""
    shas = [work.git_sync("rev-parse", "HEAD").stdout.strip(), work.commit({"a": "1"})]
    first = Update(REF, ZERO, shas[0], "anna", "user", "s1", options=("x",))
    second = Update(REF, shas[0], shas[1], "otto", "user", "s2")
    await work.git("push", "-q", str(hosting.repositories.path("acme/x")), "main")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(hosting.repositories.record, "acme/x", [second])
        await anyio.sleep(0.1)
        tasks.start_soon(hosting.repositories.record, "acme/x", [first])
    pushes = await hosting.repositories.pushes("acme/x")
    assert [(p.after, p.pusher, p.options) for p in pushes] == [
        (shas[0], "anna", ("x",)),
        (shas[1], "otto", ()),
    ]
    # Told again, nothing is added.
    again = await hosting.repositories.record("acme/x", [second])
    assert [p.id for p in again] == [pushes[1].id]
    assert len(await hosting.repositories.pushes("acme/x")) == 2
