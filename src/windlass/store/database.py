"""The SQLite driver of the store: one writer thread, a few readers, write-ahead log."""

from __future__ import annotations

import asyncio
import errno
import json
import queue
import sqlite3
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from windlass.store.feed import Entry, Feed
from windlass.store.queries import migrations, queries, statements

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Row = dict[str, Any]
T = TypeVar("T")
READERS = 4
BUSY = 30.0
"""Seconds to wait for another process that holds the file."""


class StoreError(Exception):
    """The store could not do what was asked."""


class UnknownQueryError(StoreError):
    """No query of this name stands in the `.sql` files."""


def is_disk_full(error: BaseException) -> bool:
    """Tell whether it is the disk, or a quota on it, that let something fail: in SQLite or in a file."""
    if isinstance(error, OSError):
        return error.errno in {errno.ENOSPC, errno.EDQUOT}
    return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL


def _row(cursor: sqlite3.Cursor, values: tuple[Any, ...]) -> Row:
    return {column[0]: value for column, value in zip(cursor.description, values, strict=True)}


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=BUSY)
    connection.row_factory = _row
    _write_ahead(connection)
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Switch to the write-ahead log. SQLite does not wait for others in this one statement, so we do."""
    until = time.monotonic() + BUSY
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(0.005)
        else:
            return


def _run(connection: sqlite3.Connection, name: str, params: Row) -> list[Row]:
    try:
        sql = queries()[name]
    except KeyError:
        raise UnknownQueryError(name) from None
    return connection.execute(sql, params).fetchall()


class Transaction:
    """What a piece of work may do inside one transaction. Lives on the writer thread only."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.entries: list[Entry] = []

    def run(self, name: str, /, **params: Any) -> list[Row]:
        """Run the named query and return its rows (empty for statements without)."""
        return _run(self._connection, name, params)

    def one(self, name: str, /, **params: Any) -> Row | None:
        """Return the first row, or None."""
        rows = self.run(name, **params)
        return rows[0] if rows else None

    def record(self, kind: str, subject: str, /, *, actor: str = "windlass", **data: Any) -> Entry:
        """Append to the ledger, in this same transaction; subscribers hear of it after the commit."""
        at = time.time()
        row = {"at": at, "kind": kind, "subject": subject, "actor": actor, "data": json.dumps(data)}
        entry = Entry(int(self.run("ledger.append", **row)[0]["id"]), at, kind, subject, actor, data)
        self.entries.append(entry)
        return entry


class Snapshot:
    """What a piece of work may read, all of it as of one moment. Lives on one reader thread."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def read(self, name: str, /, **params: Any) -> list[Row]:
        """Run the named query and return its rows."""
        return _run(self._connection, name, params)


class Store:
    """SQLite in one file. Every write is a transaction on one thread, in the order in which it was asked.

    `transact` returns after the commit. Closing waits for what was asked before it. Opening applies the
    migrations that are missing. Safe to share between tasks of one event loop and between threads.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._writer = _connect(path)
        self._local = threading.local()
        self._open: list[sqlite3.Connection] = [self._writer]
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="store-reader")
        self._subscribers: set[Feed] = set()
        self._migrate()
        self._thread = threading.Thread(target=self._write, name="store-writer", daemon=True)
        self._thread.start()

    def _migrate(self) -> None:
        """Apply what is missing, all or nothing. Who opens the same file meanwhile waits and finds it done."""
        run = self._writer.execute
        run("BEGIN IMMEDIATE")
        try:
            run("CREATE TABLE IF NOT EXISTS migrations (name TEXT PRIMARY KEY, at REAL NOT NULL)")
            done = {row["name"] for row in run("SELECT name FROM migrations")}
            for name, script in migrations():
                if name not in done:
                    for statement in statements(script):
                        run(statement)
                    run("INSERT INTO migrations VALUES (?, ?)", (name, time.time()))
        except BaseException:
            run("ROLLBACK")
            raise
        run("COMMIT")

    def _write(self) -> None:
        while (job := self._work.get()) is not None:
            job()

    def transact_sync(self, work: Callable[[Transaction], T]) -> T:
        """`transact` for code that stands on a thread of its own."""
        return self._submit(work).result()

    def _submit(self, work: Callable[[Transaction], T]) -> Future[T]:
        future: Future[T] = Future()

        def job() -> None:
            if not future.set_running_or_notify_cancel():
                return
            transaction = Transaction(self._writer)
            try:
                self._writer.execute("BEGIN IMMEDIATE")
                result = work(transaction)
                self._writer.execute("COMMIT")
            except BaseException as error:  # noqa: BLE001 it travels to the caller
                with suppress(
                    sqlite3.Error
                ):  # the caller waits for the first error, and others for this thread
                    if self._writer.in_transaction:
                        self._writer.execute("ROLLBACK")
                future.set_exception(error)
            else:
                self._publish(transaction.entries)
                future.set_result(result)

        self._work.put(job)
        return future

    async def transact(self, work: Callable[[Transaction], T]) -> T:
        """Run `work` in one transaction and return its result after the commit.

        What `work` raises rolls everything back and is raised here. `work` is plain synchronous code and
        must not block on anything but the transaction. Cancelled before its turn it does not run; after
        that it is committed whatever happens to the caller.
        """
        return await asyncio.wrap_future(self._submit(work))

    def _publish(self, entries: list[Entry]) -> None:
        for subscriber in tuple(self._subscribers):
            subscriber.offer_threadsafe(entries)

    def read_sync(self, name: str, /, **params: Any) -> list[Row]:
        """`read` for code that stands on a thread of its own."""
        return _run(self._reader(), name, params)

    def _reader(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = _connect(self._path)
            self._open.append(connection)
        return connection

    async def read(self, name: str, /, **params: Any) -> list[Row]:
        """Run a named query that only reads, on a reader thread, and return its rows."""
        return await asyncio.wrap_future(self._readers.submit(self.read_sync, name, **params))

    async def view(self, work: Callable[[Snapshot], T]) -> T:
        """Run `work`, which only reads, on a reader thread, and return its result: one way there for many queries.

        All that it reads is as of one moment. `work` is plain synchronous code.
        """

        def job() -> T:
            connection = self._reader()
            connection.execute("BEGIN")
            try:
                return work(Snapshot(connection))
            finally:
                connection.execute("COMMIT")

        return await asyncio.wrap_future(self._readers.submit(job))

    async def one(self, name: str, /, **params: Any) -> Row | None:
        """Return the first row, or None."""
        rows = await self.read(name, **params)
        return rows[0] if rows else None

    def subscribe(self, *kinds: str) -> Feed:
        """Subscribe to entries whose kind matches one of the `fnmatch` patterns, as a context manager."""
        return Feed(kinds, self._subscribers)

    def close(self) -> None:
        """Finish what was asked and close all connections."""
        self._work.put(None)
        self._thread.join()
        self._readers.shutdown()
        for connection in self._open:
            connection.close()


def check(path: Path) -> str:
    """Return SQLite's own verdict on the file: `ok`, or what is wrong."""
    with closing(_connect(path)) as connection:
        return str(connection.execute("PRAGMA quick_check").fetchone()["quick_check"])
