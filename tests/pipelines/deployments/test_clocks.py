"""What Prefect's server makes of our schedules when clocks change: once, at the first moment that exists."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from charpipe_pipelines.deployments.registration import prefect_schedule
from charpipe_pipelines.deployments.settings import Schedule


def due(schedule: Schedule, after: str, count: int) -> list[str]:
    from prefect.server.schemas import schedules

    zone = ZoneInfo(schedule.timezone)
    start = datetime.fromisoformat(after).replace(tzinfo=zone)
    made = prefect_schedule(schedule, start - timedelta(days=20))
    served = getattr(schedules, type(made).__name__).model_validate(made.model_dump())
    found = asyncio.run(served.get_dates(count, start=start))
    return [f"{moment.astimezone(zone):%d %H:%M}" for moment in found]


@pytest.mark.parametrize(
    ("zone", "cron", "after", "wanted"),
    [
        ("Europe/Berlin", "30 2 * * *", "2026-03-28T12:00", ["29 03:00", "30 02:30"]),
        ("Europe/Berlin", "30 2 * * *", "2026-10-24T12:00", ["25 02:30", "26 02:30"]),
        ("Europe/Berlin", "30 2 29 * 0", "2026-03-22T12:00", ["29 03:00", "05 02:30"]),
        ("Europe/Berlin", "30 1-3 * * *", "2026-03-29T00:00", ["29 01:30", "29 03:00", "29 03:30"]),
        ("Europe/Berlin", "0 2,3 * * *", "2026-03-29T00:00", ["29 03:00", "30 02:00"]),
        ("Europe/Berlin", "*/30 * * * *", "2026-03-29T01:15", ["29 01:30", "29 03:00", "29 03:30"]),
        ("Asia/Beirut", "0 0 * * *", "2026-03-28T12:00", ["29 01:00", "30 00:00"]),
        ("America/Havana", "15 0 * * *", "2026-03-07T12:00", ["08 01:00", "09 00:15"]),
        ("Australia/Lord_Howe", "15 2 * * *", "2026-10-03T12:00", ["04 02:30", "05 02:15"]),
        ("Australia/Lord_Howe", "45 1 * * *", "2026-04-04T12:00", ["05 01:45", "06 01:45"]),
        ("Pacific/Apia", "30 2 * * *", "2011-12-29T12:00", ["31 00:00", "31 02:30"]),
        ("UTC", "30 2 * * *", "2026-03-28T12:00", ["29 02:30", "30 02:30"]),
    ],
)
def test_a_time_that_the_clock_skips_or_repeats(zone: str, cron: str, after: str, wanted: list[str]) -> None:
    assert due(Schedule(cron=cron, timezone=zone), after, len(wanted)) == wanted


def test_a_daily_interval_keeps_the_clock() -> None:
    berlin = Schedule(interval="1d", timezone="Europe/Berlin")
    assert due(berlin, "2026-07-27T12:00", 2) == ["28 00:00", "29 00:00"]
    havana = Schedule(interval="1d", timezone="America/Havana")
    assert due(havana, "2026-03-07T12:00", 3) == ["08 01:00", "09 00:00", "10 00:00"]


def test_an_abbreviation_suggests_a_zone() -> None:
    with pytest.raises(ValidationError, match="America/Los_Angeles"):
        Schedule(cron="0 3 * * *", timezone="PST")


def test_a_schedule_that_is_no_table_is_told_how_to_be_one() -> None:
    with pytest.raises(ValidationError, match=r'a schedule is a table; write it as schedule = {cron = "0 3'):
        Schedule.model_validate("0 3 * * *")
