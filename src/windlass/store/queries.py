"""Named queries and migrations, read from the `.sql` files beside this module."""

from __future__ import annotations

import re
import sqlite3
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
NAME = re.compile(r"^--\s*name:\s*([a-z_.]+)\s*$", re.MULTILINE)


@cache
def queries() -> dict[str, str]:
    """All named queries: `AREA.NAME` to SQL, from `sql/AREA.sql`."""
    found: dict[str, str] = {}
    for file in sorted((HERE / "sql").glob("*.sql")):
        parts = NAME.split(file.read_text(encoding="utf-8"))
        for name, sql in zip(parts[1::2], parts[2::2], strict=True):
            found[f"{file.stem}.{name}"] = sql.strip().rstrip(";")
    return found


def migrations() -> list[tuple[str, str]]:
    """All migrations in the order in which they apply: name and script."""
    files = sorted((HERE / "migrations").glob("*.sql"))
    return [(file.stem, file.read_text(encoding="utf-8")) for file in files]


def statements(script: str) -> Iterator[str]:
    """Cut a script into its statements."""
    held = ""
    for part in re.split(r"(?<=;)", script):
        held += part
        if sqlite3.complete_statement(held):
            yield held
            held = ""
    if held.strip():
        yield held
