"""When schedules are due. Pure; all times are seconds since the epoch."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from windlass.pipelines.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_COUNTED = 1000
"""Missed firings that are counted one by one."""
DAY = 86400.0


@dataclass(frozen=True, slots=True)
class Due:
    """A schedule that is to be fired once for the time `at`; `missed` earlier times are left out."""

    at: float
    missed: int
    next_at: float | None


def times(cron: str, zone: str, after: float) -> Iterator[float]:
    """Yield the times after `after`, in order; none where the fields name a day that never comes.

    As Debian's cron across a change to or from daylight saving: a fixed time that does not exist fires at
    the change, one that is there twice fires once; `*` hours and minutes follow the clock.
    """
    tz = UTC if zone in {"UTC", "GMT"} else ZoneInfo(zone)
    last = after
    try:
        for found in CronSim(cron, datetime.fromtimestamp(after, tz)):
            # In the hour that comes twice the search begins at the wall clock's first 02:30.
            if (at := found.timestamp()) > last:
                last = at
                yield at
    except CronSimError:
        return


def next_time(cron: str, zone: str, after: float) -> float | None:
    """Return the first time after `after`, or None if there is none within 50 years."""
    return next(times(cron, zone, after), None)


def due(cron: str, zone: str, next_at: float, now: float) -> Due | None:
    """Return what to fire of a schedule that waited for `next_at`, or None while that is to come.

    After a pause only the latest time is fired: what was missed is counted (to `MAX_COUNTED`), not made up for.
    """
    if next_at > now:
        return None
    latest, missed = next_at, 0
    for at in islice(times(cron, zone, next_at), MAX_COUNTED):
        if at > now:
            return Due(latest, missed, at)
        latest, missed = at, missed + 1
    for at in times(cron, zone, max(latest, now - DAY)):
        if at > now:
            return Due(latest, missed, at)
        latest = at
    return Due(latest, missed, None)


def waits_for(cron: str, zone: str, next_at: float | None) -> Reason:
    """Say what a schedule waits for: its time, in its own zone."""
    if next_at is None:
        text = f"the schedule '{cron}' never comes"
        return Reason("schedule", text, remedy="correct the days of its `cron`")
    local = datetime.fromtimestamp(next_at, ZoneInfo(zone))
    text = f"waits for its time, {local:%Y-%m-%d %H:%M} {zone}"
    return Reason(
        "schedule", text, f"cron '{cron}', timezone {zone}", "start it now with `windlass dispatch`"
    )
