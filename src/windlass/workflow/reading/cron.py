"""The five fields of a schedule, as GitHub takes them."""

from __future__ import annotations

import re
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

_MONTHS = {
    name: number
    for number, name in enumerate(
        ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), start=1
    )
}
_DAYS = {name: number for number, name in enumerate(("sun", "mon", "tue", "wed", "thu", "fri", "sat"))}
_FIELDS: tuple[tuple[int, int, dict[str, int]], ...] = (
    (0, 59, {}),
    (0, 23, {}),
    (1, 31, {}),
    (1, 12, _MONTHS),
    (0, 6, _DAYS),
)


def valid_cron(text: str) -> bool:
    """Return whether it is a schedule: minute, hour, day of month, month, day of week (0–6, Sunday first)."""
    parts = re.split(" +", text)
    return len(parts) == len(_FIELDS) and all(
        all(_part(piece, *field) for piece in part.split(","))
        for part, field in zip(parts, _FIELDS, strict=True)
    )


def _part(text: str, low: int, high: int, names: dict[str, int]) -> bool:
    base, slash, step = text.partition("/")
    if slash and not (step.isascii() and step.isdigit() and 0 < int(step[:9]) <= max(high, 1)):
        return False
    if base == "*":
        return True
    first, dash, last = base.partition("-")
    start = _number(first, low, high, names)
    end = _number(last, low, high, names) if dash else start
    return start is not None and end is not None and start <= end


def _number(text: str, low: int, high: int, names: dict[str, int]) -> int | None:
    if (name := text.lower()) in names:
        return names[name]
    if not (text.isascii() and text.isdigit() and len(text) < 4):
        return None
    return number if low <= (number := int(text)) <= high else None


@lru_cache(maxsize=1)
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def valid_zone(name: str) -> bool:
    """Return whether it is a time zone of the IANA database."""
    if name in {"UTC", "GMT"}:
        return True
    zones = _zones()
    if zones:
        return name in zones
    try:  # pragma: no cover - a machine without the database
        ZoneInfo(name)
    except (OSError, ValueError):
        return False
    return True
