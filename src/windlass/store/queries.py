"""Named queries and migrations, read from the `.sql` files beside this module."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

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
