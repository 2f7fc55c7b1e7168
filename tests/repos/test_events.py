from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from windlass.repos import NewEvent, Repositories, write_event
from windlass.repos.events import MAX_PATHS

if TYPE_CHECKING:
    from pathlib import Path

    from windlass.store import Store

EVENT = NewEvent(
    name="pull_request",
    action="opened",
    ref="refs/pull/1/merge",
    sha="1" * 40,
    actor="anna",
    actor_kind="user",
    payload={"action": "opened", "number": 1},
    paths=("src/a.py", "README.md"),
)


@pytest.fixture
def repositories(store: Store, tmp_path: Path) -> Repositories:
    return Repositories(store, tmp_path / "repos")


async def test_an_event_is_a_row_and_a_ledger_entry_of_one_transaction(
    store: Store, repositories: Repositories
) -> None:
    with store.subscribe("forge.*") as feed:
        made = await store.transact(lambda tx: write_event(tx, "acme/x", EVENT))
        told = await feed.next()
    assert (told.kind, told.subject, told.actor, told.data["id"]) == (
        "forge.event",
        "repo/acme/x",
        "user/anna",
        made,
    )
    (found,) = await repositories.events(after=0, limit=10)
    assert found == await repositories.event(found.id)
    assert (found.name, found.action, found.payload, found.paths) == (
        "pull_request",
        "opened",
        EVENT.payload,
        EVENT.paths,
    )


async def add(store: Store, repository: str) -> int:
    made = await store.transact(lambda tx: write_event(tx, repository, EVENT))
    assert made is not None
    return made


async def test_events_are_read_in_order_from_after_an_id(store: Store, repositories: Repositories) -> None:
    ids = [await add(store, name) for name in ("acme/x", "acme/y", "acme/z")]
    assert [event.repository for event in await repositories.events(after=ids[0])] == ["acme/y", "acme/z"]
    assert [event.id for event in await repositories.events("acme/y")] == [ids[1]]
    assert [event.id for event in await repositories.events(limit=1)] == ids[:1]


async def test_the_same_source_is_recorded_once(store: Store, repositories: Repositories) -> None:
    first = await store.transact(lambda tx: write_event(tx, "acme/x", EVENT))
    assert first is not None
    assert await store.transact(lambda tx: write_event(tx, "acme/x", EVENT)) is None
    assert len(await repositories.events()) == 1


async def test_of_too_many_paths_none_is_kept(store: Store, repositories: Repositories) -> None:
    many = replace(EVENT, paths=tuple(f"f{number}" for number in range(MAX_PATHS + 1)))
    await store.transact(lambda tx: write_event(tx, "acme/x", many))
    assert (await repositories.events())[0].paths is None


async def test_events_go_with_their_repository(store: Store, repositories: Repositories) -> None:
    await repositories.create("acme/x")
    await store.transact(lambda tx: write_event(tx, "acme/x", EVENT))
    await repositories.delete("acme/x")
    assert await repositories.events() == []
