"""Schedules: the right time in the right zone, fired once, at most one that was missed."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from windlass.pipelines.schedule import due, next_time, times, waits_for
from windlass.pipelines.timetable import LONGEST

if TYPE_CHECKING:
    from pipelines.conftest import House
    from windlass.pipelines import Pipelines

BERLIN, SYDNEY = "Europe/Berlin", "Australia/Sydney"
FOLDER = ".github/workflows"
FILE = f"{FOLDER}/nightly.yaml"


def workflow(on: str, name: str) -> str:
    job = "jobs: {it: {runs-on: ubuntu-latest, steps: [{run: 'true'}]}}"
    return f"name: {name}\non: {on}\n{job}\n"


def at(text: str, zone: str = "UTC") -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


def written(found: float | None) -> str:
    return "" if found is None else f"{datetime.fromtimestamp(found, UTC):%Y-%m-%d %H:%M}"


# -- when


@pytest.mark.parametrize(
    ("cron", "zone", "after", "expected"),
    [
        ("*/5 * * * *", "UTC", "2026-01-01 00:00", "2026-01-01 00:05"),
        ("0 5 * * *", "UTC", "2026-01-01 05:00", "2026-01-02 05:00"),
        ("0 5 * * *", BERLIN, "2026-01-01 00:00", "2026-01-01 04:00"),
        ("0 5 * * *", BERLIN, "2026-07-01 00:00", "2026-07-01 03:00"),
        ("0 5 * * *", SYDNEY, "2026-01-01 00:00", "2026-01-01 18:00"),
        ("0 9 * * MON-FRI", "UTC", "2026-11-20 10:00", "2026-11-23 09:00"),
        ("0 0 29 2 *", "UTC", "2026-01-01 00:00", "2028-02-29 00:00"),
        ("0 0 30 2 *", "UTC", "2026-01-01 00:00", ""),
        # The night of 29 March 2026 has no 02:30 in Berlin; the change is at 01:00 UTC.
        ("30 2 * * *", BERLIN, "2026-03-28 12:00", "2026-03-29 01:00"),
        ("30 * * * *", BERLIN, "2026-03-29 00:45", "2026-03-29 01:30"),
        # That of 25 October has two, at 00:30 and 01:30 UTC; a fixed time fires with the first.
        ("30 2 * * *", BERLIN, "2026-10-24 12:00", "2026-10-25 00:30"),
        ("30 2 * * *", BERLIN, "2026-10-25 00:30", "2026-10-26 01:30"),
        ("30 2 * * *", BERLIN, "2026-10-25 01:10", "2026-10-26 01:30"),
        ("30 * * * *", BERLIN, "2026-10-25 00:30", "2026-10-25 01:30"),
    ],
)
def test_the_next_time(cron: str, zone: str, after: str, expected: str) -> None:
    assert written(next_time(cron, zone, at(after))) == expected


@settings(max_examples=200, deadline=None)
@given(
    cron=st.sampled_from(
        ["* * * * *", "*/7 * * * *", "30 2 * * *", "0 */3 * * *", "15 2,3 * * SUN", "0 0 1 * *"]
    ),
    zone=st.sampled_from(
        ["UTC", BERLIN, SYDNEY, "America/St_Johns", "Asia/Kathmandu", "Australia/Lord_Howe"]
    ),
    after=st.floats(min_value=at("2026-01-01"), max_value=at("2028-01-01")),
)
def test_times_grow_and_do_not_depend_on_where_one_begins(cron: str, zone: str, after: float) -> None:
    found = list(islice(times(cron, zone, after), 5))
    assert found == sorted(set(found))
    assert all(time > after for time in found)
    assert next_time(cron, zone, found[1]) == found[2]


def test_what_is_not_due_is_not_fired() -> None:
    assert due("0 5 * * *", "UTC", at("2026-01-02 05:00"), at("2026-01-02 04:59:59")) is None


def test_after_a_pause_only_the_latest_time_is_fired_and_the_others_are_counted() -> None:
    found = due("0 5 * * *", "UTC", at("2026-01-02 05:00"), at("2026-01-05 06:00"))
    assert found is not None
    assert (written(found.at), found.missed, written(found.next_at)) == (
        "2026-01-05 05:00",
        3,
        "2026-01-06 05:00",
    )


def test_a_pause_of_years_is_no_work() -> None:
    found = due("* * * * *", "UTC", at("2016-01-01"), at("2026-01-01 00:00:30"))
    assert found is not None
    assert (written(found.at), written(found.next_at)) == ("2026-01-01 00:00", "2026-01-01 00:01")
    assert found.missed == 1000


def test_what_it_waits_for_is_said_in_its_own_zone() -> None:
    why = waits_for("0 5 * * *", BERLIN, at("2026-07-01 03:00"))
    assert (why.code, why.text) == ("schedule", "waits for its time, 2026-07-01 05:00 Europe/Berlin")
    assert "never" in waits_for("0 0 30 2 *", "UTC", None).text


# -- fired


class Clock:
    """A clock that a test sets."""

    def __init__(self, text: str) -> None:
        self.now = at(text)

    def __call__(self) -> float:
        return self.now


def nightly(cron: str = "0 5 * * *", zone: str = BERLIN) -> str:
    return workflow(f"{{schedule: [{{cron: '{cron}', timezone: '{zone}'}}]}}", "Nightly")


def timed(house: House, clock: Clock) -> Pipelines:
    house.clock = clock
    return house.pipelines()


async def test_a_schedule_fires_at_its_time_once_on_the_newest_commit(house: House) -> None:
    await house.repository()
    clock = Clock("2026-07-01 00:00")
    pipelines = timed(house, clock)
    await house.commit({FILE: nightly()}, pusher=("user", "anna"))
    assert await pipelines._timetable.fire() == 0
    (row,) = await pipelines.schedules("acme/app")
    assert (written(row.next_at), row.workflow, row.path) == ("2026-07-01 03:00", "Nightly", FILE)
    newest = await house.commit(message="Later", pusher=("user", "zoe"))
    clock.now = at("2026-07-01 02:59:59")
    assert await pipelines._timetable.fire() == 0
    clock.now = at("2026-07-01 03:00")
    assert await pipelines._timetable.fire() == 1
    assert await pipelines._timetable.fire() == 0
    async with house.running() as running:
        (item,) = await house.planned("schedule")
        (run,) = await house.runs_of(running, "schedule")
        github = (await house.spec(run.id)).contexts["github"]
    assert (run.sha, run.ref, run.actor, run.title) == (newest, "refs/heads/main", "zoe", "Nightly")
    assert github["event"]["schedule"] == "0 5 * * *"
    assert github["event"]["repository"]["full_name"] == "acme/app"
    assert item.runs == 1
    (row,) = await pipelines.schedules()
    assert (written(row.fired_at), written(row.next_at)) == ("2026-07-01 03:00", "2026-07-02 03:00")


async def test_only_the_file_whose_time_it_is_runs(house: House) -> None:
    await house.repository()
    clock = Clock("2026-07-01 00:00")
    pipelines = timed(house, clock)
    # The same line in two files, in two zones.
    await house.commit({FILE: nightly(), f"{FOLDER}/b.yaml": nightly(zone="UTC").replace("Nightly", "B")})
    await pipelines._timetable.fire()
    clock.now = at("2026-07-01 03:00")
    assert await pipelines._timetable.fire() == 1
    async with house.running() as running:
        await house.planned("schedule")
        assert [run.workflow for run in await house.runs_of(running, "schedule")] == ["Nightly"]


async def test_after_downtime_one_missed_firing_is_made_up_for_and_told(house: House) -> None:
    await house.repository()
    clock = Clock("2026-07-01 00:00")
    pipelines = timed(house, clock)
    await house.commit({FILE: nightly()})
    await pipelines._timetable.fire()
    clock.now = at("2026-07-04 12:00")
    assert await timed(house, clock)._timetable.fire() == 1
    assert await timed(house, clock)._timetable.fire() == 0
    (row,) = await pipelines.schedules()
    assert (row.missed, row.late, written(row.fired_at)) == (3, 9 * 3600, "2026-07-04 03:00")
    entries = await house.store.read("ledger.of_subject", subject="repo/acme/app")
    assert [entry["kind"] for entry in entries].count("schedule.fired") == 1


async def test_schedules_follow_the_default_branch_alone(house: House) -> None:
    await house.repository()
    clock = Clock("2026-07-01 00:00")
    pipelines = timed(house, clock)
    await house.commit({"README": "x"})
    await house.commit({FILE: nightly()}, branch="feature")
    await pipelines._timetable.fire()
    assert await pipelines.schedules() == []
    await house.move("refs/heads/main", "HEAD")
    await pipelines._timetable.fire()
    assert len(await pipelines.schedules()) == 1
    clock.now = at("2026-07-01 03:00")
    await house.commit({FILE: None})
    assert await pipelines._timetable.fire() == 0
    assert await pipelines.schedules() == []


async def test_a_push_does_not_put_a_schedule_off(house: House) -> None:
    await house.repository()
    clock = Clock("2026-07-01 00:00")
    pipelines = timed(house, clock)
    await house.commit({FILE: nightly()})
    await pipelines._timetable.fire()
    clock.now = at("2026-07-01 03:00:01")
    await house.commit(message="At the very moment")
    assert await pipelines._timetable.fire() == 1


async def test_a_new_schedule_does_not_fire_for_the_past(house: House) -> None:
    await house.repository()
    clock = Clock("2026-07-01 04:00")
    pipelines = timed(house, clock)
    await house.commit({FILE: nightly()})
    assert await pipelines._timetable.fire() == 0
    (row,) = await pipelines.schedules()
    assert written(row.next_at) == "2026-07-02 03:00"


async def test_deleting_the_repository_ends_its_schedules(house: House) -> None:
    await house.repository()
    clock = Clock("2026-07-01 00:00")
    pipelines = timed(house, clock)
    await house.commit({FILE: nightly()})
    await pipelines._timetable.fire()
    await house.repositories.delete("acme/app")
    clock.now = at("2026-07-02 00:00")
    assert await pipelines._timetable.fire() == 0
    assert await pipelines.schedules() == []


async def test_it_sleeps_until_the_next_time(house: House) -> None:
    await house.repository()
    clock = Clock("2026-07-01 00:00")
    pipelines = timed(house, clock)
    assert await pipelines._timetable.pause() == LONGEST
    await house.commit({FILE: nightly("1 * * * *")})
    await pipelines._timetable.fire()
    clock.now = at("2026-07-01 00:00:35")
    assert await pipelines._timetable.pause() == 25
    clock.now = at("2026-07-01 00:02")
    assert await pipelines._timetable.pause() == 0


async def test_the_running_server_fires_by_itself(house: House) -> None:
    await house.repository()
    clock = Clock("2026-07-01 02:59:59.5")
    pipelines = timed(house, clock)
    await house.commit({FILE: nightly()})
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(pipelines.run)

        async def known() -> bool:
            return bool(await pipelines.schedules())

        await house.until(known)
        clock.now = at("2026-07-01 03:00")
        await house.planned("schedule")

        async def over() -> bool:
            return [run.status for run in await house.runs_of(pipelines, "schedule")] == ["completed"]

        await house.until(over)
        tasks.cancel_scope.cancel()
