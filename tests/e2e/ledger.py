"""Watching the server's ledger from outside, without being in its way."""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

LOOK = 0.003


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment of a line: the `nth` ledger row of this kind whose subject and data hold these.

    `data` maps a field to what it must be; `segment` is the newest time stamp that a delivery has reached.
    `after` seconds pass before it counts as reached.
    """

    kind: str
    subject: str = ""
    data: dict[str, Any] = field(default_factory=dict)
    segment: str = ""
    nth: int = 1
    after: float = 0.0

    def fits(self, row: dict[str, Any]) -> bool:
        """Whether a ledger row is of this moment."""
        if row["kind"] != self.kind or not row["subject"].startswith(self.subject):
            return False
        data = json.loads(row["data"])
        if any(data.get(key) != value for key, value in self.data.items()):
            return False
        segments = data.get("segments") or {}
        return not self.segment or max(segments, key=segments.__getitem__, default="") == self.segment


class Ledger:
    """Reads the ledger of a running (or killed) server."""

    def __init__(self, database: Path) -> None:
        self._database = database

    def read(self, sql: str, *values: Any) -> list[dict[str, Any]]:
        """Query the database, which others write, without ever writing it."""
        with closing(sqlite3.connect(f"file:{self._database}?mode=ro", uri=True, timeout=10)) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(sql, values)]

    def last(self) -> int:
        """Return the number of the newest row."""
        return int(self.read("SELECT coalesce(max(id), 0) AS id FROM ledger")[0]["id"])

    def wait(self, since: int, moment: Moment, limit: float) -> bool:
        """Wait until the moment comes after the row `since`; False when it does not within `limit` seconds."""
        deadline, count = time.monotonic() + limit, 0
        with closing(sqlite3.connect(f"file:{self._database}?mode=ro", uri=True, timeout=10)) as connection:
            connection.row_factory = sqlite3.Row
            while time.monotonic() < deadline:
                for row in connection.execute("SELECT * FROM ledger WHERE id > ? ORDER BY id", (since,)):
                    since = row["id"]
                    count += moment.fits(dict(row))
                    if count >= moment.nth:
                        time.sleep(moment.after)
                        return True
                time.sleep(LOOK)
        return False
