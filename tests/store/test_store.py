from __future__ import annotations

import asyncio
import errno
import sqlite3
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from windlass.store import Store, Transaction, UnknownQueryError, database, is_disk_full
from windlass.store.database import check
from windlass.store.queries import migrations, statements

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


async def test_a_transaction_is_visible_after_it_and_its_entries_reach_the_feed(store: Store) -> None:
    with store.subscribe("run.*") as feed:
        await store.transact(lambda tx: tx.record("run.started", "run/1", actor="anna", commit="abc"))
        await store.transact(lambda tx: tx.record("push", "repo/acme/x"))
        entries = await feed.wait(1)
    assert [(e.kind, e.subject, e.actor, e.data) for e in entries] == [
        ("run.started", "run/1", "anna", {"commit": "abc"})
    ]
    rows = await store.read("ledger.since", id=0, limit=10)
    assert [row["kind"] for row in rows] == ["run.started", "push"]


async def test_what_fails_leaves_nothing_behind_and_says_nothing(store: Store) -> None:
    def work(tx: Transaction) -> None:
        tx.record("run.started", "run/1")
        raise ValueError("no")

    with store.subscribe() as feed:
        with pytest.raises(ValueError, match="no"):
            await store.transact(work)
        assert await feed.wait(0.05) == []
    assert await store.read("ledger.since", id=0, limit=10) == []


async def test_transactions_run_in_the_order_in_which_they_were_asked(store: Store) -> None:
    def work(n: int) -> Callable[[Transaction], object]:
        return lambda tx: tx.record("n", str(n))

    await asyncio.gather(*(store.transact(work(n)) for n in range(200)))
    rows = await store.read("ledger.since", id=0, limit=1000)
    assert [row["subject"] for row in rows] == [str(n) for n in range(200)]


async def test_a_cancelled_transaction_that_has_not_begun_does_not_run(store: Store) -> None:
    slow = asyncio.ensure_future(store.transact(lambda _: time.sleep(0.1)))
    await asyncio.sleep(0.02)
    late = asyncio.ensure_future(store.transact(lambda tx: tx.record("late", "x")))
    await asyncio.sleep(0)
    late.cancel()
    await slow
    await store.transact(lambda tx: tx.record("next", "x"))
    assert [row["kind"] for row in await store.read("ledger.since", id=0, limit=9)] == ["next"]


async def test_an_unknown_query_is_named(store: Store) -> None:
    with pytest.raises(UnknownQueryError, match=r"ledger\.nothing"):
        await store.read("ledger.nothing")


async def test_a_reader_does_not_see_what_is_not_committed(store: Store) -> None:
    seen: list[int] = []

    def work(tx: Transaction) -> None:
        tx.record("a", "b")
        seen.append(len(store._readers.submit(store.read_sync, "ledger.since", id=0, limit=9).result()))

    await store.transact(work)
    assert seen == [0]


def test_reopening_keeps_everything_and_migrates_once(tmp_path: Path) -> None:
    path = tmp_path / "w.db"
    first = Store(path)
    first.transact_sync(lambda tx: tx.record("a", "b"))
    first.close()
    second = Store(path)
    assert [row["kind"] for row in second.read_sync("ledger.since", id=0, limit=9)] == ["a"]
    second.close()
    assert check(path) == "ok"


async def test_a_constraint_error_reaches_the_caller_and_the_writer_lives_on(store: Store) -> None:
    def work(tx: Transaction) -> None:
        tx.run("ledger.append", at=1.0, kind=None, subject="", actor="", data="{}")

    with pytest.raises(sqlite3.IntegrityError):
        await store.transact(work)
    await store.transact(lambda tx: tx.record("a", "b"))


OPENS = """
import pathlib, sys
from windlass.store import Store
sys.stdin.read(1)
store = Store(pathlib.Path(sys.argv[1]))
store.transact_sync(lambda tx: tx.record("opened", "x"))
store.close()
"""


def test_processes_that_open_a_new_file_at_once_wait_for_each_other(tmp_path: Path) -> None:
    path = tmp_path / "w.db"
    several = [
        subprocess.Popen([sys.executable, "-c", OPENS, path], stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(5)
    ]
    time.sleep(1)
    for process in several:
        assert process.stdin is not None
        process.stdin.write(b"x")
        process.stdin.flush()
    ended = [(process.communicate(timeout=60)[1], process.returncode) for process in several]
    assert [code for _, code in ended] == [0] * 5, ended
    store = Store(path)
    assert len(store.read_sync("ledger.since", id=0, limit=9)) == 5
    store.close()


def test_a_migration_that_fails_leaves_the_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "w.db"
    good = migrations()
    monkeypatch.setattr(
        database, "migrations", lambda: [*good, ("9999_bad", "CREATE TABLE a (b); nonsense;")]
    )
    with pytest.raises(sqlite3.OperationalError, match="nonsense"):
        Store(path)
    monkeypatch.undo()
    store = Store(path)
    assert store.read_sync("ledger.since", id=0, limit=9) == []
    store.close()


def test_a_script_is_cut_where_its_statements_end() -> None:
    trigger = "CREATE TRIGGER t AFTER INSERT ON a BEGIN\n  UPDATE a SET b = ';';\nEND;"
    script = f"-- one; two\nCREATE TABLE a (b);\n{trigger}\n-- the end\n"
    cut = [part.strip() for part in statements(script)]
    assert cut == ["-- one; two\nCREATE TABLE a (b);", trigger, "-- the end"]


async def test_a_full_disk_is_told_from_other_faults(store: Store) -> None:
    def fill(tx: Transaction) -> None:
        tx._connection.execute("PRAGMA max_page_count = 1")
        tx.record("x", "y", filling="z" * (1 << 20))

    with pytest.raises(sqlite3.OperationalError) as raised:
        await store.transact(fill)
    assert is_disk_full(raised.value)
    assert is_disk_full(OSError(errno.ENOSPC, "No space left on device"))
    assert not is_disk_full(sqlite3.OperationalError("no such table"))
    assert not is_disk_full(FileNotFoundError())


class Unwilling:
    """A connection whose ROLLBACK fails, once."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.refused = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._connection, name)

    def execute(self, sql: str, *params: Any) -> sqlite3.Cursor:
        if sql == "ROLLBACK":
            self.refused += 1
            self._connection.execute(sql)
            raise sqlite3.OperationalError("disk I/O error")
        return self._connection.execute(sql, *params)


async def test_a_rollback_that_fails_ends_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    unwilling = Unwilling(store._writer)
    monkeypatch.setattr(store, "_writer", unwilling)

    def work(_: Transaction) -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await asyncio.wait_for(store.transact(work), 5)
    assert unwilling.refused == 1
    await asyncio.wait_for(store.transact(lambda tx: tx.record("next", "x")), 5)
